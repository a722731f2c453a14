"""Building blocks of the report pages: a style for light and dark mode, sections, tables, figures with selectable text."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Iterable, Sequence
from itertools import count

import numpy as np
from matplotlib.figure import Figure

from jsac_ros.report.seen import Film
from jsac_ros.report.style import BLUE, GREEN, GRID, INK, MUTED, ORANGE, PALE_BLUE, PURPLE, RED, TEAL, plt

_COLOURS = {  # colour in a figure -> CSS variable of the page
    INK: "ink", MUTED: "muted", GRID: "line", "#ffffff": "card", BLUE: "blue", PALE_BLUE: "pale-blue", GREEN: "green",
    ORANGE: "orange", RED: "red", PURPLE: "purple", TEAL: "teal",
}  # fmt: skip
_MOST_POINTS = 600  # per line of a figure
_STRIP = 5  # frames of a film shown side by side
_STYLE = """
:root { color-scheme: light dark; --ink: #1f2933; --muted: #5b6878; --line: #e4e7eb; --card: #fff; --page: #f5f7fa;
  --blue: #1d5fd1; --pale-blue: #a9c4f5; --green: #1a8f5a; --orange: #d9730d; --red: #cf3a3a;
  --purple: #7a4fd0; --teal: #0d8a98; }
@media (prefers-color-scheme: dark) { :root {
  --ink: #e6eaf0; --muted: #9aa7b8; --line: #323c4a; --card: #1b222c; --page: #12171e; --blue: #6fa2ff; --pale-blue: #3d5f9e;
  --green: #47c48a; --orange: #f2994a; --red: #f07171; --purple: #ab8bf2; --teal: #45bccb; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; margin: 0; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 0 0 4px; }
.sub { color: var(--muted); margin: 2px 0 22px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 20px 24px; margin-top: 18px; }
section p { color: var(--muted); margin: 0 0 12px; max-width: 75ch; }
svg.drawn { display: block; width: 100%; height: auto; margin: 0 auto; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(160px, 1fr)); gap: 12px; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 14px 16px; }
.tile b { display: block; font-size: 24px; letter-spacing: -.02em; font-variant-numeric: tabular-nums; }
.tile span { color: var(--muted); font-size: 13px; }
.tile p { display: none; color: var(--muted); font-size: 13px; margin: 6px 0 0; }
.tile:hover p, .tile:focus p { display: block; }
.tile small { color: var(--muted); font-size: 13px; font-weight: 400; letter-spacing: 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 5px 18px 5px 0; border-bottom: 1px solid var(--line); }
th { color: var(--muted); font-weight: 500; font-size: 13px; }
th:first-child, td:first-child, .text td { text-align: left; }
.wide { overflow-x: auto; margin-bottom: 12px; }
pre { background: var(--page); border-radius: 8px; padding: 14px; overflow-x: auto; font-size: 12.5px; line-height: 1.45; }
code { overflow-wrap: anywhere; }
ol, ul { margin: 0; padding-left: 22px; }
li { margin-bottom: 10px; max-width: 90ch; }
summary { cursor: pointer; color: var(--blue); }
.beside { display: grid; grid-template-columns: minmax(0, 1.45fr) minmax(0, 1fr); gap: 24px; align-items: start; }
.films { max-height: 620px; overflow-y: auto; padding-right: 8px; }
.film { margin: 0 0 16px; }
.film figcaption { font-size: 13px; color: var(--muted); margin-bottom: 4px; }
.film figcaption b { color: var(--ink); }
.strip { display: grid; grid-template-columns: repeat(5, minmax(0, 1fr)); gap: 4px; font-size: 11px; color: var(--muted); }
.frame { display: block; aspect-ratio: var(--w) / var(--h); border-radius: 4px; background-repeat: no-repeat;
  background-image: var(--sheet); background-size: 100% auto; background-position: 0 var(--at, 0%); print-color-adjust: exact; }
.film summary { font-size: 13px; }
.playing { max-width: 320px; animation: film var(--s) steps(var(--n), jump-none) infinite; }
@keyframes film { from { background-position: 0 0; } to { background-position: 0 100%; } }
@media (prefers-reduced-motion: reduce) { .playing { animation: none; } }
@media (max-width: 760px) { main { padding: 20px 10px 48px; } section { padding: 16px 14px; } .beside { display: block; }
  .films { max-height: none; margin-top: 16px; } svg.drawn { min-width: 560px; } }
"""
_drawings = count()


def document(title: str, below: str, body: str) -> str:
    """A self-contained page. title, below: plain text; body: HTML."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{html.escape(title)}</h1><div class=sub>{html.escape(below)}</div>{body}</main></body></html>\n"
    )


def section(title: str, said: str, body: str) -> str:
    """said: plain text; body: HTML."""
    text = f"<p>{words(said)}</p>" if said else ""
    return f"<section><h2>{html.escape(title)}</h2>{text}{body or '<p>Nothing was measured.</p>'}</section>"


def tile(name: str, value: str, note: str, means: str) -> str:
    """A figure with an explanation that appears on hover and on keyboard focus. All arguments are plain text."""
    name, value, note, means = map(html.escape, (name, value, note, means))
    return f"<div class=tile tabindex=0><span>{name}</span><b>{value} <small>{note}</small></b><p>{means}</p></div>"


def words(text: str) -> str:
    """Plain text as HTML, with text in backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table of plain text. kind: "text" to align cells to the left."""
    cells = lambda name, values: "<tr>" + "".join(f"<{name}>{words(value)}</{name}>" for value in values) + "</tr>"
    body = "".join(cells("td", row) for row in rows)
    return f'<div class=wide><table class="{kind}">{cells("th", head)}{body}</table></div>'


def drawn(figure: Figure | None, said: str) -> str:
    """A figure as inline SVG in the page's colours, with selectable text; closes it. said: a short description."""
    if figure is None:
        return ""
    _bound(figure)
    picture, width = io.StringIO(), round(96 * figure.get_figwidth())
    with plt.rc_context({"svg.fonttype": "none"}):
        figure.savefig(picture, format="svg", metadata={"Date": None}, transparent=True, dpi=144)
    plt.close(figure)
    svg, own = picture.getvalue(), f"f{next(_drawings)}-"
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'(\bid="|xlink:href="#|url\(#)', lambda found: found[0] + own, svg)  # unique ids, as a page has many drawings
    svg = re.sub(r"#[0-9a-f]{6}\b", lambda found: f"var(--{_COLOURS[found[0]]})" if found[0] in _COLOURS else found[0], svg)
    tag = f'<svg class=drawn style="max-width: {width}px" role=img aria-label="{html.escape(said)}"'
    svg = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', rf"{tag} \1>", svg, count=1)
    return f"<div class=wide>{svg}</div>"


