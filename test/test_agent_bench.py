"""The floor that updates are measured against counts every product of an update."""

from __future__ import annotations

import jax

from jsac_ros.agent.state import create
from jsac_ros.agent.update import make_update
from jsac_ros.bench.cases import Case, multiplications, random_batch
from jsac_ros.config import AgentConfig
from jsac_ros.types import Spec


def test_multiplications_are_nearly_all_of_what_xla_counts():
    """XLA counts element-wise work too, but no fewer operations than the products have."""
    config = AgentConfig(layer_norm=False, q_count=2, hidden=(512, 512), shift_pad=0)
    case = Case(Spec(48, 48, 3, 3, 15, 5), batch_size=32, repeats=1)
    state = jax.eval_shape(lambda: create(config, case.spec, 0))
    counted = make_update(config, case.spec).lower(state, random_batch(case)).cost_analysis()["flops"]
    assert 0.75 * counted < multiplications(config, case) <= counted
