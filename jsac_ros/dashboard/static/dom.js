// Short functions for elements of the page.

export const byId = (id) => document.getElementById(id);

export function make(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// Changes a text only if it differs, so that screen readers do not repeat it.
export function write(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}
