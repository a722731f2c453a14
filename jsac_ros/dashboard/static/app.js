// The page: keeps the data from the web socket in `run`, draws changes, and sends the commands of the buttons.

import { drawBox, drawCameras, drawLooks, takeImage, wantedImages } from "/static/cameras.js";
import { lines, shown } from "/static/charts.js";
import { byId, make, write } from "/static/dom.js";
import { Player } from "/static/player.js";
import { drawStrip, forgetTicks, takeTicks } from "/static/strip.js";
import { Timeline, takeEvents } from "/static/timeline.js";

const run = { episodes: [], events: [] };
const seconds = [];  // control status, one entry per second
const KEPT_SECONDS = 600;
const token = takeToken();
const player = new Player(run), timeline = new Timeline(run, (index) => player.open(index));

const VERBS = {
  start: "Start", pause: "Pause", resume: "Resume", stop: "Stop", reset: "New episode", evaluate: "Evaluate",
  continue: "Continue", success: "Success", failure: "Failure", discard: "Discard episode", checkpoint: "Checkpoint",
  release: "Release",
};
const MOODS = {
  acting: "good", evaluating: "good", "a person acts": "good", resetting: "good", shadow: "good", ready: "wait", waiting: "wait",
  holding: "wait", paused: "wait", stopped: "wait",
};
const SILENT_MS = 5000;  // the node sends something every second
const ANSWER_MS = 8000, STOP_ANSWER_MS = 1500;

// From the address, which is then cleared so that it is not seen or copied; otherwise from this tab's storage.
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) history.replaceState(null, "", location.pathname);
  try {
    if (given) sessionStorage.setItem("token", given);
    return given || (sessionStorage.getItem("token") ?? "");
  } catch {  // the browser has no storage for pages: a reload loses the token
    return given ?? "";
  }
}

// -- the socket ------------------------------------------------------------------------------------------------------

let socket = null, heardMs = 0;

