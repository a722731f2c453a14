"""Scripted people: an expert that demonstrates a skill, and an intervener that takes over when a policy is stuck.

Both get the ground truth of a simulation (`Sim.truth`) and return an action of the rig. They use no simulator, no clock
and no ROS, so the same objects work without ROS and live.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jsac_ros.config import ConfigError
from jsac_ros.types import Action, Arrays

if TYPE_CHECKING:
    from jsac_ros.rig import Rig

_KEPT = 0.9  # share of the previous step's bias
_PROGRESS = 0.005  # smaller progress does not count


class Hand(NamedTuple):
    """The motion of the tool."""

    twist: np.ndarray  # [6] m/s and rad/s in base_link
    is_open: bool = True  # the gripper, if there is one


class Expert(ABC):
    """A few Markov rules, `aim`, with noise and a slowly varying bias, like a person's."""

    def __init__(self, rig: Rig, seed: int, bias: float = 0.1, noise: float = 0.1):
        """bias, noise: standard deviations, of an action. Raises ConfigError if the actions do not move the tool."""
        self._rig, self._random = rig, np.random.default_rng(seed)
        self._bias_size, self._noise_size = bias, noise
        self._bias: Arrays = {}
        try:
            self._action(Hand(np.zeros(6)), np.eye(3))
        except ValueError as error:
            raise ConfigError(f"the scripted expert of task {rig.config.task.type!r}: {error}") from None

    def begin(self) -> None:
        """An episode begins."""
        moving = [part.space for part in self._rig.actions.moving]
        self._bias = {space.name: self._random.normal(0.0, self._bias_size, space.size) for space in moving}

    @abstractmethod
    def aim(self, truth: Arrays) -> Hand:
        """The motion without noise and bias."""

    def unsteadiness(self, truth: Arrays) -> float:
        """Share of bias and noise: smaller where a person would be careful."""
        return 1.0

    def __call__(self, truth: Arrays) -> Action:
        action = self._action(self.aim(truth), truth["tip_rotation"].reshape(3, 3))
        drift, share = self._bias_size * (1 - _KEPT**2) ** 0.5, self.unsteadiness(truth)
        for name, bias in self._bias.items():
            bias[:] = _KEPT * bias + self._random.normal(0.0, drift, len(bias))
            unsteady = action[name] + share * (bias + self._random.normal(0.0, self._noise_size, len(bias)))
            action[name] = np.clip(unsteady, -1.0, 1.0).astype(np.float32)
        return action

    def _action(self, hand: Hand, rotation: np.ndarray) -> Action:
        grippers = self._rig.grippers
        openings = {name: np.array([hand.is_open * gripper.stroke_m]) for name, gripper in grippers.items()}
        return self._rig.actions.of_tool(hand.twist, openings, rotation)


class Intervener:
    """Takes over after `patience` steps without progress, acts for a few, hands back."""

    def __init__(
        self,
        expert: Expert,
        progress: Callable[[Arrays], float],
        seed: int,
        patience: int = 12,
        steps: tuple[int, int] = (6, 15),
    ):
        """progress: of the truth, more is better; steps: fewest and most of an intervention."""
        self._expert, self._progress, self._patience, self._steps = expert, progress, patience, steps
        self._random = np.random.default_rng(seed)
        self.begin()

    def begin(self) -> None:
        """An episode begins."""
        self._expert.begin()
        self._hand_back()

    def _hand_back(self) -> None:
        self._best, self._stuck, self._left = -np.inf, 0, 0

    def __call__(self, truth: Arrays) -> Action | None:
        """The action instead of the policy's; None: the policy acts."""
        if self._left == 0:
            progress = self._progress(truth)
            self._stuck = 0 if progress > self._best + _PROGRESS else self._stuck + 1
            self._best = max(self._best, progress)
            if self._stuck < self._patience:
                return None
            self._left = int(self._random.integers(self._steps[0], self._steps[1] + 1))
        self._left -= 1
        if self._left == 0:
            self._hand_back()
        return self._expert(truth)


def towards(target: np.ndarray, truth: Arrays, speed: float, gain: float = 6.0, ahead_s: float = 0.1) -> np.ndarray:
    """m/s [3] of the tip to a target, no faster than `speed`; uses the predicted position of the tip.

    gain: 1/s of the distance; ahead_s: about the delay of tick, safety and robot.
    """
    velocity = gain * (target - truth["tip"] - ahead_s * truth["tip_velocity"])
    return velocity / max(1.0, float(np.linalg.norm(velocity)) / speed)


def hand_of(rig: Rig) -> Expert | Intervener:
    """The scripted person of `person.by` 'expert' or 'intervener'. Raises ConfigError if the task has none."""
    by, task, seed = rig.config.person.by, rig.task, rig.config.run.seed
    hand = task.expert(seed) if by == "expert" else task.intervener(seed)
    if hand is None:
        raise ConfigError(f"person.by is {by!r}; task {rig.config.task.type!r} has none")
    return hand
