"""`report.html`: one file that needs nothing beside it."""

from __future__ import annotations

import html
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsac_ros import documents, provenance
from jsac_ros.report import episode_table, figures
from jsac_ros.report.advice import Advice, advise
from jsac_ros.report.curve import learning_curve
from jsac_ros.report.evidence import evidence_of
from jsac_ros.report.folder import config_of, store_of
from jsac_ros.report.histograms import read_histograms
from jsac_ros.report.markup import document, drawn, playable, section, table, words
from jsac_ros.report.run_events import events_of
from jsac_ros.report.seen import EVERY, Seen, what_it_saw
from jsac_ros.report.summary import WINDOW, Totals
from jsac_ros.report.tables import Row, number, read_rows, without_figures
from jsac_ros.report.timeline import drawn_timeline, lines_of

_MOST_REASONS = 6
_MOST_OPEN = 60  # episodes that are listed without being asked for
_REPRODUCE = (
    "The same command with the same version begins with the same parameters and draws the same explorations. A live run has "
    "timing of its own, so its curve will differ; `jsac-ros report RUN RUN ...` says by how much several seeds do. A "
    "recording can be computed again to the same actions (`jsac-ros replay BAG`)."
)


def page(folder: Path, summary: Mapping[str, Any], totals: Totals, baselines: dict[str, float]) -> str:
    """The whole page as text."""
    rows, histograms = read_rows(folder / "metrics.csv"), read_histograms(folder)
    rules = _rule_counts(rows)
    sections = [
        _learning(folder, totals, baselines),
        section(
            "What limits this run",
            "From what was measured, most important first; `jsac-ros why` says the same.",
            _advice(advise(evidence_of(folder, totals, summary, baselines))),
        ),
        _what_happened(folder, rows, totals),
        _episodes(folder, rows, totals),
        section(
            "Control timing",
            "How often each duration occurred, over all ticks of the run. Both axes are logarithmic: what is far to the right "
            "happened, however rarely. A tick that is late by a control period is skipped. The lines are the median (p50), "
            "what one tick in a hundred exceeds (p99) and the largest.",
            _timing_table(summary) + drawn(figures.timing(histograms), "distributions of the durations of control"),
        ),
        section(
            "Pace",
            "Flat lines are good. Ticks missed should not rise; a policy whose age rises is not replaced: the learner is slow "
            "or dead.",
            drawn(figures.health(rows), "pace of control and learning over the run"),
        ),
        section("Safety", _safety_words(rows, rules), drawn(figures.interventions(rules), "how often each rule acted")),
        *_person(totals),
        section(
            "Learner",
            "What the learner reports of its updates, pale, and its mean over 3 % of the run. The critic's loss has no scale "
            "of its own: it should not grow without end. Q should approach the returns to come; entropy falls from uniform "
            "actions to its target.",
            drawn(figures.losses(rows), "losses and other scalars over the updates"),
        ),
        section(
            "Processes",
            "Memory that rises to the end of a long run is a leak. A process at 100 % of a core may be what limits the run. "
            "Peak resident memory: "
            + (", ".join(f"{name} {mb:,.0f} MB" for name, mb in summary["peak_rss_mb"].items()) or "not measured")
            + ".",
            drawn(figures.processes(rows), "memory and CPU of every process over the run"),
        ),
        section("How to reproduce it", _REPRODUCE, _reproduce(folder)),
    ]
    name = folder.resolve().name
    return document(name, _when(rows, summary), f"<div class=tiles>{_tiles(summary)}</div>{''.join(sections)}")


def _learning(folder: Path, totals: Totals, baselines: dict[str, float]) -> str:
    curve = drawn(learning_curve(totals, baselines, ""), "return and success of every episode over robot time")
    seen, missing = what_it_saw(totals, store_of(folder, config_of(folder)))
    films = "".join(_film_of(episode, totals) for episode in seen) or f"<p>No images: {words(missing)}</p>"
    return section(
        "Learning",
        f"Every point is an episode that ran its course, the line the mean of {WINDOW}; dashed lines are what others earn; "
        f"below, the share of successes in {WINDOW} episodes. {_ends(totals)}. Beside it, what the robot saw in the first, "
        f"every {EVERY}th, the best and the last episode that the store holds, as the policy sees it. "
        f"`jsac-ros report {folder} --film` makes a film of it all, of a minute.",
        f'<div class=beside>{curve}<div class=films tabindex=0 role=region aria-label="what it saw">{films}</div></div>',
    )


