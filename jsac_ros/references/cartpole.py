"""DQN on the cart-pole: after how many episodes it balances the pole, over many seeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jsac_ros.references.loop import Episodes, Reference, Trained
from jsac_ros.report.style import BLUE, GREEN, MUTED, PALE_BLUE, plt

HELD = 200.0  # steps; the published result counts an episode longer than this as solved


def returns(episodes: Episodes) -> list[np.ndarray]:
    """Returns of the finished episodes of each seed, in order. episodes: [seeds, T, 1]."""
    ended, episode_return = np.asarray(episodes.ended)[..., 0], np.asarray(episodes.episode_return)[..., 0]
    return [r[e] for e, r in zip(ended, episode_return, strict=True)]


def first_held(episode_returns: np.ndarray) -> float:
    """Number (from 1) of the first episode that lasted longer than HELD; infinity if none did."""
    over = np.flatnonzero(episode_returns > HELD)
    return float(over[0] + 1) if over.size else float("inf")


def summarise(trained: Trained) -> dict:
    """Distributions over seeds: the first solved episode, and the mean return of the last ten episodes."""
    per_seed = returns(trained.episodes)
    first = np.array([first_held(r) for r in per_seed])
    last = np.array([r[-10:].mean() for r in per_seed])
    quantiles = (0.0, 0.25, 0.5, 0.75, 1.0)
    return {
        "seeds": len(per_seed),
        "held": int(np.isfinite(first).sum()),
        "first_held_episode": sorted(first.tolist()),
        "first_held_quantiles": np.quantile(first, quantiles, method="nearest").tolist(),
        "last_ten_quantiles": np.quantile(last, quantiles).round(1).tolist(),
        "best": float(max(r.max() for r in per_seed)),
    }


def plot(trained: Trained, path: Path) -> None:
    """Left: returns of the first seed. Right: cumulative number of seeds over their first solved episode."""
    per_seed = returns(trained.episodes)
    figure, (one, many) = plt.subplots(1, 2, figsize=(11, 4), width_ratios=(2, 1), layout="constrained")
    shown = per_seed[0]
    one.bar(np.arange(1, len(shown) + 1), shown, color=np.where(shown > HELD, GREEN, PALE_BLUE), width=0.9)
    one.axhline(HELD, color=MUTED, linewidth=0.8, linestyle="--")
    one.set(title="One seed", xlabel="episode", ylabel="steps the pole was held")
    first = np.sort([first_held(r) for r in per_seed])
    many.step(first, np.arange(1, len(first) + 1), where="post", color=BLUE)
    many.set(title=f"First held over {HELD:.0f} steps", xlabel="episode", ylabel=f"seeds, of {len(first)}", ylim=0)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def report(reference: Reference, trained: Trained, folder: Path) -> dict:
    plot(trained, folder / "learning.png")
    return summarise(trained)
