"""A full disk ends no training: a step waits until it can be stored; other files are written again when they are due."""

from __future__ import annotations

import time
from collections.abc import Callable

from jsac_ros import documents
from jsac_ros.agent.checkpoint import CheckpointError
from jsac_ros.config import ConfigError

_RETRY_S = 1.0


class Disk:
    """say: reports a problem on the terminal."""

    def __init__(self, say: Callable[[str], None]):
        self._say = say
        self._problems: dict[str, str] = {}  # file -> why it could not be written

    def tries(self, file: str, write: Callable[[], None]) -> bool:
        """Calls `write`, which writes `file`; returns whether there was room."""
        try:
            write()
        except (OSError, CheckpointError) as error:
            if file not in self._problems:
                self._say(f"{file}: {documents.one_line(error)}; retried when there is room")
            self._problems[file] = documents.one_line(error)
            return False
        self._problems.pop(file, None)
        return True

    def waits(self, file: str, write: Callable[[], None]) -> None:
        """Calls `write` until there is room."""
        while not self.tries(file, write):
            time.sleep(_RETRY_S)

    def check(self) -> None:
        """Raises ConfigError with what is not written at the end."""
        if self._problems:
            raise ConfigError("\n".join(f"{file} is not written: {why}" for file, why in self._problems.items()))
