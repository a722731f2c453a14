"""Weights & Biases. Without an API key the run is recorded in the run folder, for `wandb sync`.

Account, server and mode come from its environment variables (WANDB_API_KEY, WANDB_BASE_URL, WANDB_MODE, ...). Metrics are
over `env_steps`. Calls return at once, as wandb sends from a separate process.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import wandb

from jsac_ros.report.loggers import Value

STEP = "env_steps"
ID = "wandb_id"  # file in the run folder: a restarted reporter continues the same run


class Wandb:
    """Raises any exception of the wandb package."""

    problem = ""

    def __init__(self, folder: Path, project: str):
        mode = None if os.environ.get("WANDB_MODE") or wandb.login(prompt=False) else "offline"  # without a key it would prompt
        self._run = wandb.init(
            project=project, name=folder.name, id=_id(folder / ID), resume="allow", dir=str(folder), mode=mode,
            settings=wandb.Settings(console="off", silent=True),
        )  # fmt: skip
        self._run.define_metric("*", step_metric=STEP)

    def hparams(self, values: Mapping[str, Value]) -> None:
        self._run.config.update(dict(values), allow_val_change=True)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log({**values, STEP: step})

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        self._run.log({name: wandb.Image(image, file_type="jpg"), STEP: step})

    def close(self) -> None:
        self._run.finish()


def _id(file: Path) -> str:
    if not file.exists():
        file.write_text(secrets.token_hex(6))
    return file.read_text()
