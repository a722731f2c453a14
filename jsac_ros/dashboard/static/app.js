// The page: keeps what the socket says in `run`, draws what has changed, and asks for what a person presses.

import { bars, lines, shown } from "/static/charts.js";

const run = { episodes: [], events: [] };
const seconds = [];  // what the control status said, one a second
const KEPT_SECONDS = 600;
const byId = (id) => document.getElementById(id);
const token = takeToken();
let chosen = -1, player = null, follow = true;

const VERBS = {
  start: "Start", pause: "Pause", resume: "Resume", stop: "Stop", reset: "New episode", evaluate: "Evaluate",
  continue: "Continue", success: "Success", failure: "Failure", discard: "Discard episode", checkpoint: "Checkpoint",
  release: "Release",
};
const MOODS = { acting: "good", resetting: "good", shadow: "good", waiting: "wait", holding: "wait", paused: "wait", stopped: "bad" };

// From the address, where it is not left to be seen or copied, else as this tab kept it.
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) history.replaceState(null, "", location.pathname);
  try {
    if (given) sessionStorage.setItem("token", given);
    return given || (sessionStorage.getItem("token") ?? "");
  } catch {  // a browser that keeps nothing for pages: the token is lost with a reload
    return given ?? "";
  }
}

// -- the socket ------------------------------------------------------------------------------------------------------

let socket = null;

