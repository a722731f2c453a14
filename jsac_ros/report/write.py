"""Writes everything that is derived from a run's tables."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from jsac_ros.files import replaced
from jsac_ros.report.card import write_card
from jsac_ros.report.curve import learning_curve, read_baselines
from jsac_ros.report.folder import title_of
from jsac_ros.report.page import page
from jsac_ros.report.style import plt
from jsac_ros.report.summary import as_text, read_totals, summary_of
from jsac_ros.report.tables import BASELINE

CURVE, PAGE = "learning_curve.png", "report.html"


def write(folder: Path, baseline: Path | None = None) -> list[Path]:
    """Writes summary.json, learning_curve.png and report.html into the run folder, and a card beside its policy; returns
    their paths.

    Raises ConfigError if the baseline file is malformed.
    """
    totals = read_totals(folder)
    baselines = read_baselines(baseline or folder / BASELINE)
    summary = summary_of(folder, totals)
    paths = [folder / "summary.json", folder / CURVE, folder / PAGE]
    with replaced(paths[0]) as numbers, replaced(paths[1]) as curve, replaced(paths[2]) as document:
        numbers.write_text(as_text(summary))
        _draw(learning_curve(totals, baselines, f"{title_of(folder)}: learning curve"), curve)
        document.write_text(page(folder, summary, totals, baselines))
    return paths + write_card(folder, title_of(folder), summary, totals)


def write_curve(folder: Path, baseline: Path | None = None) -> Path:
    """Writes only learning_curve.png."""
    totals, baselines = read_totals(folder), read_baselines(baseline or folder / BASELINE)
    with replaced(folder / CURVE) as curve:
        _draw(learning_curve(totals, baselines, f"{title_of(folder)}: learning curve"), curve)
    return folder / CURVE


def _draw(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=144, format="png")
    plt.close(figure)
