"""A logger in a background thread: callers never wait for the network and never see its errors."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from queue import Empty, Full, Queue

import numpy as np

from jsac_ros import documents
from jsac_ros.report.loggers import Logger, Value

MOST_WAITING = 500  # calls, about twenty minutes of a run
RETRY_S = 60.0  # after an error
LAST_S = 8.0  # at the end, for waiting calls


class Background:
    """Opens the logger with the first call. A failed call is dropped and the next one made `retry_s` later; if too many are
    waiting, new calls are dropped. `problem` is the first error since the last successful call."""

    def __init__(self, name: str, make: Callable[[], Logger], retry_s: float = RETRY_S, most_waiting: int = MOST_WAITING):
        """make: opens the logger; may take long and may raise any exception."""
        self.problem = ""
        self._name, self._make, self._retry_s = name, make, retry_s
        self._settings: dict[str, Value] = {}
        self._calls: Queue[tuple | None] = Queue(most_waiting)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def hparams(self, values: Mapping[str, Value]) -> None:
        self._settings = dict(values)
        self._thread.start()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._put("scalars", step, dict(values))

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        self._put("image", step, name, image)

    def close(self) -> None:
        """Waits up to LAST_S for the remaining calls."""
        self._ending.set()
        with contextlib.suppress(Empty):
            while self._calls.full():  # drop the oldest calls to make room for the end marker
                self._calls.get_nowait()
        self._calls.put_nowait(None)
        self._thread.join(LAST_S)

    def _put(self, *call) -> None:
        try:
            self._calls.put_nowait(call)
        except Full:
            self.problem = self.problem or f"{self._name}: {self._calls.maxsize} calls are waiting; new ones are dropped"

    def _work(self) -> None:
        logger: Logger | None = None
        while (call := self._calls.get()) is not None:
            try:
                logger = logger or self._open()
                getattr(logger, call[0])(*call[1:])
                self.problem = ""
            except Exception as error:
                self._failed(error)
        if logger is not None:
            try:
                logger.close()
            except Exception as error:
                self._failed(error)

    def _open(self) -> Logger:
        logger = self._make()
        logger.hparams(self._settings)
        return logger

    def _failed(self, error: Exception) -> None:
        self.problem = self.problem or f"{self._name}: {type(error).__name__}: {documents.one_line(error)}"
        self._ending.wait(self._retry_s)
