"""Loggers of scalars, settings and images: TensorBoard, Weights & Biases, MLflow.

`report.loggers` selects them. All have the same few methods. Loggers that use a network run in a separate thread
(`background.py`), so that nothing waits for them. Optional packages are imported when they are used.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from jsac_ros.config import ConfigError, ReportConfig, SystemConfig

Value = bool | int | float | str

REMOTE = {"wandb": "wandb", "mlflow": "mlflow"}  # module -> package to install


class Logger(Protocol):
    """One logger. `problem`: why the newest values are not logged, in one line; "" if they are."""

    problem: str

    def hparams(self, values: Mapping[str, Value]) -> None:
        """Logs the configuration of the run, by dotted names. Called once, first."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Logs finite numbers by names such as `episode/return`, at an environment step."""

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        """Logs an RGB image, uint8 [H, W, 3]."""

    def close(self) -> None:
        """Returns within seconds, even if calls are still waiting."""


def problems(config: ReportConfig) -> list[str]:
    """One line per logger whose package is not installed."""
    missing = [name for name in dict.fromkeys(config.loggers) if name in REMOTE and not _is_installed(name)]
    return [f"report.loggers contains {n!r}, which is not installed; expected `pip install {REMOTE[n]}`" for n in missing]


def check(config: ReportConfig) -> None:
    """Raises ConfigError with those lines."""
    if found := problems(config):
        raise ConfigError("\n".join(found))


def _is_installed(module: str) -> bool:
    """Whether a module is installed. A folder of its name in the working folder, such as `wandb/`, does not count."""
    spec = importlib.util.find_spec(module)
    return spec is not None and spec.origin is not None


def loggers_of(config: SystemConfig, folder: Path) -> list[Logger]:
    """The configured loggers of the run in `folder`, after `hparams`. Raises ConfigError if one is not installed."""
    from jsac_ros.parameters import to_parameters
    from jsac_ros.report.loggers.background import Background
    from jsac_ros.report.loggers.tensorboard import TensorBoard

    check(config.report)
    named, project = config.report.loggers, config.report.project or config.run.name
    made: list[Logger] = [TensorBoard(folder / "tensorboard")] if "tensorboard" in named else []
    made += [Background(name, partial(_remote, name, folder, project)) for name in REMOTE if name in named]
    values = flat(to_parameters(config))
    for logger in made:
        logger.hparams(values)
    return made


_IMPORTING = threading.Lock()  # large packages are imported one after the other, though each by its own thread


def _remote(name: str, folder: Path, project: str) -> Logger:
    with _IMPORTING:
        if name == "wandb":
            from jsac_ros.report.loggers.wandb import Wandb as Made
        else:
            from jsac_ros.report.loggers.mlflow import Mlflow as Made
    return Made(folder, project)


def flat(tree: Mapping, prefix: str = "") -> dict[str, Value]:
    """{"agent": {"hidden": [64, 64]}} -> {"agent.hidden": "[64, 64]"}."""
    values: dict[str, Value] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            values |= flat(value, f"{prefix}{name}.")
        else:
            values[f"{prefix}{name}"] = value if isinstance(value, Value) else str(value)
    return values
