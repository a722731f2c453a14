"""Is what the actor saw and did live the same as what its recording gives? Every observation and every action."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from jsac_ros.agent.algorithm import algorithm_of
from jsac_ros.agent.policy import acting_seed, action_key, parameter_count, random_action, unflatten
from jsac_ros.bags.reader import Bag, BagError
from jsac_ros.bags.recorded_run import RecordedRun, RemadeStep, is_recorded_run
from jsac_ros.bags.transitions import with_observations
from jsac_ros.config import SystemConfig, spec_of
from jsac_ros.robots.models import arm_of
from jsac_ros.types import Observation, Spec


class Identity(NamedTuple):
    steps: int  # observations of the recording, those that close an episode included
    observations_equal: int  # frame and proprioception byte for byte
    rewards_equal: int  # reward, mask and success
    observations_missing: int  # camera or joint message not in the recording: not compared, not equal
    actions_compared: int  # all that the policy (or the random warm-up) chose
    actions_missing: int  # their policy is not in the recording
    actions_max_abs_diff: float
    lost: int  # transitions that the recording lacks
    duration_s: float  # of the recording
    realtime_factor: float  # duration over the time this took
    first_difference: str  # one line; "" where there is none

    @property
    def identical(self) -> bool:
        return self.observations_equal == self.rewards_equal == self.steps and not self.first_difference


class Actions:
    """Computes the actions of a run again, with the recorded parameters and keys."""

    def __init__(self, config: SystemConfig, spec: Spec):
        self._config, self._spec = config, spec
        self._act = algorithm_of(config.agent).make_act(config.agent, spec)
        self._count = parameter_count(config.agent, spec)
        self._vector: np.ndarray | None = None
        self._parameters = None
        zeros = np.zeros(self._count, np.float32)
        image, proprioception = np.zeros(spec.image_shape, np.uint8), np.zeros(spec.proprioception, np.float32)
        self._act(unflatten(zeros, config.agent, spec), image, proprioception, action_key(0, 0, 0), False)

    def __call__(self, remade: RemadeStep, observation: Observation) -> np.ndarray | None:
        """float32 [A], or None where the policy that acted is not in the recording."""
        step = remade.step
        key = action_key(acting_seed(self._config.run.seed, step.session), step.episode, step.step)
        if step.policy_version == 0:
            return random_action(key, self._spec)
        if remade.parameters is None:
            return None
        if remade.parameters is not self._vector:
            if len(remade.parameters) != self._count:
                raise BagError(f"recorded policy has {len(remade.parameters)} parameters; expected {self._count}")
            self._vector = remade.parameters
            self._parameters = unflatten(self._vector, self._config.agent, self._spec)
        return np.asarray(self._act(self._parameters, *observation, key, False))


def compare(bag: Bag, config: SystemConfig, tolerance: float = 1e-5, stop_at_first: bool = False) -> Identity:
    """Raises BagError where the bag is not a run's own recording."""
    if not is_recorded_run(bag):
        raise BagError(f"bag {bag.path}: holds no transitions of an actor; expected a run's own recording")
    spec = spec_of(config, len(arm_of(config.robot)))
    actions = Actions(config, spec)
    run = RecordedRun(bag, config)
    counts = dict.fromkeys(("steps", "observations", "rewards", "missing", "actions", "actions_missing"), 0)
    worst, first, began_s = 0.0, "", time.monotonic()
    for remade, observation in with_observations(run, spec):
        same, rewarded = _observation_equal(remade), _reward_equal(remade)
        counts["steps"] += 1
        counts["missing"] += bool(remade.missing)
        counts["observations"] += same and not remade.missing
        counts["rewards"] += rewarded
        difference = 0.0
        if not remade.step.is_last and remade.step.policy_version >= 0:
            action = actions(remade, observation)
            if action is None:
                counts["actions_missing"] += 1
            else:
                counts["actions"] += 1
                difference = float(np.abs(action - remade.recorded.action).max())
                worst = max(worst, difference)
        if not first and not (same and rewarded and difference <= tolerance):
            first = _words(remade, same, rewarded, difference)
            if stop_at_first:
                break
    elapsed_s = time.monotonic() - began_s
    return Identity(
        counts["steps"], counts["observations"], counts["rewards"], counts["missing"], counts["actions"],
        counts["actions_missing"], worst, run.lost, bag.duration_s, bag.duration_s / elapsed_s, first,
    )  # fmt: skip


def _observation_equal(remade: RemadeStep) -> bool:
    ours, theirs = remade.step, remade.recorded
    return np.array_equal(ours.frame, theirs.frame) and ours.proprioception.tobytes() == theirs.proprioception.tobytes()


def _reward_equal(remade: RemadeStep) -> bool:
    ours, theirs = remade.step, remade.recorded
    # On the wire a reward is a float32; the reward and mask of a closing observation mean nothing.
    earned = ours.is_last or (np.float32(ours.reward), ours.mask) == (np.float32(theirs.reward), theirs.mask)
    return bool(earned) and ours.success == theirs.success


def _words(remade: RemadeStep, same: bool, rewarded: bool, difference: float) -> str:
    ours, theirs = remade.step, remade.recorded
    words = [f"episode {ours.episode} step {ours.step}"]
    if not same:
        pixels = int((ours.frame != theirs.frame).sum())
        numbers = float(np.abs(ours.proprioception - theirs.proprioception).max(initial=0.0))
        words.append(f"{pixels} pixel values differ, proprioception by {numbers:.3g}")
    if not rewarded:
        words.append(f"reward {ours.reward:.6g} was {theirs.reward:.6g}, success {ours.success} was {theirs.success}")
    if difference:
        words.append(f"action differs by {difference:.3g} (policy {ours.policy_version})")
    return "; ".join(words)
