"""A Gymnasium environment in which the agent learns: construction, acting, transitions."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jsac_ros import plugins
from jsac_ros.config import ConfigError, TrainConfig
from jsac_ros.control.stacks import FrameStacks
from jsac_ros.control.transitions import TransitionMaker
from jsac_ros.documents import one_line, yaml_of
from jsac_ros.plugins import where
from jsac_ros.spaces import Spaces
from jsac_ros.training.episodic import EpisodicEnvironment
from jsac_ros.training.spaces import ACTION, RENDER, card_of, native, of_native, read
from jsac_ros.types import Action, Arrays, Observation, Score, Transition

ROBOT = "gymnasium"


def make(environment: Any, config: TrainConfig, draws: bool = False) -> Any:
    """The environment of an id (`Pendulum-v1`, `my_lab:Peg-v0`), or the given object. Raises ConfigError.

    draws: it must be able to render, for a film; always required to learn from `render`.
    """
    observes_render = RENDER in config.observe
    if isinstance(environment, type):
        raise ConfigError(
            f"environment is the class {environment.__name__}; expected an object, such as {environment.__name__}()"
        )
    env = _of_id(environment, config, draws or observes_render) if isinstance(environment, str) else environment
    for space in ("observation_space", "action_space"):
        if not hasattr(env, space):
            raise ConfigError(f"environment {name_of(env)} has no {space}; expected an id or a gymnasium.Env")
    if observes_render:
        _try_to_render(env, environment)
    return env


def _of_id(environment: str, config: TrainConfig, draws: bool) -> Any:
    """MuJoCo renders twice the learned size, which is averaged: without a GPU the time of an image grows with
    its pixels.
    """
    try:
        import gymnasium
    except ImportError:
        raise ConfigError("gymnasium: not installed; expected it for training in environments") from None
    options = _options(config)
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # a banner on standard output
    try:
        module, _, name = environment.rpartition(":")
        if module:
            importlib.import_module(module)
        entry = gymnasium.spec(name).entry_point
        if draws and "rgb_array" in _metadata(gymnasium, entry).get("render_modes", ()):
            options["render_mode"] = "rgb_array"
        if RENDER in config.observe and "mujoco" in str(entry):
            options |= {"height": 2 * config.image_height, "width": 2 * config.image_width}
        return gymnasium.make(name, **options)
    except (gymnasium.error.Error, ImportError) as error:
        raise ConfigError(f"environment {environment!r}: {one_line(error)}") from None
    except Exception as error:  # anything that its constructor raises
        raise ConfigError(f"environment {environment!r}: {where(error)}") from error


def _options(config: TrainConfig) -> dict[str, Any]:
    """{name: value} of `train.options`. Raises ConfigError."""
    found = {}
    for text in config.options:
        name, equals, value = text.partition("=")
        try:
            found[name] = yaml_of(value)
        except ValueError as error:
            raise ConfigError(f"train.options holds {text!r}: {error}") from None
        if not (name and equals):
            raise ConfigError(f"train.options holds {text!r}; expected name=value")
    return found


def name_of(environment: Any) -> str:
    """The id itself; for an object the id from which it was made, else its class."""
    if isinstance(environment, str):
        return environment
    spec = getattr(environment, "spec", None)
    kind = type(getattr(environment, "unwrapped", environment))
    return spec.id if spec is not None else f"{kind.__module__}:{kind.__qualname__}"


def _metadata(gymnasium: Any, entry: Any) -> dict[str, Any]:
    """The metadata of the environment's class."""
    loaded = gymnasium.envs.registration.load_env_creator(entry) if isinstance(entry, str) else entry
    return getattr(loaded, "metadata", None) or {}


def _try_to_render(env: Any, environment: Any) -> None:
    """Raises ConfigError if it renders no images."""
    try:
        env.reset()
        drawn(env)
    except Exception as error:  # a missing OpenGL raises various exceptions
        reason = one_line(error)[:200]
        raise ConfigError(
            f"environment {name_of(environment)!r} cannot be rendered: {reason} "
            "(MuJoCo without a display: MUJOCO_GL=egl with a GPU, MUJOCO_GL=osmesa with libosmesa6)"
        ) from None


def drawn(env: Any) -> np.ndarray:
    """RGB uint8 [H, W, 3]; the first of several images."""
    drawn = env.render()
    drawn = drawn[0] if isinstance(drawn, list | tuple) else drawn
    if not isinstance(drawn, np.ndarray) or drawn.ndim != 3 or drawn.dtype != np.uint8:
        raise ValueError(f"render() gave {type(drawn).__name__}; expected uint8 [H, W, 3] (render_mode 'rgb_array')")
    return drawn


