"""Compares a live run with its recording: every observation and every action."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from jsac_ros import agent as algorithms
from jsac_ros.agent.policy import acting_seed, action_key, make_act, parameter_count, random_action, unflatten
from jsac_ros.bags.reader import Bag, BagError
from jsac_ros.bags.recorded_run import RecordedRun, Remade, is_recorded_run
from jsac_ros.bags.transitions import with_observations
from jsac_ros.config import SystemConfig
from jsac_ros.rig import Rig
from jsac_ros.spaces import Spaces
from jsac_ros.types import Action, Observation


class Identity(NamedTuple):
    steps: int  # observations in the recording, closing ones included
    observations_equal: int  # frames and vectors are equal byte for byte
    rewards_equal: int  # reward, mask and success are equal
    observations_missing: int  # a source's message is not in the recording: not compared, counted as not equal
    actions_compared: int  # actions that the policy (or the random warm-up) chose
    actions_missing: int  # the policy that chose them is not in the recording
    actions_max_abs_diff: float
    lost: int  # transitions that the recording lacks
    duration_s: float  # of the recording
    realtime_factor: float  # duration over the time of this comparison
    first_difference: str  # one line; "" if there is none

    @property
    def identical(self) -> bool:
        return self.observations_equal == self.rewards_equal == self.steps and not self.first_difference


class Actions:
    """Recomputes the actions of a run, with the recorded parameters and keys."""

    def __init__(self, config: SystemConfig, spaces: Spaces):
        """Raises ConfigError if the algorithm does not support these spaces."""
        self._seed, self._spaces = config.run.seed, spaces
        self._agent = algorithms.build(config.agent, spaces)
        self._act = make_act(self._agent)
        self._vector: np.ndarray | None = None
        self._parameters = None

    def __call__(self, remade: Remade, observation: Observation) -> Action | None:
        """The action; None if the policy that acted is not in the recording."""
        transition = remade.transition
        key = action_key(acting_seed(self._seed, transition.session), transition.episode, transition.step)
        if transition.policy_version == 0:
            return random_action(key, self._spaces)
        if remade.parameters is None:
            return None
        if remade.parameters is not self._vector:
            if len(remade.parameters) != (count := parameter_count(self._agent)):
                raise BagError(f"recorded policy has {len(remade.parameters)} parameters; expected {count}")
            self._vector = remade.parameters
            self._parameters = unflatten(self._vector, self._agent)
        return self._act(self._parameters, observation, key, False)


def compare(bag: Bag, config: SystemConfig, tolerance: float = 1e-5, stop_at_first: bool = False) -> Identity:
    """Raises BagError if the bag is not the recording of a run."""
    if not is_recorded_run(bag):
        raise BagError(f"bag {bag.path}: holds no transitions of an actor; expected a run's own recording")
    rig = Rig.of(config)
    spaces = rig.spaces
    actions, run = Actions(config, spaces), RecordedRun(bag, rig)
    counts = dict.fromkeys(("steps", "observations", "rewards", "missing", "actions", "actions_missing"), 0)
    worst, first, began_s = 0.0, "", time.monotonic()
    for remade, observation in with_observations(run, spaces):
        same, rewarded = not _unequal_parts(remade), _reward_equal(remade)
        counts["steps"] += 1
        counts["missing"] += bool(remade.missing)
        counts["observations"] += same and not remade.missing
        counts["rewards"] += rewarded
        difference = 0.0
        if not remade.transition.is_last and remade.transition.policy_version >= 0:
            action = actions(remade, observation)
            if action is None:
                counts["actions_missing"] += 1
            else:
                counts["actions"] += 1
                difference = _largest_difference(spaces.flat_action(action), spaces.flat_action(remade.recorded.action))
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


def _unequal_parts(remade: Remade) -> list[str]:
    """Names of the frames and vectors that differ in any byte."""
    ours, theirs = remade.transition, remade.recorded
    parts = [(ours.frames, theirs.frames), (ours.vectors, theirs.vectors)]
    return [name for mine, other in parts for name in mine if mine[name].tobytes() != other[name].tobytes()]


def _reward_equal(remade: Remade) -> bool:
    ours, theirs = remade.transition, remade.recorded
    # A message carries the reward as float32; reward and mask of a closing observation are meaningless.
    earned = ours.is_last or (np.float32(ours.reward), ours.mask) == (np.float32(theirs.reward), theirs.mask)
    return bool(earned) and ours.success == theirs.success


def _largest_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.abs(ours.astype(np.float64) - theirs.astype(np.float64)).max(initial=0.0))


def _words(remade: Remade, same: bool, rewarded: bool, difference: float) -> str:
    ours, theirs = remade.transition, remade.recorded
    words = [f"episode {ours.episode} step {ours.step}"]
    for name in [] if same else _unequal_parts(remade):
        if name in ours.frames:
            words.append(f"{int((ours.frames[name] != theirs.frames[name]).sum())} pixel values of {name} differ")
        else:
            words.append(f"{name} differs by {_largest_difference(ours.vectors[name], theirs.vectors[name]):.3g}")
    if not rewarded:
        words.append(f"reward {ours.reward:.6g} was {theirs.reward:.6g}, success {ours.success} was {theirs.success}")
    if difference:
        words.append(f"action differs by {difference:.3g} (policy {ours.policy_version})")
    return "; ".join(words)
