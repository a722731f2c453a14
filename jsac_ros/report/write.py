"""`write(run_folder)`: everything that is made from a run's tables, made again."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from jsac_ros.report.curve import learning_curve, read_baselines
from jsac_ros.report.page import page
from jsac_ros.report.style import plt
from jsac_ros.report.summary import Totals, read_totals, write_summary
from jsac_ros.report.tables import BASELINE, write_atomically

CURVE = "learning_curve.png"
PAGE = "report.html"


def write(folder: Path, baseline: Path | None = None) -> list[Path]:
    """Writes summary.json, learning_curve.png and report.html into the run folder; returns their paths.

    Raises ConfigError where the baseline file is none.
    """
    totals = read_totals(folder)
    baselines = read_baselines(baseline or folder / BASELINE)
    summary = write_summary(folder, totals)
    curve = _draw_curve(folder, totals, baselines)
    write_atomically(folder / PAGE, page(folder, summary, totals, baselines))
    return [folder / "summary.json", curve, folder / PAGE]


def write_curve(folder: Path, baseline: Path | None = None) -> Path:
    """Only learning_curve.png."""
    return _draw_curve(folder, read_totals(folder), read_baselines(baseline or folder / BASELINE))


def _draw_curve(folder: Path, totals: Totals, baselines: dict[str, float]) -> Path:
    figure = learning_curve(totals, baselines, f"{title_of(folder)}: learning curve")
    beside = folder / f".{CURVE}.{os.getpid()}"
    figure.savefig(beside, dpi=144, format="png")
    plt.close(figure)
    os.replace(beside, folder / CURVE)
    return folder / CURVE


def title_of(folder: Path) -> str:
    """The task's name, or the folder's where there is no configuration."""
    try:
        (node,) = yaml.safe_load((folder / "config.yaml").read_text()).values()
        return str(node["ros__parameters"]["task"]["name"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return folder.name
