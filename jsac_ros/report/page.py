"""`report.html`: one file that needs nothing beside it."""

from __future__ import annotations

import base64
import html
import io
import re
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from jsac_ros import documents
from jsac_ros.report import figures
from jsac_ros.report.advice import Advice, advise
from jsac_ros.report.curve import learning_curve
from jsac_ros.report.evidence import evidence_of
from jsac_ros.report.histograms import read_histograms
from jsac_ros.report.style import plt
from jsac_ros.report.summary import Totals
from jsac_ros.report.tables import Row, number, read_rows

_STYLE = """
:root { --ink: #1f2933; --muted: #697586; --line: #e4e7eb; --blue: #1d5fd1; }
* { box-sizing: border-box; }
body { margin: 0; background: #f5f7fa; color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 17px; margin: 0 0 4px; }
.sub { color: var(--muted); margin: 2px 0 22px; }
section { background: #fff; border: 1px solid var(--line); border-radius: 12px; padding: 20px 24px; margin-top: 18px; }
section p { color: var(--muted); margin: 0 0 12px; max-width: 75ch; }
img { max-width: 100%; height: auto; display: block; margin: 0 auto; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(160px, 1fr)); gap: 12px; }
.tile { background: #fff; border: 1px solid var(--line); border-radius: 12px; padding: 14px 16px; }
.tile b { display: block; font-size: 24px; letter-spacing: -.02em; font-variant-numeric: tabular-nums; }
.tile span { color: var(--muted); font-size: 13px; }
.tile small { color: var(--muted); font-size: 13px; font-weight: 400; letter-spacing: 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 5px 18px 5px 0; border-bottom: 1px solid var(--line); }
th { color: var(--muted); font-weight: 500; font-size: 13px; }
th:first-child, td:first-child { text-align: left; }
.wide { overflow-x: auto; }
pre { background: #f5f7fa; border-radius: 8px; padding: 14px; overflow-x: auto; font-size: 12.5px; line-height: 1.45; }
ol { margin: 0; padding-left: 22px; }
li { margin-bottom: 10px; max-width: 90ch; }
summary { cursor: pointer; color: var(--blue); }
"""


def page(folder: Path, summary: Mapping[str, Any], totals: Totals, baselines: dict[str, float]) -> str:
    """The whole page as text."""
    rows, histograms = read_rows(folder / "metrics.csv"), read_histograms(folder)
    rules = _rule_counts(rows)
    sections = [
        _section(
            "Learning",
            f"Every point is an episode that ran its course; {_ends(totals)}.",
            _image(learning_curve(totals, baselines, "")),
        ),
        _section(
            "What limits this run",
            "From what was measured, most important first; `jsac-ros why` says the same.",
            _advice(advise(evidence_of(folder, totals, summary, baselines))),
        ),
        _section(
            "Control timing",
            "All ticks of the run, both axes logarithmic: what is far to the right happened, however rarely.",
            _timing_table(summary) + _image(figures.timing(histograms)),
        ),
        _section("Pace", "Once a second, over the run.", _image(figures.health(rows))),
        _section(
            "Safety",
            _safety_words(rows, rules),
            _image(figures.interventions(rules)),
        ),
        *_person(totals),
        _section("Learner", "What the learner reports of its updates.", _image(figures.losses(rows))),
        _section(
            "Processes",
            "Peak resident memory: "
            + (", ".join(f"{name} {mb:,.0f} MB" for name, mb in summary["peak_rss_mb"].items()) or "not measured")
            + ".",
            _image(figures.processes(rows)),
        ),
        _section("Configuration", "", _configuration(folder)),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(folder.name)}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{html.escape(folder.resolve().name)}</h1><div class=sub>{_when(rows, summary)}</div>"
        f"<div class=tiles>{_tiles(summary)}</div>{''.join(sections)}</main></body></html>\n"
    )


def _person(totals: Totals) -> list[str]:
    """Nothing where no person took over."""
    times, chosen, steps = (
        sum(int(number(row, name, 0)) for row in totals.episodes) for name in ("interventions", "intervened_steps", "steps")
    )
    if not times:
        return []
    share = chosen / max(steps, 1)
    words = f"A person took over {times:,} times, for {chosen / times:.1f} steps each: {share:.0%} of the steps."
    return [_section("A person's help", words, _image(figures.help_of_a_person(totals.episodes)))]


def _section(title: str, words: str, body: str) -> str:
    text = f"<p>{_words(words)}</p>" if words else ""
    return f"<section><h2>{title}</h2>{text}{body or '<p>Nothing was measured.</p>'}</section>"


def _advice(found: list[Advice]) -> str:
    if not found:
        return "<p>No rule finds anything that limits it.</p>"
    items = (f"<li><b>{_words(advice.finding)}</b><br>{_words(advice.cure)}</li>" for advice in found)
    return f"<ol>{''.join(items)}</ol>"


def _words(text: str) -> str:
    """A sentence as HTML, what stands in backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _image(figure: Figure | None) -> str:
    if figure is None:
        return ""
    picture = io.BytesIO()
    figure.savefig(picture, format="svg", metadata={"Date": None})
    plt.close(figure)
    return f'<img alt="" src="data:image/svg+xml;base64,{base64.b64encode(picture.getvalue()).decode()}">'


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
    head = "".join(f"<th>{key}</th>" for key in ("ms", *control["jitter_ms"]))
    body = "".join(
        f"<tr><td>{label}</td>"
        + "".join(f"<td>{_text(control[name].get(key), ',.2f')}</td>" for key in control["jitter_ms"])
        + "</tr>"
        for name, label in names.items()
    )
    return f"<div class=wide><table><tr>{head}</tr>{body}</table></div><br>"


def _rule_counts(rows: list[Row]) -> dict[str, int]:
    names = figures.names_under(rows, "safety.rule.")
    return {name: int(max(number(row, f"safety.rule.{name}", 0) for row in rows)) for name in names}


def _safety_words(rows: list[Row], rules: Mapping[str, int]) -> str:
    ticks = max((number(row, "safety.ticks", 0) for row in rows), default=0)
    if not ticks:
        return "No safety process was heard."
    latched = ["0", *(row["safety.emergency_stop"] for row in rows if row["safety.emergency_stop"])]
    stops = sum(after > before for before, after in zip(latched, latched[1:]))
    changed = "How often each rule changed a command" if rules else "No rule changed a command"
    return f"{changed}, in {ticks:,.0f} ticks of the gate; {stops} emergency stops."


def _ends(totals: Totals) -> str:
    reasons = Counter(row["reason"] for row in totals.episodes)
    return "ends: " + (", ".join(f"{reason} {count}" for reason, count in reasons.most_common()) or "none yet")


def _when(rows: list[Row], summary: Mapping[str, Any]) -> str:
    if not rows:
        return "no metrics were written"
    began = time.strftime("%Y-%m-%d %H:%M", time.localtime(number(rows[0], "unix_s", 0)))
    return f"{began}, {summary['duration_s'] / 60:.1f} minutes of robot time"


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
