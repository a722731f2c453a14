"""95 % intervals of proportions."""

from __future__ import annotations

import math

Z = 1.959964  # 97.5 % quantile of the normal distribution
Interval = tuple[float, float]


def wilson(successes: int, trials: int) -> Interval:
    """The score interval of a proportion (Wilson 1927); within [0, 1] even if all trials or none succeeded."""
    share, z2 = successes / trials, Z**2 / trials
    middle = (share + z2 / 2) / (1 + z2)
    half = Z * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials)) / (1 + z2)
    return max(0.0, middle - half), min(1.0, middle + half)


def difference_of_shares(first: tuple[int, int], second: tuple[int, int]) -> Interval:
    """Interval of the second proportion minus the first, each (successes, trials) (Newcombe 1998, method 10)."""
    p, q = first[0] / first[1], second[0] / second[1]
    (p_low, p_high), (q_low, q_high) = wilson(*first), wilson(*second)
    return q - p - math.hypot(q - q_low, p_high - p), q - p + math.hypot(q_high - q, p - p_low)