function connect() {
  heardMs = performance.now();
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/look`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => { run.episodes.splice(0); run.events.splice(0); run.ended = ""; forgetTicks(); askForImages(); };
  socket.onmessage = (message) => {
    heardMs = performance.now();
    if (typeof message.data === "string") take(JSON.parse(message.data));
    else takeBytes(message.data);
  };
  socket.onclose = lost;
}

function lost() {
  if (!run.ended) setState("no connection", "bad", "the values shown are old; retrying every second");
  setTimeout(connect, 1000);
}

// A failed network closes no connection: a phone would show old values for minutes.
setInterval(() => {
  if (document.visibilityState !== "visible" || performance.now() - heardMs < SILENT_MS) return;
  socket.onclose = socket.onmessage = null;
  socket.close();
  heardMs = Infinity;
  lost();
}, 1000);

function askForImages() {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ images: wantedImages(run.run?.cameras ?? []) }));
}
document.addEventListener("visibilitychange", () => { heardMs = Math.max(heardMs, performance.now()); askForImages(); });
byId("looks").addEventListener("change", () => { askForImages(); drawLooks(run.saliency); });
byId("box").addEventListener("change", () => drawBox(run));

function takeBytes(buffer) {
  const bytes = new Uint8Array(buffer), end = bytes.indexOf(0);
  takeImage(JSON.parse(new TextDecoder().decode(bytes.subarray(0, end))).image, bytes.subarray(end + 1), run.sources);
  socket.send(JSON.stringify({ seen: true }));
}

function take({ episodes, events, ticks, ...changes }) {
  Object.assign(run, changes);
  if (episodes) run.episodes.push(...episodes);
  if (events) takeEvents(run.events, events);
  if (ticks) takeTicks(ticks);
  if (changes.control) seconds.push(changes.control) > KEPT_SECONDS && seconds.shift();
  if (changes.run) drawRun();
  if (["control", "safety", "ages", "person", "ended"].some((part) => part in changes)) drawState();
  if (changes.control) drawTiming();
  if (ticks) drawStrip(run.run?.period_ms);
  if (episodes || changes.baseline) drawLearning();
  if (changes.training || changes.replay || changes.control || episodes) drawFigures();
  if (episodes || events) timeline.draw();
  if (events) timeline.list();
  if (changes.safety || changes.rules) drawSafety();
  if (changes.processes) drawProcesses();
  if (changes.advice) drawAdvice();
  if (changes.overlay || changes.sources) drawBox(run);
  if (changes.saliency) drawLooks(run.saliency);
}

// -- drawing ---------------------------------------------------------------------------------------------------------

function drawRun() {
  const { name, robot, task, driver, cameras } = run.run;
  byId("name").textContent = name;
  byId("about").textContent = `${task} · ${robot} · ${driver === "sim" ? "simulated" : driver}`;
  document.title = `${name} – jsac_ros`;
  drawCameras(cameras);
  byId("verbs").replaceChildren(...Object.entries(VERBS).map(([verb, title]) => {
    const button = make("button", { type: "button", textContent: title });
    button.dataset.verb = verb;
    return button;
  }));
  askForImages();
  checkAccess();
}

function setState(text, mood, reason = "") {
  write("state", text);
  byId("state").className = `pill ${mood}`;
  byId("reason").textContent = reason;
}

function drawState() {
  const { control, safety, ages = {}, ended } = run;
  if (ended) setState("run ended", "wait", `report and data: ${ended}`);
  else if (safety?.emergency_stop) setState("emergency stop", "bad", `${safety.reason}; Release lets the robot move again`);
  else if (!control || ages.control > 3) setState("no actor", "bad", "its process is not running or still starting");
  else {
    const [state, reason] = stateOf(control, safety);
    setState(state, MOODS[state] ?? "wait", reason);
  }
}

function stateOf({ state, reason }, safety) {
  if (state === "waiting" && reason === "jsac-ros start") return ["ready", "Start lets the robot move"];
  if (state === "acting" && run.person) return ["a person acts", "instead of the policy"];
  if (state === "acting" && reason === "evaluation") return ["evaluating", "without exploration; the episode is not stored"];
  return [state, reason || (safety?.state === "holding" ? safety.reason : "")];
}

function drawLearning() {
  const finished = run.episodes.filter((episode) => !episode.evaluation);
  const smooth = (pick) => finished.map((_, i) => mean(finished.slice(Math.max(0, i - 9), i + 1).map(pick)));
  const means = smooth((episode) => episode.episode_return), success = smooth((episode) => episode.success ? 1 : 0);
  const baseline = run.baseline ?? {};
  const levels = Object.entries(baseline).map(([label, { return_mean }]) => ({ y: return_mean, label, colour: "var(--soft)" }));
  lines(byId("return-chart"), {
    title: `Return of ${finished.length} episodes, mean of the last ten ${shown(means.at(-1))}`, levels,
    lines: [
      { points: finished.map((episode, i) => [i, episode.episode_return]), colour: "var(--soft)", width: 1, opacity: .5 },
      { points: means.map((value, i) => [i, value]), colour: "var(--blue)", width: 2.4 },
    ],
  });
  lines(byId("success-chart"), {
    title: "Share of the last ten episodes that succeeded", range: [0, 1.05],
    lines: [{ points: success.map((value, i) => [i, value]), colour: "var(--green)", width: 2.2 }],
  });
  byId("learning-words").textContent = finished.length ? words(means, success, baseline) : "No episode has ended yet.";
}

function words(means, success, baseline) {
  const best = Object.entries(baseline).find(([name]) => !["random", "still"].includes(name));
  const reached = best ? ` (${best[0]}: ${shown(best[1].return_mean)}, standing still: ${shown(baseline.still?.return_mean)})` : "";
  return `Mean return of the last ten episodes ${shown(means.at(-1))}${reached}; ${Math.round(100 * success.at(-1))} % succeeded.`;
}

function drawFigures() {
  const { training = {}, replay = {}, control = {} } = run;
  const steps = (replay.received ?? 0) - (replay.received_before ?? 0);
  const figures = {
    "Episodes": run.episodes.length,
    "Transitions stored": fill(replay.stored, run.run?.capacity),
    "Updates": shown(training.updates ?? null),
    "Updates per second": shown(training.updates_per_s ?? null),
    "Updates per step": steps ? shown((training.updates ?? 0) / steps) : "–",
    "Policy age": control.policy_age_s === undefined ? "–" : `${shown(control.policy_age_s)} s`,
    "Learner": training.problem || (training.state ?? "–"),
    "Replay": replay.problem || replay.waiting_for || "ready",
  };
  byId("figures").replaceChildren(...Object.entries(figures).map(([name, value]) => {
    return make("div", {}, make("dt", { textContent: name }), make("dd", { textContent: value }));
  }));
}

function fill(stored, capacity) {
  return stored === undefined ? "–" : `${shown(stored)}${capacity ? ` (${shown(100 * stored / capacity)} % full)` : ""}`;
}

function drawTiming() {
  const budget = run.run?.period_ms ?? 0, { control } = run;
  const at = (name, place) => seconds.map((second, i) => [i, second[name]?.[place] ?? null]);
  lines(byId("timing-chart"), {
    title: "When each command was published after its tick was due, in milliseconds, for the last ten minutes",
    levels: budget ? [{ y: budget, label: "budget", colour: "var(--red)" }] : [], unit: " ms", domain: [0, KEPT_SECONDS],
    lines: [
      { points: at("done_ms", 3), colour: "var(--amber)", width: 1 },
      { points: at("done_ms", 1), colour: "var(--blue)" },
      { points: at("done_ms", 0), colour: "var(--green)" },
    ],
  });
  byId("timing-words").textContent = `${shown(control.rate_hz)} Hz, ${control.missed} of ${control.ticks} ticks missed. ` +
    `Command after ${shown(control.done_ms[0])} ms (99 %: ${shown(control.done_ms[1])}, worst ${shown(control.done_ms[3])}) of ` +
    `${shown(budget)} ms; image to command ${shown(control.obs_to_command_ms[0])} ms.`;
}

function drawSafety() {
  const { safety, rules = [] } = run;
  if (!safety) return;
  const now = rules.length ? ` In the last second it changed commands by: ${rules.join(", ")}.` : "";
  byId("safety-words").textContent = `${safety.state}${safety.reason ? `: ${safety.reason}` : ""}.${now}`;
  byId("rules").replaceChildren(...safety.rule_names.map((name, i) => row(name, shown(safety.rule_counts[i]))));
}

function drawProcesses() {
  byId("processes").replaceChildren(...Object.entries(run.processes).map(([name, { cpu, rss_mb, alive }]) =>
    row(name, cpu.toFixed(2), rss_mb, alive ? "runs" : "ended")));
}

function drawAdvice() {
  byId("advice-words").hidden = run.advice.length > 0;
  byId("advice-words").textContent = "No measurement indicates a limit.";
  byId("advice").replaceChildren(...run.advice.map(({ finding, cure }) => {
    return make("li", {}, make("b", { textContent: finding }), ` ${cure.replaceAll("`", "")}`);
  }));
}

function row(...cells) {
  const [name, ...rest] = cells;
  return make("tr", {}, make("th", { scope: "row", textContent: name }), ...rest.map((cell) => make("td", { textContent: cell })));
}

// -- buttons ---------------------------------------------------------------------------------------------------------

async function checkAccess() {
  const answer = await fetch("/token", { headers: { "x-jsac-token": token } });
  const { may_do } = await answer.json();
  document.querySelectorAll("[data-verb]").forEach((button) => { button.disabled = !may_do; });
  byId("access").textContent = may_do ? "" :
    "Read-only. Open the address that the run prints (with its token) to press buttons here.";
}

async function ask(verb) {
  const isStop = verb === "emergency-stop", signal = AbortSignal.timeout(isStop ? STOP_ANSWER_MS : ANSWER_MS);
  const options = { method: "POST", headers: { "x-jsac-token": token }, priority: "high", signal };
  const answer = await fetch(`/do/${verb}`, options).then((response) => response.json()).catch(() => null);
  const { success = false, message = isStop ? "no answer: press the stop of the robot itself" : "no answer" } = answer ?? {};
  const title = isStop ? "Emergency stop" : VERBS[verb];
  byId("answer").textContent = success ? message : `${title}: not done – ${message}`;
  if (isStop) byId("stop").textContent = success ? title : "No answer: use the robot's own stop";
}

// The stop acts on touch, every other button on release.
byId("stop").addEventListener("pointerdown", (event) => { if (event.button === 0 && !byId("stop").disabled) ask("emergency-stop"); });
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-verb]"), isPressed = event.detail > 0;  // else by keyboard or screen reader
  if (button && !(button.id === "stop" && isPressed)) ask(button.dataset.verb);
});

byId("theme").addEventListener("click", () => {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
  document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
});

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

setInterval(() => {
  const began = run.episodes[0]?.unix_s - run.episodes[0]?.duration;
  if (began) byId("clock").textContent = new Date(1000 * Math.max(0, Date.now() / 1000 - began)).toISOString().slice(11, 19);
}, 1000);
addEventListener("resize", () => { drawLearning(); timeline.draw(); drawStrip(run.run?.period_ms); if (run.control) drawTiming(); });
connect();
