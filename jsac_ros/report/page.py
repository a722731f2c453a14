"""`report.html`: the report of a run as one self-contained file."""

from __future__ import annotations

import html
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jsac_ros import documents, provenance
from jsac_ros.control.ending import FALSE_GOAL, MISSED_GOAL
from jsac_ros.report import episode_table, figures
from jsac_ros.report.advice import Advice, advise
from jsac_ros.report.curve import learning_curve
from jsac_ros.report.evidence import evidence_of
from jsac_ros.report.folder import config_of, store_of
from jsac_ros.report.histograms import read_histograms
from jsac_ros.report.markup import document, drawn, playable, section, table, tile, words
from jsac_ros.report.run_events import events_of
from jsac_ros.report.seen import EVERY, Seen, what_it_saw
from jsac_ros.report.summary import WINDOW, Totals
from jsac_ros.report.tables import Row, number, read_rows, without_figures
from jsac_ros.report.timeline import drawn_timeline, lines_of

_MOST_REASONS = 6
_MOST_OPEN = 60  # episodes up to which the list is unfolded
_REPRODUCE = (
    "The same command with the same version starts with the same parameters and the same random numbers. The timing of a live "
    "run varies, so its curve will differ; `jsac-ros report RUN RUN ...` shows by how much for several seeds. From a "
    "recording the same actions can be recomputed (`jsac-ros recompute BAG`)."
)

_MEANS = {  # tile -> what its figure is, in words
    "episodes": "Episodes of training that ended, evaluations left out. A step is a control period in which the policy acted.",
    "return, last 10": "Mean sum of rewards of the newest ten episodes that ran their course, beside that of the first ten.",
    "success, last 10": "Share of the newest ten episodes in which the goal was reached, beside that of the first ten.",
    "updates": "Gradient steps of the learner, each on one batch of stored transitions, and its rate at the median.",
    "ticks missed": "Control periods that were skipped because one before took too long, of all; the last action is kept.",
    "transitions lost": "Transitions that an actor sent and the replay store never got, of all that were sent; expected is 0.",
    "memory, all": "Largest resident memory of each process, added up; shared pages count in each.",
}


def page(folder: Path, summary: Mapping[str, Any], totals: Totals, baselines: dict[str, float]) -> str:
    """The whole page as text."""
    rows, histograms = read_rows(folder / "metrics.csv"), read_histograms(folder)
    rules = _rule_counts(rows)
    sections = [
        _learning(folder, totals, baselines),
        section(
            "What limits this run",
            "Derived from measurements, most important first; `jsac-ros why` prints the same.",
            _advice(advise(evidence_of(folder, totals, summary, baselines))),
        ),
        _what_happened(folder, rows, totals),
        _episodes(folder, rows, totals),
        section(
            "Control timing",
            "How often each duration occurred, over all ticks of the run. Both axes are logarithmic, so that rare long ones "
            "are visible. A tick that is late by a control period is skipped. The lines are the median (p50), the value that "
            "one tick in a hundred exceeds (p99) and the maximum.",
            _timing_table(summary) + drawn(figures.timing(histograms), "distributions of the durations of control"),
        ),
        section(
            "Pace",
            "Flat lines are good. The number of missed ticks should not rise. If the age of the policy rises, no new policy "
            "arrives: the learner is slow or dead.",
            drawn(figures.health(rows), "pace of control and learning over the run"),
        ),
        section("Safety", _safety_words(rows, rules), drawn(figures.interventions(rules), "how often each rule acted")),
        *_person(totals),
        section(
            "Learner",
            "Metrics of the updates (pale) and their mean over 3 % of the run. The scale of the critic loss means little, but "
            "it should not grow without bound. Q should approach the returns; the entropy falls from that of uniform actions "
            "to its target.",
            drawn(figures.losses(rows), "losses and other scalars over the updates"),
        ),
        section(
            "Processes",
            "Memory that still rises at the end of a long run is a leak. A process at 100 % of a core may limit the run. "
            "Peak resident memory: "
            + (", ".join(f"{name} {mb:,.0f} MB" for name, mb in summary["peak_rss_mb"].items()) or "not measured")
            + ".",
            drawn(figures.processes(rows), "memory and CPU of every process over the run"),
        ),
        section("How to reproduce this run", _REPRODUCE, _reproduce(folder)),
    ]
    name = folder.resolve().name
    return document(name, _when(rows, summary), f"<div class=tiles>{_tiles(summary)}</div>{''.join(sections)}")


