"""The style of all figures: one palette, thin axes, no frame."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")  # never looks for a display
import matplotlib.pyplot as plt

INK, MUTED, GRID = "#1f2933", "#697586", "#e4e7eb"
BLUE, PALE_BLUE, GREEN, ORANGE, RED, PURPLE, TEAL = (
    "#1d5fd1", "#a9c4f5", "#1a8f5a", "#d9730d", "#cf3a3a", "#7a4fd0", "#0d8a98",
)  # fmt: skip
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, RED, TEAL, "#9a6b2f", MUTED)

plt.rcParams.update(
    {
        "font.family": "DejaVu Sans",
        "font.size": 10,
        "text.color": INK,
        "axes.edgecolor": MUTED,
        "axes.labelcolor": INK,
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.8,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.prop_cycle": plt.cycler(color=CYCLE),
        "grid.color": GRID,
        "grid.linewidth": 0.8,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "legend.frameon": False,
        "lines.linewidth": 1.8,
        "svg.fonttype": "path",
        "svg.hashsalt": "jsac_ros",
    }
)
