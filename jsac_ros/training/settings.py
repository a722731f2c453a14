"""The configuration of a training from its arguments: defaults for simulated benchmarks, the algorithm by the action space."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from jsac_ros import plugins
from jsac_ros.config import ConfigError, SystemConfig, TrainConfig
from jsac_ros.parameters import ALL, from_parameters, load, with_overrides
from jsac_ros.report import loggers
from jsac_ros.spaces import Spaces

KINDS = ("agent",)  # of the plug-ins that a training without ROS needs
SECTIONS = ("run", "agent", "replay", "learner", "train", "report")  # sections that apply to it

# The write-up's architecture for simulated benchmarks, with sizes and rates with which a CPU learns in minutes.
# Fields that an algorithm lacks are left out.
AGENT = {
    "layer_norm": False, "weight_clip": False, "hidden": (256, 256), "q_count": 2, "learning_rate": 1e-3,
    "temperature_learning_rate": 1e-3, "initial_temperature": 0.2, "max_gradient_norm": 10.0,
}  # fmt: skip
REPLAY = {"batch_size": 128, "capacity": 300_000, "warmup_steps": 1000, "min_updates_per_step": 1.0}


def train_section(settings: Mapping[str, Any]) -> TrainConfig:
    """The section `train` only: it defines what is observed, on which the rest depends. Raises ConfigError."""
    return from_parameters({"train": settings.get("train", {})}, kinds=()).train


def section_for(spaces: Spaces, options: tuple[str, ...] = ()) -> TrainConfig:
    """The section `train` with which an environment of these `train.options` provides the parts of `spaces`, if it can."""
    fields: dict[str, Any] = {"observe": tuple(spaces.observation), "options": options}
    for image in spaces.images:  # all of one size, as in a training
        fields |= {"image_height": image.height, "image_width": image.width, "stack": image.stack}
    return TrainConfig(**fields)


def configuration(
    name: str, settings: Mapping[str, Any], spaces: Spaces, kinds=KINDS, driver: Mapping[str, Any] | None = None
) -> SystemConfig:
    """Of a fresh training in the environment `name`.

    settings: {section: {field: value}}, over the defaults. Discrete actions are learned with `dqn` unless they name another
    algorithm. driver: additional settings, for the asynchronous system. Raises ConfigError with a line for each wrong field.
    """
    algorithm = settings.get("agent", {}).get("type", "dqn" if spaces.choices else "jsac")
    known = plugins.load("agent", algorithm).Parameters.model_fields if isinstance(algorithm, str) else AGENT
    defaults: dict[str, Any] = {
        "run": {"name": _run_name(name)},
        "agent": {"type": algorithm} | {field: value for field, value in AGENT.items() if field in known},
        "replay": dict(REPLAY),
        "train": {"environment": name},
    } | dict(driver or {})
    return _checked(from_parameters(with_overrides(defaults, _dotted(settings)), kinds))


def resumed(folder: Path, name: str, settings: Mapping[str, Any], kinds: Collection[str] = KINDS) -> SystemConfig:
    """The configuration of the training in `folder`, changed by `settings`. Raises ConfigError."""
    file = folder / "config.yaml"
    before = load(file, kinds=()).train.environment
    if before != name:
        raise ConfigError(f"{folder} is a run of {before or 'another kind'}; expected one of {name}")
    return _checked(load(file, _dotted(settings), kinds))


def is_configuration(environment: Any) -> bool:
    """Whether this is a system's configuration, to be learned in its simulator."""
    return isinstance(environment, str | Path) and Path(environment).suffix in (".yaml", ".yml")


def simulated(file: str, settings: Mapping[str, Any], folder: Path | None = None) -> SystemConfig:
    """The configuration of a training in the simulator of the system in `file`, or of the one in `folder`, to continue it.

    Raises ConfigError.
    """
    settings = {**settings, "train": {**settings.get("train", {}), "environment": file}}
    config = resumed(folder, file, settings, ALL) if folder else _checked(load(file, _dotted(settings)))
    if config.robot.driver != "sim":
        raise ConfigError(f"robot.driver is {config.robot.driver!r}; a training without ROS runs in the simulator, 'sim'")
    if config.person.by not in ("nobody", "intervener"):
        raise ConfigError(f"person.by is {config.person.by!r}; without ROS it is 'nobody' or 'intervener'")
    if config.train.demonstrations and config.replay.demonstrations:
        raise ConfigError(
            f"train.demonstrations is {config.train.demonstrations} and replay.demonstrations "
            f"{config.replay.demonstrations}; expected one of them"
        )
    return config


def _checked(config: SystemConfig) -> SystemConfig:
    """Raises ConfigError if a field is set that does not apply, or a logger is not installed."""
    for field in ("environments", "updates_per_step"):
        if (value := getattr(config.train, field)) != 1:
            raise ConfigError(f"train.{field} is {value}; expected 1 in {config.train.environment}")
    loggers.check(config.report)
    return config


def _dotted(settings: Mapping[str, Any]) -> dict[str, Any]:
    """{"agent": {"hidden": [64]}} -> {"agent.hidden": [64]}."""
    return {f"{section}.{field}": value for section, fields in settings.items() for field, value in fields.items()}


def _run_name(environment: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", environment.rpartition(":")[2].lower()).strip("_")
    return (name if name[:1].isalpha() else f"run_{name}")[:32]
