// Small line and bar charts as SVG, with selectable text and the colours of the theme.

const NAMESPACE = "http://www.w3.org/2000/svg";
const MARGIN = { left: 44, right: 10, top: 8, bottom: 18 };

export function element(name, attributes = {}, text = "") {
  const made = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

// lines: [{points: [[x, y], ...], colour, width, dash, label}], marks: [{x, colour}], bands: [{y, label, colour}]
export function lines(parent, { title, lines = [], marks = [], levels = [], range = null, domain = null, unit = "" }) {
  const width = Math.max(parent.clientWidth, 200), height = parent.classList.contains("small") ? 90 : 190;
  const all = lines.flatMap((line) => line.points).filter((point) => point[1] !== null);
  const xs = domain ?? extent(all.map((point) => point[0]), [0, 1]);
  const ys = range ?? padded(extent([...all.map((point) => point[1]), ...levels.map((level) => level.y)], [0, 1]));
  const x = (value) => MARGIN.left + (value - xs[0]) / (xs[1] - xs[0] || 1) * (width - MARGIN.left - MARGIN.right);
  const y = (value) => height - MARGIN.bottom - (value - ys[0]) / (ys[1] - ys[0] || 1) * (height - MARGIN.top - MARGIN.bottom);
  const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title });
  for (const value of ticks(ys)) {
    svg.append(element("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value), stroke: "var(--line)" }));
    svg.append(element("text", { x: MARGIN.left - 6, y: y(value) + 4, "text-anchor": "end" }, shown(value) + unit));
  }
  for (const mark of marks) {
    svg.append(element("line", { x1: x(mark.x), x2: x(mark.x), y1: MARGIN.top, y2: height - MARGIN.bottom,
      stroke: mark.colour, "stroke-dasharray": "2 3" }));
  }
  for (const level of levels) {
    svg.append(element("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: y(level.y), y2: y(level.y),
      stroke: level.colour, "stroke-dasharray": "5 4" }));
    svg.append(element("text", { x: width - MARGIN.right, y: y(level.y) - 3, "text-anchor": "end" }, level.label));
  }
  for (const line of lines) {
    const path = line.points.map((point, i) => point[1] === null ? "" :
      `${i === 0 || line.points[i - 1][1] === null ? "M" : "L"}${x(point[0]).toFixed(1)} ${y(point[1]).toFixed(1)}`).join("");
    svg.append(element("path", { d: path, fill: "none", stroke: line.colour, "stroke-width": line.width ?? 1.6,
      "stroke-dasharray": line.dash ?? "none", "stroke-linejoin": "round", opacity: line.opacity ?? 1 }));
  }
  parent.replaceChildren(svg);
  return { x, y };
}

export function extent(values, otherwise) {
  const known = values.filter((value) => value !== null && Number.isFinite(value));
  return known.length ? [Math.min(...known), Math.max(...known)] : otherwise;
}

export function padded([low, high]) {
  const room = (high - low || Math.abs(high) || 1) * .08;
  return [low - room, high + room];
}

export function ticks([low, high]) {
  const rough = (high - low) / 4, power = 10 ** Math.floor(Math.log10(rough || 1));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough) ?? power;
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high; value += step) found.push(value);
  return found;
}

export function shown(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  return size >= 1000 ? value.toLocaleString("en", { maximumFractionDigits: 0 }) : Number(value.toPrecision(3)).toString();
}
