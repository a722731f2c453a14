// The whole run on a timeline: one bar per episode, one lane per kind of event. It is a slider: drag it or use the arrow keys.

import { element, extent, padded, shown, ticks } from "/static/charts.js";
import { byId, make } from "/static/dom.js";
import { outcome } from "/static/player.js";

const LANES = {  // kind of event -> its short name, its colour
  "emergency stop": ["stop", "var(--red)"], restart: ["restart", "var(--purple)"], hold: ["hold", "var(--amber)"],
  "episode cut": ["cut", "var(--teal)"], person: ["person", "var(--green)"], rule: ["rule", "var(--soft)"],
  checkpoint: ["checkpoint", "var(--blue)"],
};
const LEFT = 70, RIGHT = 10, TOP = 8, BARS = 130, LANE = 14, LISTED = 200, LATER = 10;

export class Timeline {
  constructor(run, onChoose) {
    this.run = run;
    this.onChoose = onChoose;  // (index of an episode), -1: back to now
    this.chosen = -1;
    this.slider = byId("chosen");
    this.slider.addEventListener("keydown", (event) => this.key(event));
    this.slider.addEventListener("pointerdown", (event) => { this.slider.setPointerCapture(event.pointerId); this.drag(event); });
    this.slider.addEventListener("pointermove", (event) => { if (event.buttons) this.drag(event); });
    byId("now").addEventListener("click", () => this.choose(-1));
  }

  choose(index) {
    this.chosen = index < 0 ? -1 : Math.min(index, this.run.episodes.length - 1);
    this.draw();
    this.onChoose(this.chosen);
  }

  key(event) {
    const last = this.run.episodes.length - 1, here = this.chosen < 0 ? last + 1 : this.chosen;
    const to = {
      ArrowLeft: here - 1, ArrowDown: here - 1, ArrowRight: here + 1, ArrowUp: here + 1, PageDown: here - LATER, PageUp: here + LATER,
      Home: 0, End: last,
    }[event.key];
    if (event.key === "Escape") this.choose(-1);
    else if (to !== undefined && last >= 0) this.choose(Math.max(0, Math.min(to, last)));
    else return;
    event.preventDefault();
  }

  drag(event) {
    if (!this.run.episodes.length) return;
    const box = this.slider.getBoundingClientRect(), share = (event.clientX - box.left) / box.width;
    const index = this.at(this.time(share * this.width));
    if (index !== this.chosen) this.choose(index);
  }

  // The episode at a time, or the nearest one.
  at(unix_s) {
    let best = 0, least = Infinity;
    this.run.episodes.forEach(({ unix_s: end, duration = 0 }, i) => {
      const away = Math.max(end - duration - unix_s, unix_s - end, 0);
      if (away < least) [best, least] = [i, away];
    });
    return best;
  }

  span() {
    const { episodes, events } = this.run, first = episodes[0];
    const begins = [first && first.unix_s - (first.duration ?? 0), events[0]?.begin_s].filter(Number.isFinite);
    const ends = [episodes.at(-1)?.unix_s, ...events.slice(-20).map((event) => event.end_s ?? Date.now() / 1000)].filter(Number.isFinite);
    return begins.length ? [Math.min(...begins), Math.max(...ends, Math.min(...begins) + 1)] : [0, 1];
  }

  x(unix_s) {
    return LEFT + (unix_s - this.limits[0]) / (this.limits[1] - this.limits[0]) * (this.width - LEFT - RIGHT);
  }

  time(x) {
    return this.limits[0] + (x - LEFT) / (this.width - LEFT - RIGHT) * (this.limits[1] - this.limits[0]);
  }

  draw() {
    const { episodes, events } = this.run;
    this.width = Math.max(this.slider.clientWidth, 200);
    this.limits = this.span();
    const kinds = Object.keys(LANES).filter((kind) => events.some((event) => event.kind === kind));
    const height = TOP + BARS + kinds.length * LANE + 20;
    const svg = element("svg", { viewBox: `0 0 ${this.width} ${height}`, "aria-hidden": "true" });
    svg.style.height = `${height}px`;
    this.drawBars(svg, episodes);
    kinds.forEach((kind, place) => this.drawLane(svg, kind, TOP + BARS + 6 + place * LANE));
    if (episodes[this.chosen]) {
      const at = this.x(episodes[this.chosen].unix_s - (episodes[this.chosen].duration ?? 0) / 2);
      svg.append(element("path", { d: `M${at} ${TOP}V${height - 14}`, stroke: "var(--ink)", "stroke-width": 1.5 }),
        element("circle", { cx: at, cy: TOP, r: 5, fill: "var(--ink)" }));
    }
    const minutes = shown((this.limits[1] - this.limits[0]) / 60);
    svg.append(element("text", { x: LEFT, y: height - 2 }, "begin"),
      element("text", { x: this.width - RIGHT, y: height - 2, "text-anchor": "end" }, `${minutes} min`));
    this.slider.replaceChildren(svg);
    this.describe();
  }