def drawing(environment: Any, config: TrainConfig, spaces: Spaces, seed: int) -> Environment:
    """An environment for a film: a new one for an id, or the given object. Raises ConfigError."""
    return Environment(make(environment, config, draws=True), spaces, seed, owned=isinstance(environment, str))


class Environment(EpisodicEnvironment):
    """An environment and its open episode."""

    robot = ROBOT

    def __init__(
        self, env: Any, spaces: Spaces, seed: int, session: int = 1, now_ns: Callable[[], int] = lambda: 0,
        owned: bool = False, expert: str = "",
    ):  # fmt: skip
        """now_ns: clock that stamps every observation. owned: closing this also closes `env`. expert: as `train.expert`."""
        super().__init__()
        self._owned, self._expert = owned, expert
        self._observed: Any = None  # the newest observation, as the environment gave it
        self.env, self.spaces, self._now_ns = env, spaces, now_ns
        self._maker = TransitionMaker(spaces, ROBOT, session)
        self._stacks = FrameStacks(spaces.images)
        self._seed: int | None = seed

    @property
    def episode(self) -> int:
        return self._maker.episode

    @property
    def step(self) -> int:
        return self._maker.step

    def reset(self) -> Observation:
        self._observed, _ = self._call("reset", 2, seed=self._seed)
        self._seed = None
        self._begin()
        frames, vectors = self._read(self._observed)
        self._maker.observe(frames, vectors, stamp_ns=self._now_ns())
        self.observation = self._stacks.reset(frames) | vectors
        return self.observation

    def act(self, action: Action, version: int = 0, intervened: bool = False) -> tuple[list[Transition], bool]:
        self._maker.act(action, version, intervened)
        taken = native(action[ACTION], self.env.action_space)
        self._observed, reward, terminated, truncated, info = self._call("step", 5, taken)
        score = self._score(reward, terminated, info)
        self._count(score, intervened)
        frames, vectors = self._read(self._observed)
        complete = [self._maker.observe(frames, vectors, score, action, stamp_ns=self._now_ns())]
        self.observation = self._stacks.push(frames) | vectors
        over = bool(terminated or truncated)
        if over:
            complete.append(self._maker.close())
        return complete, over

    def stop(self) -> list[Transition]:
        return [self._maker.close()] if self._maker.is_open else []

    def demonstration(self) -> list[Transition]:
        if not self._expert:
            return super().demonstration()
        named = lambda: plugins.named(f"train.expert {self._expert!r}")
        make, _ = plugins.imported(self._expert, self._expert)
        shown: list[Transition] = []
        over = False
        self.reset()
        with named():
            expert = make(self.env)
        while not over:
            with named():
                action = {ACTION: of_native(expert(self._observed), self.env.action_space)}
            complete, over = self.act(action, version=-1, intervened=True)
            shown += complete
        return shown

    def drawn(self) -> np.ndarray:
        return drawn(self.env)

    @property
    def rate_hz(self) -> float:
        return (getattr(self.env, "metadata", None) or {}).get("render_fps") or super().rate_hz

    @property
    def card(self) -> dict[str, Any]:
        return {"action_space": card_of(self.env.action_space)}

    def close(self) -> None:
        if self._owned:
            self.env.close()

    def _call(self, method: str, count: int, *arguments: Any, **named: Any) -> tuple:
        """Calls the environment's code. Raises ConfigError with file and line if it raises or returns not `count` values."""
        try:
            given = getattr(self.env, method)(*arguments, **named)
        except plugins.FAULTS as error:
            raise ConfigError(f"environment {self.name}: {method}() raised {where(error)}") from error
        if not isinstance(given, tuple) or len(given) != count:
            raise ConfigError(f"environment {self.name}: {method}() gave {type(given).__name__}; expected a tuple of {count}")
        return given

    def _score(self, reward: Any, terminated: Any, info: Any) -> Score:
        """Raises ConfigError if `step` returned a reward that is no number, or an `info` that is no dict."""
        if not isinstance(info, Mapping):
            raise ConfigError(f"environment {self.name}: step() gave an info of {type(info).__name__}; expected a dict")
        success = bool(info.get("is_success", info.get("success", info.get("succeed", False))))
        try:
            reward = float(reward)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"environment {self.name}: step() gave the reward {reward!r}: {one_line(error)}") from None
        return Score(reward, bool(terminated), self.success or success)

    def _read(self, observed: Any) -> tuple[Arrays, Arrays]:
        try:
            return read(observed, self.spaces, lambda: drawn(self.env))
        except Exception as error:  # its render() too
            raise ConfigError(f"environment {self.name}: {one_line(error)}") from error

    @property
    def name(self) -> str:
        return name_of(self.env)