def _learning(folder: Path, totals: Totals, baselines: dict[str, float]) -> str:
    curve = drawn(learning_curve(totals, baselines, ""), "return and success of every episode over robot time")
    seen, missing = what_it_saw(totals, store_of(folder, config_of(folder)))
    films = "".join(_film_of(episode, totals) for episode in seen) or f"<p>No images: {words(missing)}</p>"
    return section(
        "Learning",
        f"Every point is a complete episode, the line is the mean of {WINDOW}, and dashed lines are the baselines. Below: the "
        f"success rate over {WINDOW} episodes. {_ends(totals)}. {_believed(folder, totals)}Beside it: the frames that the "
        f"policy saw in the first, every {EVERY}th, the best and the last episode in the store. `jsac-ros report {folder} "
        "--film` makes a film of the whole training, one minute long.",
        f'<div class=beside>{curve}<div class=films tabindex=0 role=region aria-label="frames">{films}</div></div>',
    )


def _what_happened(folder: Path, rows: list[Row], totals: Totals) -> str:
    events, started_s = events_of(folder, rows, totals), totals.started_s or 0.0
    end_s = max([started_s + totals.duration_s, *(event.end_s for event in events)])
    lines, left_out = lines_of(events, started_s)
    listed = table(("minute", "for", "what", ""), lines, "text") if lines else "<p>Nothing happened.</p>"
    more = f"<p>{left_out:,} less important ones are in metrics.csv and episodes.csv.</p>" if left_out else ""
    return section(
        "What happened",
        "One line per kind of event, over the same minutes as the learning curve. Little is learned during holds and in cut "
        "episodes. A safety rule that acts continuously changes the policy's commands all the time. A restart explains a drop "
        "of the curve after it. Events of one kind that are close together are merged.",
        drawn(drawn_timeline(events, started_s, end_s), "events of each kind over the run")
        + f"<details><summary>{len(lines)} events as text</summary>{listed}{more}</details>",
    )


def _episodes(folder: Path, rows: list[Row], totals: Totals) -> str:
    lines, left_out = episode_table.lines_of(totals, rows, store_of(folder, config_of(folder)))
    listed = table(episode_table.HEAD, lines, "text") if lines else "<p>No episode has ended.</p>"
    older = f"<p>{left_out:,} older episodes are in episodes.csv.</p>" if left_out else ""
    opened = " open" if len(lines) <= _MOST_OPEN else ""
    return section(
        "Episodes",
        "Why each episode ended, how much safety changed its commands, how often each rule acted, and why the robot was held. "
        "Search this page for `episode 37`. The numbers are ticks of the safety gate in which a rule acted. They are counted "
        "per second, so those at the ends of an episode may belong to a neighbour.",
        f"<details{opened}><summary>{len(lines):,} episodes</summary>{listed}{older}</details>",
    )


def _film_of(episode: Seen, totals: Totals) -> str:
    row = episode.row
    minute = max(number(row, "time_s") - (totals.started_s or 0.0), 0.0) / 60
    end = "success" if number(row, "success", 0) else html.escape(row.get("reason", ""))
    why = f", {episode.why}" if episode.why else ""
    earned = number(row, "episode_return")
    said = f"<b>Episode {html.escape(row['episode'])}{why}</b>: minute {minute:.1f}, return {earned:.1f}, {end}"
    notes = {film.image: f"; {film.damaged} damaged frames are not shown" if film.damaged else "" for film in episode.films}
    several = len(episode.films) > 1
    return "".join(
        playable(film, said + (f", {html.escape(film.image)}" if several else "") + notes[film.image]) for film in episode.films
    )


def _person(totals: Totals) -> list[str]:
    """The section about interventions; none without interventions."""
    times, chosen, steps = (
        sum(int(number(row, name, 0)) for row in totals.episodes) for name in ("interventions", "intervened_steps", "steps")
    )
    if not times:
        return []
    share = chosen / max(steps, 1)
    said = (
        f"A person took over {times:,} times, for {chosen / times:.1f} steps each: {share:.0%} of the steps. As the policy "
        "learns, interventions should become rare."
    )
    figure = figures.help_of_a_person(totals.episodes)
    return [section("Interventions", said, drawn(figure, "share and length of interventions over the run"))]


def _advice(found: list[Advice]) -> str:
    if not found:
        return "<p>No rule found a limit.</p>"
    items = (f"<li><b>{words(advice.finding)}</b><br>{words(advice.cure)}</li>" for advice in found)
    return f"<ol>{''.join(items)}</ol>"


