// Live images with overlays: the critic's saliency, the safety box and the tool.

import { element } from "/static/charts.js";
import { byId, make, write } from "/static/dom.js";

const HEAT = ":heat";  // suffix of an image name
const HEAT_LASTS_MS = 4000;  // an older overlay no longer fits the live image
const cleared = {};  // camera -> timer

export const looksWanted = () => byId("looks").checked;

export function drawCameras(cameras) {
  byId("cameras").replaceChildren(...cameras.map((camera) => {
    const image = make("img", { id: `camera-${camera}`, alt: `live image of camera ${camera}` });
    const heat = make("img", { id: `camera-${camera}${HEAT}`, alt: "", className: "heat", hidden: true });
    const drawing = element("svg", { id: `drawing-${camera}`, class: "drawing", role: "img", "aria-label": "" });
    drawing.setAttribute("hidden", "");
    return make("figure", {}, make("div", { className: "layers" }, image, heat, drawing), make("figcaption", { textContent: camera }));
  }));
  byId("layers").hidden = cameras.length === 0;
}

export function wantedImages(cameras) {
  if (document.visibilityState !== "visible") return [];
  return looksWanted() ? cameras.flatMap((camera) => [camera, camera + HEAT]) : cameras;
}

export function takeImage(name, bytes, sources = {}) {
  const image = byId(`camera-${name}`), camera = name.replace(HEAT, "");
  if (!image) return;
  const address = URL.createObjectURL(new Blob([bytes], { type: name === camera ? "image/jpeg" : "image/png" }));
  image.onload = () => URL.revokeObjectURL(address);
  image.src = address;
  if (name !== camera) placeHeat(image, camera, sources[camera]);
}

// Places the overlay over the crop that the policy sees.
function placeHeat(heat, camera, source) {
  heat.hidden = !source || !looksWanted();
  if (!source) return;
  const [height, width] = source.size, [top, left, tall, wide] = source.crop;
  const share = (value, of) => `${100 * value / of}%`;
  Object.assign(heat.style, { top: share(top, height), left: share(left, width), height: share(tall, height), width: share(wide, width) });
  clearTimeout(cleared[camera]);
  cleared[camera] = setTimeout(() => { heat.hidden = true; }, HEAT_LASTS_MS);
}

export function drawLooks(text) {
  if (!looksWanted()) document.querySelectorAll(".heat").forEach((heat) => { heat.hidden = true; });
  write("looks-words", looksWanted() ? text ?? "" : "");
}

// overlay: {camera: {box: [[x1, y1, x2, y2], ...], tool: [[x, y]]}}, in pixels of the source
export function drawBox({ overlay = {}, sources = {} }) {
  byId("box-choice").hidden = !Object.keys(overlay).length;
  for (const [camera, { box, tool }] of Object.entries(overlay)) {
    const drawing = byId(`drawing-${camera}`), source = sources[camera];
    if (!drawing || !source) continue;
    const [height, width] = source.size, thick = width / 250;
    drawing.toggleAttribute("hidden", !byId("box").checked);
    drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    drawing.setAttribute("aria-label", `${box.length ? "safety box" : ""}${tool.length ? " and tool" : ""} drawn into camera ${camera}`);
    const path = box.map(([x1, y1, x2, y2]) => `M${x1} ${y1}L${x2} ${y2}`).join("");
    drawing.replaceChildren(
      element("path", { d: path, class: "edge under", "stroke-width": 2.4 * thick }),
      element("path", { d: path, class: "edge", "stroke-width": thick }),
      ...tool.map(([x, y]) => element("circle", { cx: x, cy: y, r: 3 * thick, class: "tool", "stroke-width": thick })),
    );
  }
}
