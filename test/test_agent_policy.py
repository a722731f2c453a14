"""What leaves the learner for the actor: a vector of parameters, and actions that can be computed again."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from agent_cases import SPECS, small_config

from jsac_ros.agent import policy
from jsac_ros.agent.state import create
from jsac_ros.system import ACTING
from jsac_ros.types import Observation


def observation(spec, seed=0) -> Observation:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, spec.image_shape, dtype=np.uint8)
    return Observation(image, rng.normal(size=spec.proprioception).astype(np.float32))


@pytest.mark.parametrize("mode", SPECS)
def test_vector_gives_back_the_same_parameters_and_actions(mode):
    spec, config = SPECS[mode], small_config()
    params = policy.policy_parameters(create(config, spec, 3))
    vector = np.asarray(policy.flatten(params))
    again = policy.unflatten(vector, config, spec)
    assert jax.tree.structure(again) == jax.tree.structure(params)
    act, key = policy.make_act(config, spec), policy.action_key(7, 2, 11)
    sample = act(params, *observation(spec), key, False)
    assert sample.shape == (spec.action,) and np.abs(sample).max() <= 1
    np.testing.assert_array_equal(sample, act(again, *observation(spec), key, False))
    assert not np.array_equal(sample, act(params, *observation(spec), policy.action_key(7, 2, 12), False))


def test_deterministic_action_ignores_the_key():
    spec, config = SPECS["both"], small_config()
    params, act = policy.policy_parameters(create(config, spec, 3)), policy.make_act(config, spec)
    first, second = (act(params, *observation(spec), policy.action_key(0, 0, k), True) for k in (1, 2))
    np.testing.assert_array_equal(first, second)


def test_vector_of_another_length_is_refused():
    spec, config = SPECS["both"], small_config()
    size = policy.flatten(policy.policy_parameters(create(config, spec, 0))).size
    with pytest.raises(ValueError, match=rf"policy is float32\[{size - 1}\]; expected float32\[{size}\]"):
        policy.unflatten(np.zeros(size - 1, np.float32), config, spec)


@pytest.mark.parametrize(
    "change", [{"conv_strides": (1, 1)}, {"hidden_activation": "tanh"}, {"latent_dim": 8}, {"log_std_max": 1.0}]
)
def test_layout_hash_tells_policies_apart_that_compute_differently(change):
    spec = SPECS["both"]
    assert policy.layout_hash(small_config(), spec) != policy.layout_hash(small_config(**change), spec)
    assert policy.layout_hash(small_config(), spec) == policy.layout_hash(small_config(tau=0.5), spec)


def test_action_key_is_fixed_by_its_three_numbers():
    np.testing.assert_array_equal(policy.action_key(1, 2, 3), np.array([3822189696, 3026158655], np.uint32))
    action = policy.random_action(policy.action_key(1, 2, 3), SPECS["both"]._replace(action=50))
    assert action.dtype == np.float32 and -1 <= action.min() < -0.8 and 0.8 < action.max() <= 1


# One image is enough work for XLA to spread over threads; which of them have run is in the kernel's accounts.
THREADS_OF_ACTING = """
import json, os, sys
from pathlib import Path
import numpy as np
from jsac_ros.agent import policy
from jsac_ros.agent.state import create
from jsac_ros.config import AgentConfig
from jsac_ros.types import Spec

if sys.argv[1] == "inline":
    policy.compute_in_calling_thread()
config, spec = AgentConfig(), Spec(96, 96, 3, 3, 15, 5)
params, act = policy.policy_parameters(create(config, spec, 0)), policy.make_act(config, spec)

def run():
    for k in range(20):
        np.asarray(act(params, np.zeros(spec.image_shape, np.uint8), np.zeros(15, np.float32), np.zeros(2, np.uint32), False))

def ran_ns():
    return {int(t): int(Path(f"/proc/self/task/{t}/schedstat").read_text().split()[0]) for t in os.listdir("/proc/self/task")}

run()
before = ran_ns()
run()
ns = {t: ran - before.get(t, 0) for t, ran in ran_ns().items()}
print(json.dumps(1 - ns[os.getpid()] / sum(ns.values())))
"""


@pytest.mark.parametrize("how", ["inline", "by default"])
def test_acting_is_computed_by_the_calling_thread_alone(how):
    """By default it is not: without that the test could not fail."""
    environment = os.environ | (ACTING if how == "inline" else {"JAX_PLATFORMS": "cpu"})
    run = subprocess.run(
        [sys.executable, "-c", THREADS_OF_ACTING, how], env=environment, stdout=subprocess.PIPE, text=True, timeout=120
    )
    assert run.returncode == 0
    share_of_others = json.loads(run.stdout)
    assert share_of_others < 0.05 if how == "inline" else share_of_others > 0.3
