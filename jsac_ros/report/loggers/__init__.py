"""Where numbers, settings and pictures of a run go beside its tables: TensorBoard, Weights & Biases, MLflow.

`report.loggers` says which. All are the same few calls; what goes over a network has a thread of its own
(`background.py`), so that nothing waits for it. Packages that are not the base's are imported when they are used.
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

REMOTE = {"wandb": "wandb", "mlflow": "mlflow"}  # module -> what is installed for it


class Logger(Protocol):
    """One place where values go. `problem`: why the newest are not there, in one line; "": they are."""

    problem: str

    def hparams(self, values: Mapping[str, Value]) -> None:
        """What the run was configured with, by dotted names; once, before anything else."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Finite numbers by names such as `episode/return`, at a step of the environment."""

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        """RGB, uint8 [H, W, 3]."""

    def close(self) -> None:
        """Within seconds, whatever waits."""


def problems(config: ReportConfig) -> list[str]:
    """A line for each logger whose package is not installed."""
    missing = [name for name in dict.fromkeys(config.loggers) if name in REMOTE and not _is_installed(name)]
    return [f"report.loggers holds {n!r}, which is not installed; expected `pip install {REMOTE[n]}`" for n in missing]


def check(config: ReportConfig) -> None:
    """Raises ConfigError with those lines."""
    if found := problems(config):
        raise ConfigError("\n".join(found))


def _is_installed(module: str) -> bool:
    """A folder of that name in the working folder, where such a package keeps its files, is none."""
    spec = importlib.util.find_spec(module)
    return spec is not None and spec.origin is not None


def loggers_of(config: SystemConfig, folder: Path) -> list[Logger]:
    """Those of the configuration, for the run in `folder`, told what it was configured with. Raises ConfigError."""
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


_IMPORTING = threading.Lock()  # of large packages, each by its own thread: one after the other


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