  // One path per colour, as a day has thousands of episodes.
  drawBars(svg, episodes) {
    const [low, high] = padded(extent([...episodes.map((episode) => episode.episode_return), 0], [0, 1]));
    const y = (value) => TOP + BARS - (value - low) / (high - low || 1) * BARS, zero = y(0);
    for (const value of ticks([low, high])) {
      svg.append(element("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, shown(value)));
    }
    const paths = { success: "", other: "", chosen: "" };
    episodes.forEach((episode, i) => {
      const end = this.x(episode.unix_s), begin = Math.min(this.x(episode.unix_s - (episode.duration ?? 0)), end - .7);
      const top = y(episode.episode_return ?? 0), tall = Math.abs(top - zero) < 1.5 ? zero - 1.5 : top;
      const name = i === this.chosen ? "chosen" : episode.success ? "success" : "other";
      paths[name] += `M${begin.toFixed(1)} ${zero.toFixed(1)}V${tall.toFixed(1)}H${(end - Math.min(1, (end - begin) / 4)).toFixed(1)}V${zero.toFixed(1)}Z`;
    });
    svg.append(element("path", { d: paths.other, fill: "var(--card)", stroke: "var(--soft)", "stroke-width": .8 }),
      element("path", { d: paths.success, fill: "var(--green)" }), element("path", { d: paths.chosen, fill: "var(--blue)" }));
  }

  drawLane(svg, kind, top) {
    const [name, colour] = LANES[kind];
    const path = this.run.events.filter((event) => event.kind === kind).map((event) => {
      const begin = this.x(event.begin_s), end = this.x(event.end_s ?? Date.now() / 1000);
      return `M${begin.toFixed(1)} ${top}h${Math.max(end - begin, 2.5).toFixed(1)}v${LANE - 5}h-${Math.max(end - begin, 2.5).toFixed(1)}z`;
    }).join("");
    svg.append(element("text", { x: LEFT - 6, y: top + LANE - 6, "text-anchor": "end" }, name), element("path", { d: path, fill: colour }));
  }

  describe() {
    const { episodes } = this.run, last = episodes.length - 1, here = this.chosen;
    const text = last < 0 ? "no episode yet" : here < 0 ? `now, after ${episodes.length} episodes`
      : `episode ${here + 1} of ${episodes.length}, ${outcome(episodes[here])}`;
    const values = { valuemin: 0, valuemax: Math.max(last, 0), valuenow: here < 0 ? Math.max(last, 0) : here, valuetext: text, disabled: last < 0 };
    for (const [name, value] of Object.entries(values)) this.slider.setAttribute(`aria-${name}`, value);
    byId("now").hidden = here < 0;
  }

  // Newest first; a click selects the episode of that time.
  list() {
    byId("events").replaceChildren(...this.run.events.slice(-LISTED).reverse().map((event) => {
      const when = new Date(1000 * event.begin_s), long = (event.end_s ?? Date.now() / 1000) - event.begin_s;
      const time = make("time", { dateTime: when.toISOString(), textContent: when.toLocaleTimeString("en-GB") });
      const length = event.end_s === null ? ", still" : long >= 1 ? `, ${shown(long)} s` : "", times = event.count > 1 ? `, ${event.count} times` : "";
      const button = make("button", { type: "button", className: "event" }, time, make("b", { textContent: event.kind }), ` ${event.text}${length}${times}`);
      button.addEventListener("click", () => { if (this.run.episodes.length) this.choose(this.at(event.begin_s)); });
      return make("li", {}, button);
    }));
  }
}

// An event is received again, with its end, when it has ended.
export function takeEvents(events, told) {
  for (const event of told) {
    const same = event.end_s === null ? -1 : events.findLastIndex(({ begin_s, kind, text }) =>
      begin_s === event.begin_s && kind === event.kind && text === event.text);
    if (same < 0) events.push(event);
    else events[same] = event;
  }
}
