"""A Gymnasium environment as a task of ours: state, pixels or both, actions in [-1, 1], steps as they are stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from jsac_ros.config import CameraConfig, ConfigError, SystemConfig
from jsac_ros.control.observation import FrameStack
from jsac_ros.references import video
from jsac_ros.types import Observation, Spec, Step

ROBOT = "gymnasium"
EVALUATION_EPISODES = 5

Choose = Callable[[Observation], np.ndarray]  # an action in [-1, 1], or the number of a choice
Stop = Callable[[], bool]  # whether it was asked to end


def make(environment: str, pixels: bool, seen: CameraConfig | None = None) -> Any:
    """The environment, rendering to arrays where pixels or a video are wanted. Raises ConfigError.

    `seen`: the size of the picture that is learned from. MuJoCo then renders twice that, which is averaged, instead of
    its 480x480: without a GPU a picture's time goes with its pixels.
    """
    try:
        import gymnasium
    except ImportError:
        raise ConfigError("gymnasium: not installed; expected it for `jsac-ros train ENV`") from None
    try:
        renders_any_size = seen is not None and "mujoco" in str(gymnasium.spec(environment).entry_point)
        size = {"height": 2 * seen.height, "width": 2 * seen.width} if pixels and renders_any_size else {}
        env = gymnasium.make(environment, render_mode="rgb_array" if pixels else None, **size)
    except (gymnasium.error.Error, ImportError, TypeError) as error:
        raise ConfigError(f"environment {environment!r}: {' '.join(str(error).split())}") from None
    if pixels and seen is not None:
        _try_to_render(env, environment)
    return env


def _try_to_render(env: Any, environment: str) -> None:
    """Raises ConfigError where there are no pictures to learn from."""
    try:
        env.reset()
        env.render()
    except Exception as error:  # a missing GL shows as anything
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"environment {environment!r} gives no pictures: {reason} (MuJoCo without a display: MUJOCO_GL=egl with a "
            "GPU, MUJOCO_GL=osmesa with libosmesa6)"
        ) from None


def spec_of(env: Any, config: SystemConfig) -> Spec:
    """Shapes, from the environment's spaces and `task.observe`, `task.stack`, `camera.height` x `width`."""
    from gymnasium.spaces import Box, Discrete

    observe, camera = config.task.observe, config.camera
    if observe != "image" and not isinstance(env.observation_space, Box):
        raise ConfigError(f"observation space is {env.observation_space}; expected a Box (or task.observe=image)")
    if not isinstance(env.action_space, Box | Discrete):
        raise ConfigError(f"action space is {env.action_space}; expected a Box or Discrete")
    if isinstance(env.action_space, Box) and not np.isfinite([env.action_space.low, env.action_space.high]).all():
        raise ConfigError(f"action space is {env.action_space}; expected finite bounds")
    if camera.channels != 3:
        raise ConfigError(f"camera.channels is {camera.channels}; expected 3, as environments render")
    choices = int(env.action_space.n) if isinstance(env.action_space, Discrete) else 0
    if bool(choices) != (config.agent.algorithm == "dqn"):
        kind = "discrete" if choices else "continuous"
        raise ConfigError(f"agent.algorithm is {config.agent.algorithm!r}; expected another one for {kind} actions")
    seen = observe != "proprioception"
    return Spec(
        height=camera.height if seen else 0,
        width=camera.width if seen else 0,
        channels=3,
        stack=config.task.stack if seen else 1,
        proprioception=int(np.prod(env.observation_space.shape)) if observe != "image" else 0,
        action=1 if choices else int(np.prod(env.action_space.shape)),
        choices=choices,
    )


