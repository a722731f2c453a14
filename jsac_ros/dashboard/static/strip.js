// The latency strip: one column per control period, newest on the right; a period without a command is red over its full height.

import { element, shown } from "/static/charts.js";
import { byId, write } from "/static/dom.js";

const KEPT = 1500, COLUMN = 3, HEIGHT = 90, ROOM = 44;
const columns = [];  // [ms published, ms sent] after the start of the period; null: no command

export function takeTicks(ticks) {
  columns.push(...ticks);
  columns.splice(0, Math.max(columns.length - KEPT, 0));
}

export const forgetTicks = () => columns.splice(0);

export function drawStrip(budget) {
  const box = byId("strip"), width = Math.max(box.clientWidth, 200);
  const seen = columns.slice(-Math.floor((width - ROOM) / COLUMN));
  if (!budget || !seen.length || document.visibilityState !== "visible") return;
  const low = HEIGHT - 16, high = 16, y = (ms) => low - Math.min(ms / budget, 1.15) * (low - high);
  const isLate = (column) => column === null || column.at(-1) > budget;
  const paths = { command: "", sent: "", late: "", flag: "" };
  seen.forEach((column, i) => {
    const x = width - (seen.length - i) * COLUMN + COLUMN / 2;
    if (isLate(column)) {
      paths.late += `M${x} ${low}V${high}`;
      paths.flag += `M${x - 3} 3h6l-3 6z`;
    }
    if (column === null) return;
    paths.command += `M${x} ${low}V${y(column[0]).toFixed(1)}`;
    if (column.length > 1) paths.sent += `M${x} ${y(column[0]).toFixed(1)}V${y(column[1]).toFixed(1)}`;
  });
  const late = seen.filter(isLate).length, span = shown(seen.length * budget / 1000);
  const line = (d, stroke, thick) => element("path", { d, stroke, "stroke-width": thick, fill: "none" });
  const svg = element("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": `The last ${seen.length} control periods, ${late} of them late` });
  svg.append(
    line(paths.late, "var(--red)", COLUMN), line(paths.command, "var(--blue)", COLUMN - 1), line(paths.sent, "var(--green)", COLUMN - 1),
    element("path", { d: paths.flag, fill: "var(--red)" }),
    element("line", { x1: ROOM, x2: width, y1: y(budget), y2: y(budget), stroke: "var(--ink)", "stroke-dasharray": "5 4" }),
    element("text", { x: ROOM - 6, y: y(budget) + 4, "text-anchor": "end" }, `${shown(budget)} ms`),
    element("text", { x: ROOM - 6, y: low + 4, "text-anchor": "end" }, "0"),
    element("text", { x: ROOM, y: HEIGHT - 3 }, `${span} s ago`),
    element("text", { x: width, y: HEIGHT - 3, "text-anchor": "end" }, "now"),
  );
  box.replaceChildren(svg);
  write("strip-words", late ? `${late} of the last ${seen.length} periods late.` : `None of the last ${seen.length} periods late.`);
}
