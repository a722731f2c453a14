"""Statistics of a policy's trials: success with its interval, return and length; for two policies, their difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jsac_ros.report.intervals import Z, difference_of_shares, wilson
from jsac_ros.training.evaluation import Episode


def figures(episodes: Sequence[Episode]) -> dict[str, Any]:
    """As JSON: episodes, success and its interval (shares), return, steps and interventions; with a classifier whose word the
    task can check, the true success too."""
    returns = np.array([episode.episode_return for episode in episodes])
    succeeded, count = sum(episode.success for episode in episodes), len(episodes)
    found = {
        "episodes": count,
        "success": succeeded / count,
        "success_interval": list(wilson(succeeded, count)),
        "return_mean": float(returns.mean()),
        "return_std": float(returns.std()),
        "steps_mean": float(np.mean([episode.steps for episode in episodes])),
        "interventions_mean": float(np.mean([episode.interventions for episode in episodes])),
    }
    if all(episode.true_success is None for episode in episodes):
        return found
    truly = sum(bool(episode.true_success) for episode in episodes)
    return found | {"true_success": truly / count, "true_success_interval": list(wilson(truly, count))}


def difference(first: Sequence[Episode], second: Sequence[Episode]) -> dict[str, Any]:
    """Differences, second minus first, as JSON; trial i started alike for both."""
    shares = [(sum(episode.success for episode in episodes), len(episodes)) for episodes in (first, second)]
    returns = np.array([b.episode_return - a.episode_return for a, b in zip(first, second, strict=True)])
    half = Z * float(returns.std(ddof=1)) / math.sqrt(len(returns)) if len(returns) > 1 else math.inf
    mean = float(returns.mean())
    found: dict[str, Any] = {
        "success": shares[1][0] / shares[1][1] - shares[0][0] / shares[0][1],
        "success_interval": list(difference_of_shares(*shares)),
        "return_mean": mean,
    }
    return found | ({"return_interval": [mean - half, mean + half]} if len(returns) > 1 else {})
