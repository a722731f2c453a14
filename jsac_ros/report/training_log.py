"""What `jsac-ros train` tells: progress on stdout, episodes.csv, TensorBoard, and the learning curve at the end."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np

from jsac_ros.report.events import summary_writer
from jsac_ros.report.style import BLUE, PALE_BLUE, plt


class TrainingLog:
    def __init__(self, folder: Path, begin: int):
        """begin: environment steps already done in the run that goes on in `folder`."""
        self._folder, self._began, self._begin = folder, time.monotonic(), begin
        self._events = summary_writer(folder / "tensorboard")
        self._keep_until(begin)
        self._file = (folder / "episodes.csv").open("a", newline="")
        self._csv = csv.writer(self._file)

    def _keep_until(self, begin: int) -> None:
        """Drops what came after the checkpoint that the run goes on from, which comes again, and a line cut short by a
        kill; the file is replaced as a whole."""
        path, rows = self._folder / "episodes.csv", []
        if path.exists():
            with path.open(newline="") as file:
                rows = [row for row in csv.reader(file) if len(row) == 4 and row[1].isdigit() and int(row[1]) <= begin]
        partial = path.with_name("episodes.csv.partial")
        with partial.open("w", newline="") as file:
            csv.writer(file).writerows([["kind", "env_steps", "episode_return", "steps"], *rows])
        partial.replace(path)

    def episode(self, env_steps: int, episode_return: float, steps: int, metrics: dict) -> None:
        self._csv.writerow(["episode", env_steps, episode_return, steps])
        self._events.add_scalar("episode/return", episode_return, env_steps)
        for name, value in metrics.items():
            if np.ndim(value) == 0:
                self._events.add_scalar(f"learner/{name}", float(value), env_steps)

    def evaluation(self, env_steps: int, mean_return: float) -> None:
        self._csv.writerow(["evaluation", env_steps, mean_return, ""])
        self._file.flush()
        self._events.add_scalar("evaluation/return", mean_return, env_steps)
        rate = (env_steps - self._begin) / (time.monotonic() - self._began)
        print(f"{env_steps:>9,} steps   return {mean_return:10.1f}   {rate:7.0f} steps/s", flush=True)

    def close(self, title: str) -> None:
        self._file.close()
        self._events.close()
        with (self._folder / "episodes.csv").open() as file:
            rows = list(csv.DictReader(file))
        figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
        for kind, style in (("episode", {"marker": ".", "ls": "", "color": PALE_BLUE}), ("evaluation", {"color": BLUE})):
            points = [(int(row["env_steps"]), float(row["episode_return"])) for row in rows if row["kind"] == kind]
            if points:
                axes.plot(*zip(*points, strict=True), label=kind, **style)
        axes.set(xlabel="environment steps", ylabel="return", title=title)
        axes.legend()
        figure.savefig(self._folder / "learning_curve.png")
