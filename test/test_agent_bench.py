"""The floor that updates are measured against counts every product of an update."""

from __future__ import annotations

import pytest
from agent_cases import agent_of, compiled_update, small

from jsac_ros.bench.cases import Case, multiplications, random_batch

WIDE = {
    "layer_norm": False,
    "q_count": 2,
    "hidden": (512, 512),
    "shift_pad": 0,
    "conv_channels": (64, 64),
    "conv_strides": (1, 1),
}


@pytest.mark.parametrize(
    ("mode", "changes"), [("two images, separate", {"conv_kernels": (5, 3)}), ("two images, joined", {"encoder": "joined"})]
)
def test_multiplications_are_nearly_all_of_what_xla_counts(mode, changes):
    """XLA counts element-wise work too, but no fewer operations than the products have."""
    agent = agent_of(mode, "jsac", small(**WIDE | changes))
    case = Case(agent.spaces, 32, 1, agent.parameters)
    counted = compiled_update(agent).lower(agent.template, random_batch(case)).cost_analysis()["flops"]
    assert 0.75 * counted < multiplications(case) <= counted
