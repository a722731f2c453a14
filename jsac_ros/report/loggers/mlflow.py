"""MLflow. It writes to MLFLOW_TRACKING_URI, or to its default."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from jsac_ros.report.loggers import Value

RUN = "mlflow_run_id"  # file in the run folder: a restarted reporter continues the same MLflow run
MOST_PARAMS, MOST_METRICS, MOST_CHARACTERS = 100, 1000, 500  # MLflow's limits per call and per value


class Mlflow:
    """Raises any exception of the mlflow package."""

    problem = ""

    def __init__(self, folder: Path, project: str):
        self._client, file = MlflowClient(), folder / RUN
        if file.exists():
            self._run = file.read_text()
            self._client.update_run(self._run, status="RUNNING")
            return
        experiment = self._client.get_experiment_by_name(project)
        of = experiment.experiment_id if experiment else self._client.create_experiment(project)
        self._run = self._client.create_run(of, run_name=folder.name).info.run_id
        file.write_text(self._run)

    def hparams(self, values: Mapping[str, Value]) -> None:
        params = [Param(name, str(value)[:MOST_CHARACTERS]) for name, value in values.items()]
        for some in _batches(params, MOST_PARAMS):
            self._client.log_batch(self._run, params=some)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        now_ms = round(1e3 * time.time())
        for some in _batches([Metric(name, value, now_ms, step) for name, value in values.items()], MOST_METRICS):
            self._client.log_batch(self._run, metrics=some)

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        self._client.log_image(self._run, image, key=name, step=step)

    def close(self) -> None:
        self._client.set_terminated(self._run)


def _batches(items: list, most: int) -> list[list]:
    return [items[at : at + most] for at in range(0, len(items), most)]