class GymnasiumTask:
    """One environment being acted in. Every episode ends with a closing step, as `types.Step` has it."""

    def __init__(self, env: Any, spec: Spec, seed: int, session: int = 1):
        self.env, self.spec, self.session = env, spec, session
        self.episode, self.sequence, self.step = -1, 0, 0
        self.terminated = False  # the last step ended the episode in a terminal state
        self._stack = FrameStack(spec)
        self._seed: int | None = seed

    def reset(self) -> Observation:
        state, _ = self.env.reset(seed=self._seed)
        self._seed, self.step, self.episode_return = None, 0, 0.0
        self.episode += 1
        self._take(state, first=True)
        return self.observation

    def act(self, action: np.ndarray) -> tuple[list[Step], bool]:
        """Acts in [-1, 1] (or the number of a choice). Returns the steps to store, and whether the episode is over."""
        before = self.frame, self.observation.proprioception
        state, reward, terminated, truncated, _ = self.env.step(self._native(action))
        self.episode_return += float(reward)
        self.terminated = bool(terminated)
        rows = [self._row(*before, action, reward=float(reward), mask=0.0 if terminated else 1.0)]
        self.step += 1
        self._take(state, first=False)
        if over := bool(terminated or truncated):
            rows.append(self._row(self.frame, self.observation.proprioception, np.zeros_like(action), is_last=True))
        return rows, over

    def random_action(self, key: np.ndarray) -> np.ndarray:
        """Uniform over the actions, float32 [A]. key: uint32 [2]."""
        rng = np.random.default_rng(key)
        if self.spec.choices:
            return np.array([rng.integers(self.spec.choices)], np.float32)
        return rng.uniform(-1.0, 1.0, self.spec.action).astype(np.float32)

    def _native(self, action: np.ndarray):
        if self.spec.choices:
            return int(self.env.action_space.start + action[0])
        space = self.env.action_space
        action = np.clip(action, -1.0, 1.0).reshape(space.shape)
        return (space.low + 0.5 * (action + 1.0) * (space.high - space.low)).astype(space.dtype)

    def _take(self, state, first: bool) -> None:
        height, width, _ = self.spec.frame_shape
        if height:
            self.frame = cv2.resize(self.env.render(), (width, height), interpolation=cv2.INTER_AREA)
        else:
            self.frame = np.zeros(self.spec.frame_shape, np.uint8)
        image = self._stack.reset(self.frame) if first else self._stack.push(self.frame)
        seen = np.asarray(state, np.float32).reshape(-1) if self.spec.proprioception else ()
        proprioception = np.array(seen, np.float32)
        self.observation = Observation(image, proprioception)

    def _row(self, frame, proprioception, action, reward=0.0, mask=1.0, is_last=False) -> Step:
        self.sequence += 1
        return Step(
            robot=ROBOT, session=self.session, sequence=self.sequence, episode=self.episode, step=self.step,
            is_first=self.step == 0, is_last=is_last, intervened=False, success=False, frame=frame,
            proprioception=proprioception, action=action, executed=action, reward=reward, mask=mask, stamp_ns=0,
            frame_stamp_ns=0, joint_stamp_ns=0, policy_version=0, lateness_s=0.0,
        )  # fmt: skip


def play(task: GymnasiumTask, choose: Choose, stop: Stop = lambda: False) -> None:
    """One episode, to its end or until `stop`; its return is the task's. Nothing is stored."""
    observation, over = task.reset(), False
    while not over and not stop():
        _, over = task.act(choose(observation))
        observation = task.observation


def evaluate(task: GymnasiumTask, choose: Choose) -> float:
    """Mean return of the deterministic policy; a task of its own, so that training is not disturbed."""
    returns = []
    for _ in range(EVALUATION_EPISODES):
        play(task, choose)
        returns.append(task.episode_return)
    return float(np.mean(returns))


def record_video(environment: str, spec: Spec, choose: Choose, path: Path, stop: Stop = lambda: False) -> None:
    """One episode of the deterministic policy, or its begin, until `stop`. An environment that cannot render has none."""
    frames = []
    try:
        env = make(environment, True)

        def choose_and_look(observation: Observation) -> np.ndarray:
            frames.append(env.render())
            return choose(observation)

        play(GymnasiumTask(env, spec, seed=0), choose_and_look, stop)
        video.write(path, frames, env.metadata.get("render_fps", 30))
    except Exception as error:  # a missing GL shows as anything, and what was learned is saved already
        print(f"no video: {' '.join(str(error).split())[:200]}")
