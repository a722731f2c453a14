"""TensorBoard event files in the run folder."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jsac_ros.replay.episodes import to_jpeg
from jsac_ros.report.loggers import Value

COMPARED = {"episode/return": 0.0, "episode/success": 0.0, "evaluation/return": 0.0}  # metrics of the HParams tab


class TensorBoard:
    """After a failed write a new file is started, because readers ignore everything after a truncated record.

    Every file starts with the settings, so that they survive the loss of a file.
    """

    def __init__(self, folder: Path):
        self.problem = ""
        self._folder, self._file, self._files = folder, None, 0
        self._begin: tuple[Any, ...] = ()  # summaries at the start of every file

    def hparams(self, values: Mapping[str, Value]) -> None:
        self._begin = _tensorboard().hparams(dict(values), COMPARED)[:2]

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        summary = _tensorboard().Summary
        self._write(step, summary(value=[summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]))

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        (height, width, _), summary = image.shape, _tensorboard().Summary
        shown = summary.Image(height=height, width=width, colorspace=3, encoded_image_string=to_jpeg(image))
        self._write(step, summary(value=[summary.Value(tag=name, image=shown)]))

    def _write(self, step: int, summary) -> None:
        try:
            if self._file is None:
                self._files += 1
                self._folder.mkdir(exist_ok=True)
                self._file = _tensorboard().EventsWriter(str(self._folder / "events"), f".{os.getpid()}.{self._files}")
                for settings in self._begin:
                    self._add(0, settings)
            self._add(step, summary)
            self._file.flush()
            self.problem = ""
        except OSError as error:
            self.problem = f"{self._folder}: {error.strerror}"
            self.close()

    def _add(self, step: int, summary) -> None:
        self._file.write_event(_tensorboard().Event(wall_time=time.time(), step=step, summary=summary))

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None


class _Tensorboard(NamedTuple):
    EventsWriter: type
    Event: type
    Summary: type
    hparams: Any  # (settings, values to compare) -> three summaries: experiment, start, end


@cache
def _tensorboard() -> _Tensorboard:
    """tensorboardX, imported without torch, which would cost three seconds and 190 MB and is not used."""
    hidden = "torch" not in sys.modules
    if hidden:
        sys.modules["torch"] = None
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary
    from tensorboardX.summary import hparams

    if hidden:
        del sys.modules["torch"]
    return _Tensorboard(EventsWriter, Event, Summary, hparams)
