// The page of `jsac-ros crop`: draws the crop over the image, and requests the frame that results from it.

const byId = (id) => document.getElementById(id);
const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
history.replaceState(null, "", location.pathname);  // so that the token is not seen or copied
const SIDES = ["top", "left", "height", "width"];
const image = new Image();
let about = null, crop = [], from = null, asked = 0;

async function begin() {
  about = await (await fetch("/about")).json();
  byId("about").textContent = `${about.camera} · ${about.topic} · ${about.source[1]} x ${about.source[0]}`;
  byId("keep").checked = !about.crop.length || isOfFrame(about.crop);
  set(about.crop.length ? about.crop : whole());
  await load();
}

async function load() {
  image.src = `/source.png?${Date.now()}`;
  await image.decode();
  const canvas = byId("source");
  [canvas.height, canvas.width] = about.source;
  draw();
}

const whole = () => [0, 0, ...about.source];
const isWhole = () => whole().every((value, i) => value === crop[i]);
const isOfFrame = ([, , height, width]) => Math.abs(width / height - about.frame[1] / about.frame[0]) < 0.02;
const clamp = (value, low, high) => Math.min(Math.max(Math.round(value), low), high);

// Keeps the crop inside the image; to keep the aspect ratio, the smaller of the two sides decides.
function set([top, left, height, width]) {
  const [rows, columns] = about.source;
  top = clamp(top, 0, rows - 1);
  left = clamp(left, 0, columns - 1);
  crop = [top, left, clamp(height, 1, rows - top), clamp(width, 1, columns - left)];
  SIDES.forEach((side, i) => { byId(side).value = crop[i]; });
  byId("frame-words").textContent = isWhole() ? `the whole image as ${about.frame[1]} x ${about.frame[0]}` :
    `${crop[3]} x ${crop[2]} of the image as ${about.frame[1]} x ${about.frame[0]}` + (isOfFrame(crop) ? "" : ", distorted");
  draw();
  show();
}

function shaped(height, width) {
  if (!byId("keep").checked) return [height, width];
  const shape = about.frame[1] / about.frame[0];
  return width / height > shape ? [height, height * shape] : [width / shape, width];
}

function draw() {
  const canvas = byId("source"), pen = canvas.getContext("2d"), [top, left, height, width] = crop;
  if (!image.complete || !image.naturalWidth) return;
  pen.drawImage(image, 0, 0);
  pen.fillStyle = "rgba(0, 0, 0, .55)";
  pen.beginPath();
  pen.rect(0, 0, canvas.width, canvas.height);
  pen.rect(left, top, width, height);
  pen.fill("evenodd");
  pen.strokeStyle = "#ffb000";
  pen.lineWidth = Math.max(1, canvas.width / 320);
  pen.strokeRect(left, top, width, height);
}

const words = () => isWhole() ? "" : crop.join(",");

// Shows only the answer for the newest crop, as answers may arrive out of order.
async function show() {
  const number = ++asked, answer = await fetch(`/frame.png?crop=${words()}`);
  if (number !== asked) return;
  if (!answer.ok) { byId("answer").textContent = (await answer.json()).message; return; }
  const blob = await answer.blob();
  if (number !== asked) return;
  const address = URL.createObjectURL(blob), frame = byId("frame");
  frame.onload = () => URL.revokeObjectURL(address);
  frame.src = address;
}

// -- the mouse -------------------------------------------------------------------------------------------------------

function place(event) {
  const canvas = byId("source"), box = canvas.getBoundingClientRect();
  return [(event.clientY - box.top) / box.height * canvas.height, (event.clientX - box.left) / box.width * canvas.width];
}

byId("source").addEventListener("pointerdown", (event) => {
  const [y, x] = place(event), [top, left, height, width] = crop;
  const inside = !isWhole() && y > top && y < top + height && x > left && x < left + width;
  from = { y, x, moves: inside ? [...crop] : null };
  event.target.setPointerCapture(event.pointerId);
});
byId("source").addEventListener("pointermove", (event) => {
  if (!from) return;
  const [rows, columns] = about.source, [y, x] = place(event).map((value, i) => Math.min(Math.max(value, 0), about.source[i]));
  if (from.moves) {
    const [top, left, height, width] = from.moves;
    set([clamp(top + y - from.y, 0, rows - height), clamp(left + x - from.x, 0, columns - width), height, width]);
  } else if (Math.abs(y - from.y) > 2 && Math.abs(x - from.x) > 2) {
    const [height, width] = shaped(Math.abs(y - from.y), Math.abs(x - from.x));
    set([y < from.y ? from.y - height : from.y, x < from.x ? from.x - width : from.x, height, width]);
  }
});
byId("source").addEventListener("pointerup", () => { from = null; });

for (const [i, side] of SIDES.entries()) {
  byId(side).addEventListener("change", () => {
    const next = [...crop];
    next[i] = Number(byId(side).value);
    if (byId("keep").checked && i === 2) next[3] = next[2] * about.frame[1] / about.frame[0];
    if (byId("keep").checked && i === 3) next[2] = next[3] * about.frame[0] / about.frame[1];
    set(next);
  });
}
byId("whole").addEventListener("click", () => set(whole()));

// -- requests -------------------------------------------------------------------------------------------------------

async function ask(what) {
  const answer = await fetch(what, { method: "POST", headers: { "x-jsac-token": token } }).catch(() => null);
  return answer ? answer.json() : { success: false, message: "no answer: `jsac-ros crop` has ended" };
}

byId("look").addEventListener("click", async () => {
  const { success, message } = await ask("/look");
  byId("answer").textContent = message;
  if (success) { about = await (await fetch("/about")).json(); await load(); set(crop); }
});
byId("write").addEventListener("click", async () => {
  const { success, message } = await ask(`/write?crop=${words()}`);
  byId("answer").textContent = success ? "Written; this page can be closed." : message;
  for (const id of ["look", "write"]) byId(id).disabled = success;
});

begin();
