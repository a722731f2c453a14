"""The one place that knows which algorithm a configuration names; learner and actor ask here."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from jsac_ros.agent import dqn, policy, sac_v, state, update
from jsac_ros.config import AgentConfig


class Algorithm(NamedTuple):
    create: Callable  # (AgentConfig, Spec, seed) -> state
    make_update: Callable  # (AgentConfig, Spec) -> update(state, Batch) -> (state, metrics)
    policy_parameters: Callable  # (state) -> tree of what acting needs
    make_act: Callable  # (AgentConfig, Spec) -> act(parameters, image, proprioception, key, deterministic) -> action


ALGORITHMS = {
    "jsac": Algorithm(state.create, update.make_update, policy.policy_parameters, policy.make_act),
    "dqn": Algorithm(dqn.create, dqn.make_update, dqn.policy_parameters, dqn.make_act),
    "sac_v": Algorithm(sac_v.create, sac_v.make_update, policy.policy_parameters, policy.make_act),
}


def algorithm_of(config: AgentConfig) -> Algorithm:
    return ALGORITHMS[config.algorithm]