def _what_happened(folder: Path, rows: list[Row], totals: Totals) -> str:
    events, started_s = events_of(folder, rows, totals), totals.started_s or 0.0
    end_s = max([started_s + totals.duration_s, *(event.end_s for event in events)])
    lines, left_out = lines_of(events, started_s)
    listed = table(("minute", "for", "what", ""), lines, "text") if lines else "<p>Nothing happened.</p>"
    more = f"<p>{left_out:,} more, of less weight, are in metrics.csv and episodes.csv.</p>" if left_out else ""
    return section(
        "What happened",
        "A line for each kind of event, under the minutes of the learning curve. Holds and cut episodes are time from which "
        "little is learned; a rule of safety that acts without a break changes what the policy asked for all the time; a fall "
        "of the curve behind a restart is explained by it. Events of one kind that lie close together are one.",
        drawn(drawn_timeline(events, started_s, end_s), "events of each kind over the run")
        + f"<details><summary>{len(lines)} events as text</summary>{listed}{more}</details>",
    )


def _episodes(folder: Path, rows: list[Row], totals: Totals) -> str:
    lines, left_out = episode_table.lines_of(totals, rows, store_of(folder, config_of(folder)))
    listed = table(episode_table.HEAD, lines, "text") if lines else "<p>No episode has ended.</p>"
    older = f"<p>{left_out:,} older ones are in episodes.csv.</p>" if left_out else ""
    opened = " open" if len(lines) <= _MOST_OPEN else ""
    return section(
        "Episodes",
        "Why each ended, and what safety did in it: by how much it changed the commands, which rules acted how often, what "
        "held the robot. Search this page for `episode 37`. Rules count the ticks of the gate in which they acted, in whole "
        "seconds, so those at the ends of an episode may be its neighbour's.",
        f"<details{opened}><summary>{len(lines):,} episodes</summary>{listed}{older}</details>",
    )


def _film_of(episode: Seen, totals: Totals) -> str:
    row = episode.row
    minute = max(number(row, "time_s") - (totals.started_s or 0.0), 0.0) / 60
    end = "success" if number(row, "success", 0) else html.escape(row.get("reason", ""))
    why = f", {episode.why}" if episode.why else ""
    earned = number(row, "episode_return")
    said = f"<b>Episode {html.escape(row['episode'])}{why}</b>: minute {minute:.1f}, return {earned:.1f}, {end}"
    notes = {film.image: f"; {film.damaged} damaged frames are left out" if film.damaged else "" for film in episode.films}
    several = len(episode.films) > 1
    return "".join(
        playable(film, said + (f", {html.escape(film.image)}" if several else "") + notes[film.image]) for film in episode.films
    )


def _person(totals: Totals) -> list[str]:
    """Nothing where no person took over."""
    times, chosen, steps = (
        sum(int(number(row, name, 0)) for row in totals.episodes) for name in ("interventions", "intervened_steps", "steps")
    )
    if not times:
        return []
    share = chosen / max(steps, 1)
    said = (
        f"A person took over {times:,} times, for {chosen / times:.1f} steps each: {share:.0%} of the steps. Where the policy "
        "learns from it, help falls to nothing."
    )
    figure = figures.help_of_a_person(totals.episodes)
    return [section("A person's help", said, drawn(figure, "share and length of a person's help over the run"))]


def _advice(found: list[Advice]) -> str:
    if not found:
        return "<p>No rule finds anything that limits it.</p>"
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
    return "".join(f"<div class=tile><span>{a}</span><b>{b} <small>{c}</small></b></div>" for a, b, c in tiles)


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
        return "No safety process was heard."
    latched = ["0", *(stop for row in rows if (stop := row.get("safety.emergency_stop")))]
    stops = sum(after > before for before, after in zip(latched, latched[1:]))
    changed = "How often each rule changed a command" if rules else "No rule changed a command"
    return (
        f"{changed}, in {ticks:,.0f} ticks of the gate; {stops} emergency stops. A rule that acts often is a limit or a scale "
        "of the action that does not fit."
    )


def _ends(totals: Totals) -> str:
    reasons = Counter(without_figures(row.get("reason", "")) for row in totals.episodes)
    shown = [f"{reason} {count:,}" for reason, count in reasons.most_common(_MOST_REASONS)]
    return "Ends: " + (", ".join(shown) or "none yet")


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
        rows.append(("version, machine", f"not recorded; this page was made with version {provenance.installed()}"))
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