def _bound(figure: Figure) -> None:
    """Bounds the size of a drawing for long runs: lines are reduced to the extremes of their parts, and points and areas are
    rasterized."""
    for axes in figure.axes:
        for line in axes.lines:
            x, y = np.asarray(line.get_xdata(orig=False)), np.asarray(line.get_ydata(orig=False))
            if len(x) > _MOST_POINTS and line.get_linestyle() == "None":
                line.set_rasterized(True)
            elif len(x) > _MOST_POINTS:
                kept = _extremes(y, _MOST_POINTS // 2)
                line.set_data(x[kept], y[kept])
        for area in axes.collections:
            area.set_rasterized(sum(len(path.vertices) for path in area.get_paths()) > 4 * _MOST_POINTS)


def _extremes(values: np.ndarray, parts: int) -> np.ndarray:
    """Indices of the smallest and the largest value of each part, in order."""
    kept: set[int] = set()
    for part in np.array_split(np.arange(len(values)), parts):
        known = part[np.isfinite(values[part])]
        kept |= {int(known[values[known].argmin()]), int(known[values[known].argmax()])} if len(known) else {int(part[0])}
    return np.array(sorted(kept))


def playable(film: Film, caption: str) -> str:
    """A film as a strip of some frames that can be opened and played. caption: HTML."""
    count, (last, *_) = len(film.seconds), film.seconds[::-1]
    at = lambda k: f"{100 * k / max(count - 1, 1):.2f}%"
    shown = dict.fromkeys(round(k * (count - 1) / (_STRIP - 1)) for k in range(_STRIP))
    strip = "".join(f'<span><span class=frame style="--at:{at(k)}"></span>{film.seconds[k]:.1f} s</span>' for k in shown)
    sheet = base64.b64encode(film.jpeg).decode()
    style = (
        f"--sheet:url(data:image/jpeg;base64,{sheet});--w:{film.width};--h:{film.height};--n:{count};--s:{max(last, 0.5):.2f}s"
    )
    play = "<details><summary>Play</summary><div class='frame playing'></div></details>" if count > 1 else ""
    label = f"{len(shown)} frames of image {html.escape(film.image)}, from its first to its last"
    return (
        f'<figure class=film style="{style}"><figcaption>{caption}</figcaption>'
        f'<div class=strip role=img aria-label="{label}">{strip}</div>{play}</figure>'
    )
