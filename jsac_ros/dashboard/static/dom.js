// Elements of the page, short.

export const byId = (id) => document.getElementById(id);

export function make(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// So that an unchanged text is not read out again.
export function write(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}
