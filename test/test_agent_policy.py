"""What leaves the learner for the actor: a vector of parameters, and actions that can be computed again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from agent_cases import ACTIONS, VECTORS, agent_of, random_observation, same, small

from jsac_ros.agent import build, policy
from jsac_ros.spaces import ActionSpace, Spaces
from jsac_ros.system import ACTING


@pytest.fixture(scope="module")
def agent():
    return agent_of("both")


@pytest.fixture(scope="module")
def act(agent):
    return policy.make_act(agent)


def test_actions_depend_on_the_key_unless_deterministic(agent, act):
    params, observation = agent.policy_params(agent.init(3)), random_observation(agent.spaces)
    keys = [policy.action_key(7, 2, step) for step in (11, 12)]
    sampled, best = ([act(params, observation, key, how) for key in keys] for how in (False, True))
    assert not same(*sampled) and same(*best)
    assert {name: part.shape for name, part in best[0].items()} == {"arm": (2,), "gripper": (1,)}


def test_vector_of_another_length_is_refused(agent):
    size = policy.parameter_count(agent)
    with pytest.raises(ValueError, match=rf"policy is float32\[{size - 1}\]; expected float32\[{size}\]"):
        policy.unflatten(np.zeros(size - 1, np.float32), agent)


@pytest.mark.parametrize(
    "change",
    [
        {"conv_strides": (1,)}, {"hidden_activation": "tanh"}, {"latent_dim": 8}, {"log_std_max": 1.0},
        {"pixel_limit": 0.5}, {"vector_limit": 10.0},
    ],
)  # fmt: skip
def test_layout_hash_tells_policies_apart_that_compute_differently(agent, change):
    assert policy.layout_hash(agent) != policy.layout_hash(agent_of("both", "jsac", small(**change)))
    assert policy.layout_hash(agent) == policy.layout_hash(agent_of("both", "jsac", small(tau=0.5)))


def test_layout_hash_tells_spaces_apart():
    spaces = Spaces.of((), VECTORS, ACTIONS)
    renamed = Spaces.of((), [replace(VECTORS[0], name="tool_position"), VECTORS[1]], ACTIONS)
    other_unit = Spaces.of((), VECTORS, [replace(ACTIONS[0], unit="m/s"), ACTIONS[1]])
    hashes = {policy.layout_hash(build(small(), changed)) for changed in (spaces, renamed, other_unit)}
    assert len(hashes) == 3


def test_action_key_is_fixed_by_its_three_numbers():
    np.testing.assert_array_equal(policy.action_key(1, 2, 3), np.array([3822189696, 3026158655], np.uint32))


def test_random_actions_are_uniform_or_numbers_of_choices():
    spaces = Spaces.of((), VECTORS, [ActionSpace("arm", 50), ActionSpace("mode", 1, choices=3)])
    drawn = [policy.random_action(policy.action_key(0, 0, step), spaces) for step in range(50)]
    spaces.check_action(drawn[0])
    assert {float(action["mode"][0]) for action in drawn} == {0.0, 1.0, 2.0}
    assert -1 <= drawn[0]["arm"].min() < -0.8 and 0.8 < drawn[0]["arm"].max() <= 1


# One image is enough work for XLA to spread over threads; which of them have run is in the kernel's accounts.
THREADS_OF_ACTING = """
import json, os, sys
from pathlib import Path
import numpy as np
from jsac_ros.agent import policy
from jsac_ros.agent.jsac import Jsac
from jsac_ros.spaces import ActionSpace, ImageSpace, Spaces

if sys.argv[1] == "inline":
    policy.compute_in_calling_thread()
spaces = Spaces.of([ImageSpace("wrist", 96, 96, stack=3)], [], [ActionSpace("arm", 5)])
agent = Jsac.build(Jsac.Parameters(conv_channels=(32,) * 4, conv_kernels=(3,), conv_strides=(2, 2, 2, 1), hidden=(64,)), spaces)
params, act = agent.policy_params(agent.init(0)), policy.make_act(agent)

def run():
    for k in range(20):
        act(params, {"wrist": np.zeros((96, 96, 9), np.uint8)}, np.zeros(2, np.uint32), False)

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