function connect() {
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/look`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => { run.episodes = []; run.events = []; askForImages(); };
  socket.onmessage = (message) => typeof message.data === "string" ? take(JSON.parse(message.data)) : takeImage(message.data);
  socket.onclose = () => { setState("no connection", "bad", "the page tries again every second"); setTimeout(connect, 1000); };
}

function askForImages() {
  const hidden = document.visibilityState !== "visible";
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ cameras: hidden ? [] : run.run?.cameras ?? [] }));
}
document.addEventListener("visibilitychange", askForImages);

function takeImage(buffer) {
  const bytes = new Uint8Array(buffer), end = bytes.indexOf(0);
  const { camera } = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
  const image = byId(`camera-${camera}`);
  if (image) {
    const address = URL.createObjectURL(new Blob([bytes.subarray(end + 1)], { type: "image/jpeg" }));
    image.onload = () => URL.revokeObjectURL(address);
    image.src = address;
  }
  socket.send(JSON.stringify({ seen: true }));
}

function take(changes) {
  for (const [part, value] of Object.entries(changes)) {
    if (part === "episodes" || part === "events") run[part].push(...value);
    else run[part] = value;
  }
  if (changes.control) seconds.push(changes.control) > KEPT_SECONDS && seconds.shift();
  if (changes.run) drawRun();
  if (changes.control || changes.safety || changes.ages) drawState();
  if (changes.control) drawTiming();
  if (changes.episodes || changes.baseline) drawLearning();
  if (changes.training || changes.replay || changes.control || changes.episodes) drawFigures();
  if (changes.episodes || changes.events) drawTimeline();
  if (changes.events) drawEvents();
  if (changes.safety || changes.rules) drawSafety();
  if (changes.processes) drawProcesses();
  if (changes.advice) drawAdvice();
}

// -- drawing ---------------------------------------------------------------------------------------------------------

function drawRun() {
  const { name, robot, task, driver, cameras } = run.run;
  byId("name").textContent = name;
  byId("about").textContent = `${task} · ${robot} · ${driver === "sim" ? "simulated" : driver}`;
  document.title = `${name} – jsac_ros`;
  byId("cameras").replaceChildren(...cameras.map((camera) => {
    const figure = document.createElement("figure"), image = new Image(), caption = document.createElement("figcaption");
    image.id = `camera-${camera}`;
    image.alt = `live image of camera ${camera}`;
    caption.textContent = camera;
    figure.append(image, caption);
    return figure;
  }));
  byId("verbs").replaceChildren(...Object.entries(VERBS).map(([verb, title]) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.verb = verb;
    button.textContent = title;
    return button;
  }));
  askForImages();
  checkAccess();
}

function setState(text, mood, reason = "") {
  const pill = byId("state");
  if (pill.textContent !== text) pill.textContent = text;
  pill.className = `pill ${mood}`;
  byId("reason").textContent = reason;
}

function drawState() {
  const { control, safety, ages = {} } = run;
  if (safety?.emergency_stop) setState("stopped", "bad", safety.reason);
  else if (!control || ages.control > 3) setState("no actor", "bad", "its process is gone or starting");
  else setState(control.state, MOODS[control.state] ?? "wait", control.reason || (safety?.state === "holding" ? safety.reason : ""));
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
    "Transitions stored": shown(replay.stored ?? null),
    "Updates": shown(training.updates ?? null),
    "Updates a second": shown(training.updates_per_s ?? null),
    "Updates a step": steps ? shown((training.updates ?? 0) / steps) : "–",
    "Policy age": control.policy_age_s === undefined ? "–" : `${shown(control.policy_age_s)} s`,
    "Learner": training.problem || (training.state ?? "–"),
    "Replay": replay.problem || replay.waiting_for || "ready",
  };
  byId("figures").replaceChildren(...Object.entries(figures).map(([name, value]) => {
    const pair = document.createElement("div"), term = document.createElement("dt"), text = document.createElement("dd");
    term.textContent = name;
    text.textContent = value;
    pair.append(term, text);
    return pair;
  }));
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
  byId("advice-words").textContent = "Nothing that is measured limits it.";
  byId("advice").replaceChildren(...run.advice.map(({ finding, cure }) => {
    const item = document.createElement("li"), found = document.createElement("b");
    found.textContent = finding;
    item.append(found, ` ${cure.replaceAll("`", "")}`);
    return item;
  }));
}

function row(...cells) {
  const line = document.createElement("tr");
  cells.forEach((cell, i) => {
    const made = document.createElement(i ? "td" : "th");
    if (!i) made.scope = "row";
    made.textContent = cell;
    line.append(made);
  });
  return line;
}

// -- the timeline ----------------------------------------------------------------------------------------------------

const COLOURS = { safety: "var(--red)", actor: "var(--amber)", process: "var(--red)", checkpoint: "var(--blue)" };

function drawTimeline() {
  const { episodes, events } = run, slider = byId("chosen");
  slider.max = Math.max(episodes.length - 1, 0);
  slider.disabled = !episodes.length;
  if (follow && !player) slider.value = slider.max;
  const marks = events.filter((event) => COLOURS[event.kind] && event.kind !== "checkpoint" || event.kind === "checkpoint")
    .map((event) => ({ place: placeOf(event.unix_s), colour: COLOURS[event.kind] }));
  bars(byId("timeline-chart"), {
    title: `${episodes.length} episodes and ${events.length} events`, marks, chosen,
    values: episodes.map((episode) => episode.episode_return), filled: episodes.map((episode) => episode.success),
  });
}

function placeOf(unix_s) {
  const after = run.episodes.findIndex((episode) => episode.unix_s >= unix_s);
  return after < 0 ? run.episodes.length : after;
}

function drawEvents() {
  byId("events").replaceChildren(...run.events.slice(-200).reverse().map((event) => {
    const item = document.createElement("li"), when = document.createElement("time");
    when.dateTime = new Date(1000 * event.unix_s).toISOString();
    when.textContent = new Date(1000 * event.unix_s).toLocaleTimeString("en-GB");
    item.append(when, `${event.title}${event.text ? ` – ${event.text}` : ""}`);
    return item;
  }));
}

byId("chosen").addEventListener("input", (event) => { follow = false; choose(Number(event.target.value)); });

async function choose(index) {
  const episode = run.episodes[index];
  if (!episode) return;
  chosen = index;
  drawTimeline();
  const place = `/episode/${encodeURIComponent(episode.robot)}/${episode.session}/${episode.episode}`;
  const answer = await fetch(place);
  if (chosen !== index) return;
  byId("player").hidden = false;
  const outcome = `${episode.success ? "success" : episode.reason}, return ${shown(episode.episode_return)}, ${episode.steps} steps, ` +
    `policy ${episode.policy_version}${episode.evaluation ? ", evaluation" : ""}`;
  if (!answer.ok) {
    byId("player-title").textContent = `Episode ${index}: ${outcome}. The store does not hold it (any more).`;
    byId("player-images").replaceChildren();
    player = null;
    return;
  }
  byId("player-title").textContent = `Episode ${index}: ${outcome}.`;
  byId("player-images").replaceChildren();
  player = { ...(await answer.json()), place, sheets: {}, step: 0, playing: false };
  byId("step").max = player.steps;
  await Promise.all(Object.keys(player.images).map((name) => loadSheet(player, name)));
  show(0);
  play(true);
}

async function loadSheet(of, name) {
  const answer = await fetch(`${of.place}/${name}.jpg`);
  if (!answer.ok) return;
  const bitmap = await createImageBitmap(await answer.blob());
  of.sheets[name] = { bitmap, columns: Number(answer.headers.get("x-columns")), count: Number(answer.headers.get("x-frames")) };
}

function show(step) {
  if (!player) return;
  player.step = step;
  byId("step").value = step;
  byId("step-text").textContent = `step ${step} of ${player.steps}`;
  const box = byId("player-images");
  for (const [name, sheet] of Object.entries(player.sheets)) {
    const [height, width] = player.images[name];
    let canvas = box.querySelector(`canvas[data-image="${name}"]`);
    if (!canvas) {
      const figure = document.createElement("figure"), caption = document.createElement("figcaption");
      canvas = document.createElement("canvas");
      canvas.dataset.image = name;
      caption.textContent = `${name}, as the policy saw it`;
      figure.append(canvas, caption);
      box.append(figure);
    }
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const place = Math.round(step / Math.max(player.steps, 1) * (sheet.count - 1));
    canvas.getContext("2d").drawImage(sheet.bitmap, (place % sheet.columns) * width, Math.floor(place / sheet.columns) * height,
      width, height, 0, 0, width, height);
  }
  lines(byId("player-chart"), {
    title: "Reward of every step", marks: [{ x: step, colour: "var(--blue)" }],
    lines: [{ points: player.reward.map((value, i) => [i, value]), colour: "var(--green)" }],
  });
}

function play(on) {
  if (!player) return;
  player.playing = on;
  byId("play").textContent = on ? "Pause" : "Play";
  if (on) tick(player);
}

function tick(of) {
  if (player !== of || !of.playing) return;
  show(of.step >= of.steps ? 0 : of.step + 1);
  if (of.step >= of.steps) play(false);
  else setTimeout(() => tick(of), run.run?.period_ms ?? 40);
}

byId("play").addEventListener("click", () => play(!player?.playing));
byId("step").addEventListener("input", (event) => { play(false); show(Number(event.target.value)); });

// -- what a person presses -------------------------------------------------------------------------------------------

async function checkAccess() {
  const answer = await fetch("/token", { headers: { "x-jsac-token": token } });
  const { may_do } = await answer.json();
  document.querySelectorAll("[data-verb]").forEach((button) => { button.disabled = !may_do; });
  byId("access").textContent = may_do ? "" :
    "Read-only. Open the address that the run prints (with its token) to press buttons here.";
}

document.addEventListener("click", async (event) => {
  const verb = event.target.closest("[data-verb]")?.dataset.verb;
  if (!verb) return;
  const answer = await fetch(`/do/${verb}`, { method: "POST", headers: { "x-jsac-token": token } }).catch(() => null);
  const { success = false, message = "no answer" } = answer ? await answer.json() : {};
  byId("answer").textContent = success ? message : `${VERBS[verb] ?? "Emergency stop"}: not done – ${message}`;
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
addEventListener("resize", () => { drawLearning(); drawTimeline(); if (run.control) drawTiming(); });
connect();
