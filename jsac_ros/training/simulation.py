"""A configured system in its simulator, without ROS and faster than real time: the episodes of the live actor, behind the
same gate, with images and commands delayed as they are live.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import cv2
import numpy as np

from jsac_ros import plugins
from jsac_ros.agent.policy import random_action
from jsac_ros.config import ConfigError, SystemConfig
from jsac_ros.control.rollout import Rollout
from jsac_ros.rig import Rig
from jsac_ros.sim.world import World
from jsac_ros.spaces import Spaces
from jsac_ros.training.episodic import EpisodicEnvironment
from jsac_ros.types import Action, Observation, Transition

INTERVENER = "intervener"  # of `person.by`
_HELD_STEPS = 2, 12  # steps of a random action: minimum, maximum + 1
_FILM_PIXELS = 256  # height of a film


class Simulation(EpisodicEnvironment):
    """Episodes start immediately where the task starts them, with a new scene."""

    robot = "simulation"

    def __init__(self, config: SystemConfig, seed: int, session: int = 1):
        """Raises ConfigError if the system cannot be simulated."""
        super().__init__()
        seeded = config.model_copy(update={"run": config.run.model_copy(update={"seed": seed})})
        self._rig = Rig.of(seeded)  # with a task that draws its own starts
        self.world = World(self._rig, seed)
        self._rollout = Rollout(self._rig, self.robot, session)
        task = self._rig.task
        self._expert = task.expert(seed)
        self._intervener = task.intervener(seed) if config.person.by == INTERVENER else None
        if config.person.by == INTERVENER and self._intervener is None:
            raise ConfigError(f"person.by is {INTERVENER!r}; task {config.task.type!r} has no scripted person")

    @property
    def name(self) -> str:
        return self._rig.config.run.name

    @property
    def episode(self) -> int:
        return self._rollout.episode

    @property
    def step(self) -> int:
        return self._rollout.step

    def reset(self) -> Observation:
        self._begin()
        with self._named():
            self.world.reset(self._rig.task.start())
            sensed = self.world.view().sensed
            self._rollout.begin(sensed)
            self._rollout.observe(sensed)
        if self._intervener is not None:
            self._intervener.begin()
        self.observation = self._rollout.observation
        return self.observation

    def act(self, action: Action, version: int = 0, intervened: bool = False) -> tuple[list[Transition], bool]:
        with self._named():
            executed = self.world.step(self._rollout.act(action, version, intervened))
            view = self.world.view()
            step = self._rollout.observe(view.sensed, executed, stamp_ns=view.stamp_ns, source_stamps_ns=view.source_stamps_ns)
        self.observation, complete = self._rollout.observation, [step.transition]
        self._count(step.score, intervened)
        over = bool(step.ends) or self._rollout.step >= self._rig.episode_steps
        if over:
            self.reason, self.true_success = self._rollout.reason(step.ends), self._rollout.true_success
            complete.append(self._rollout.close())
        return complete, over

    def _named(self) -> AbstractContextManager[None]:
        """Of the code of plug-ins: an exception names them, the tick, and its file and line."""
        config = self._rig.config
        what = f"task {config.task.type!r} in {config.sim.type!r}, episode {self.episode} step {self.step}"
        return plugins.named(what)

    def stop(self) -> list[Transition]:
        return [self._rollout.close()] if self._rollout.is_open else []

    def intervention(self) -> Action | None:
        return self._intervener(self.world.sim.truth) if self._intervener is not None else None

    def demonstration(self) -> list[Transition]:
        return self._shown()

    def failure(self, random: np.random.Generator) -> list[Transition]:
        """An episode that the expert starts and random actions end, each held for several steps; it may still succeed.

        Raises ConfigError if there is no expert."""
        begins = int(random.integers(self._rig.episode_steps // 2))
        return self._shown(_Held(random, self._rig.spaces), begins)

    def _shown(self, then: Callable[[], Action] | None = None, begins: int = 0) -> list[Transition]:
        """An episode of the expert, and from a given step on of `then`."""
        if self._expert is None:
            return super().demonstration()
        self._expert.begin()
        self.reset()
        shown: list[Transition] = []
        over = False
        while not over:
            action = self._expert(self.world.sim.truth) if then is None or self.step < begins else then()
            complete, over = self.act(action, version=-1, intervened=True)
            shown += complete
        return shown

    def drawn(self) -> np.ndarray:
        """The images of the cameras, side by side."""
        frames = self.world.view().sensed.frames
        if not frames:
            raise ValueError("there is no camera; expected one in the section cameras")
        return np.hstack([_enlarged(frames[name]) for name in sorted(frames)])

    @property
    def rate_hz(self) -> float:
        return 1.0 / self._rig.config.control.period_s

    def close(self) -> None:
        self.world.close()


class _Held:
    """Random actions, each held for several steps."""

    def __init__(self, random: np.random.Generator, spaces: Spaces):
        self._random, self._spaces, self._left = random, spaces, 0

    def __call__(self) -> Action:
        if not self._left:
            self._left = int(self._random.integers(*_HELD_STEPS))
            self._action = random_action(self._random.integers(1 << 32, size=2, dtype=np.uint32), self._spaces)
        self._left -= 1
        return self._action


def _enlarged(frame: np.ndarray) -> np.ndarray:
    """uint8 [H, W, C] -> RGB [`_FILM_PIXELS`, W', 3]."""
    width = max(1, round(frame.shape[1] * _FILM_PIXELS / frame.shape[0]))
    image = cv2.resize(frame, (width, _FILM_PIXELS), interpolation=cv2.INTER_NEAREST)
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