def _tiles(summary: Mapping[str, Any]) -> str:
    control, transitions = summary["control"], summary["transitions"]
    tiles = (
        ("episodes", _text(summary["episodes"]), f"{_text(summary['env_steps'])} steps"),
        ("return, last 10", *(_text(summary[f"return_{which}10_mean"]) for which in ("last", "first"))),
        ("success, last 10", *(_text(summary[f"success_{which}10"], ".0%") for which in ("last", "first"))),
        ("updates", _text(summary["updates"]), f"{_text(summary['learner']['updates_per_s'])}/s"),
        ("ticks missed", _text(control["missed"]), f"of {_text(control['ticks'])}"),
        ("transitions lost", _text(transitions["lost"]), f"of {_text(transitions['sent'])}"),
        ("memory, all", f"{sum(summary['peak_rss_mb'].values()) / 1000:.2f}", "GB"),
    )
    tiles = [(name, value, f"first {note}" if name.endswith("last 10") else note) for name, value, note in tiles]
    return "".join(tile(name, value, note, _MEANS[name]) for name, value, note in tiles)


def _timing_table(summary: Mapping[str, Any]) -> str:
    control = summary["control"]
    names = {"jitter_ms": "tick late", "obs_to_command_ms": "camera to command", "image_age_ms": "image age"}
    rows = [(label, *(_text(control[name].get(key), ",.2f") for key in control["jitter_ms"])) for name, label in names.items()]
    return table(("ms", *control["jitter_ms"]), rows)


def _rule_counts(rows: list[Row]) -> dict[str, int]:
    names = figures.names_under(rows, "safety.rule.")
    return {name: int(max(number(row, f"safety.rule.{name}", 0) for row in rows)) for name in names}


def _safety_words(rows: list[Row], rules: Mapping[str, int]) -> str:
    ticks = max((number(row, "safety.ticks", 0) for row in rows), default=0)
    if not ticks:
        return "No status of a safety process was received."
    latched = ["0", *(stop for row in rows if (stop := row.get("safety.emergency_stop")))]
    stops = sum(after > before for before, after in zip(latched, latched[1:]))
    changed = "How often each rule changed a command" if rules else "No rule changed a command"
    return (
        f"{changed}, in {ticks:,.0f} ticks of the gate; {stops} emergency stops. If a rule acts often, its limit or the scale "
        "of the action is unsuitable."
    )


def _ends(totals: Totals) -> str:
    reasons = Counter(without_figures(row.get("reason", "")) for row in totals.episodes)
    shown = [f"{reason} {count:,}" for reason, count in reasons.most_common(_MOST_REASONS)]
    return "Ends: " + (", ".join(shown) or "none yet")


def _believed(folder: Path, totals: Totals) -> str:
    """Compares the classifier's successes with the task's own measure; '' without a classifier."""
    if not getattr(config_of(folder).task, "classifier", ""):
        return ""

    def said(rows: Sequence[Row]) -> str:
        reasons = Counter(row.get("reason", "") for row in rows)
        called = sum(number(row, "success", 0) > 0 for row in rows)
        return f"{called:,} successes, {reasons[FALSE_GOAL]:,} of them false, {reasons[MISSED_GOAL]:,} missed"

    last = totals.episodes[-5 * WINDOW :]
    return (
        f"A classifier gives the reward. Against the task's own measure, where the task has one: {said(totals.episodes)}; in "
        f"the last {len(last)} episodes {said(last)}. "
    )


def _when(rows: list[Row], summary: Mapping[str, Any]) -> str:
    if not rows:
        return "no metrics were written"
    began = time.strftime("%Y-%m-%d %H:%M", time.localtime(number(rows[0], "unix_s", 0)))
    return f"{began}, {summary['duration_s'] / 60:.1f} minutes of robot time"


def _reproduce(folder: Path) -> str:
    made, config = provenance.read(folder), config_of(folder)
    rows = [("command", f"`{made['command']}`")] if "command" in made else []
    if not config.train.environment:
        rows.append(("with the file below", f"`jsac-ros run {folder.name}/config.yaml`"))
    rows.append(("seed", str(config.run.seed)))
    rows += [(name, made[name]) for name in ("version", "python", "system", "machine", "gpu") if name in made]
    if not made:
        rows.append(("version, machine", f"not recorded; this page was written by version {provenance.installed()}"))
    return table(("", ""), rows, "text") + _configuration(folder)


def _configuration(folder: Path) -> str:
    try:
        text = documents.read(folder / "config.yaml", documents.YAML_BYTES)
    except ValueError:
        return ""
    return f"<details><summary>config.yaml</summary><pre>{html.escape(text)}</pre></details>"


def _text(value: float | None, form: str = "") -> str:
    if value is None:
        return "–"
    return format(value, form or (",.0f" if value == int(value) else ",.1f"))
