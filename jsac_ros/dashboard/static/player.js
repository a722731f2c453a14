// Plays a past episode from the store: its frames as the policy saw them, and the reward of every step.

import { lines, shown } from "/static/charts.js";
import { byId, make } from "/static/dom.js";

const WAITS_MS = 120;  // without a new selection during a drag, before an episode is loaded

export const outcome = (episode) => `${episode.success ? "success" : episode.reason}, return ${shown(episode.episode_return)}, ` +
  `${shown(episode.steps)} steps, policy ${shown(episode.policy_version)}${episode.evaluation ? ", evaluation" : ""}`;

export class Player {
  constructor(run) {
    this.run = run;
    this.showing = null;  // an episode and its sheets
    this.index = -1;
    this.loading = new AbortController();
    byId("play").addEventListener("click", () => this.play(!this.showing?.playing));
    byId("step").addEventListener("input", (event) => { this.play(false); this.show(Number(event.target.value)); });
  }

  open(index) {
    this.index = index;
    this.showing = null;
    byId("player").hidden = index < 0;
    clearTimeout(this.waits);
    this.loading.abort();  // on a slow link an outdated request would delay the new one
    if (index >= 0) this.waits = setTimeout(() => this.load(index).catch(() => this.missed(index)), WAITS_MS);
  }

  async load(index) {
    const episode = this.run.episodes[index], title = `Episode ${index + 1}: ${outcome(episode)}.`;
    const place = `/episode/${encodeURIComponent(episode.robot)}/${episode.session}/${episode.episode}`;
    this.loading = new AbortController();
    const { signal } = this.loading, answer = await fetch(place, { signal });
    if (this.index !== index) return;
    byId("player-images").replaceChildren();
    byId("playing").hidden = !answer.ok;
    byId("player-title").textContent = answer.ok ? title : `${title} The store does not have it (any more).`;
    if (!answer.ok) return;
    const showing = { ...(await answer.json()), place, sheets: {}, step: 0, playing: false };
    for (const name of Object.keys(showing.images)) await loadSheet(showing, name, signal);  // a browser has six connections
    if (this.index !== index) return;
    this.showing = showing;
    byId("step").max = showing.steps;
    this.show(0);
    this.play(true);
  }

  // Nothing arrived, or another episode has been selected.
  missed(index) {
    if (this.index === index) byId("player-title").textContent = `Episode ${index + 1} could not be loaded; select it again.`;
  }

  show(step) {
    const { showing } = this;
    if (!showing) return;
    showing.step = step;
    byId("step").value = step;
    byId("step-text").textContent = `step ${step} of ${showing.steps}`;
    for (const [name, sheet] of Object.entries(showing.sheets)) {
      const [height, width] = showing.images[name], place = Math.round(step / Math.max(showing.steps, 1) * (sheet.count - 1));
      canvasOf(name, width, height).getContext("2d").drawImage(sheet.bitmap, (place % sheet.columns) * width,
        Math.floor(place / sheet.columns) * height, width, height, 0, 0, width, height);
    }
    const of = (isShown) => showing.reward.map((value, i) => [i, isShown(i) ? value : null]);
    const byPerson = showing.intervened.some(Boolean);
    lines(byId("player-chart"), {
      title: `Reward of every step${byPerson ? ", thick for actions of a person" : ""}`, marks: [{ x: step, colour: "var(--blue)" }],
      lines: [{ points: of(() => true), colour: "var(--green)" }, { points: of((i) => showing.intervened[i]), colour: "var(--purple)", width: 4 }],
    });
  }

  play(on) {
    if (!this.showing) return;
    this.showing.playing = on;
    byId("play").textContent = on ? "Pause" : "Play";
    if (on) this.tick(this.showing);
  }

  tick(of) {
    if (this.showing !== of || !of.playing) return;
    this.show(of.step >= of.steps ? 0 : of.step + 1);
    if (of.step >= of.steps) this.play(false);
    else setTimeout(() => this.tick(of), this.run.run?.period_ms ?? 40);
  }
}

async function loadSheet(of, name, signal) {
  const answer = await fetch(`${of.place}/${name}.jpg`, { signal });
  if (!answer.ok) return;
  const bitmap = await createImageBitmap(await answer.blob());
  of.sheets[name] = { bitmap, columns: Number(answer.headers.get("x-columns")), count: Number(answer.headers.get("x-frames")) };
}

function canvasOf(name, width, height) {
  const box = byId("player-images");
  let canvas = box.querySelector(`canvas[data-image="${name}"]`);
  if (!canvas) {
    canvas = make("canvas", { width, height });
    canvas.dataset.image = name;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `frames of ${name}`);
    box.append(make("figure", {}, canvas, make("figcaption", { textContent: `${name}, as the policy saw it` })));
  }
  return canvas;
}
