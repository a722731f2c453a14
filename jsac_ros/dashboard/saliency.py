"""The critic's saliency for the page: a child that computes it lives while a viewer asks for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from jsac_ros.xla_settings import compilation_cache

HEAT = ":heat"  # the image of a camera's name with this is laid over the camera's own
_LINGERS_S = 10.0  # it takes seconds to start: not ended at once
_ALONE = {"JAX_PLATFORMS": "cpu", "PJRT_NPROC": "1"}  # the learner's device and the other cores are not touched


class Saliency:
    """Of one run folder. `show` takes the name of an image and its PNG, `say` a line; both from another thread."""

    def __init__(self, folder: Path, show: Callable[[str, bytes], None], say: Callable[[str], None]):
        self._command = [sys.executable, "-m", "jsac_ros.dashboard.saliency_child", str(folder)]
        self._show, self._say = show, say
        self._child: subprocess.Popen[bytes] | None = None
        self._asked_s = 0.0

    def update(self, wanted: bool) -> None:
        """Called about once a second: whether a viewer asks for it."""
        now_s = time.monotonic()
        if wanted:
            self._asked_s = now_s
        if wanted and self._child is None:
            self._say("Starts.")
            self._child = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, env=os.environ | compilation_cache() | _ALONE,
            )  # fmt: skip
            threading.Thread(target=self._listen, args=(self._child.stdout,), name="saliency", daemon=True).start()
        elif self._child is not None and now_s - self._asked_s > _LINGERS_S:
            self.close()

    def _listen(self, stdout: BinaryIO) -> None:
        text = ""
        with stdout:
            while (message := read(stdout)) is not None:
                header, _, image = message.partition(b"\0")
                told = json.loads(header)
                if "image" in told:
                    self._show(told["image"], image)
                else:
                    text = told["text"]
                    self._say(text)
        if self._child is not None:  # it was not asked to
            self._say(f"{text} It has ended; ask again in ten seconds.".lstrip())

    def close(self) -> None:
        if self._child is not None:
            child, self._child = self._child, None
            child.kill()
            child.wait()


def write(file: BinaryIO, message: bytes) -> None:
    file.write(len(message).to_bytes(4, "big") + message)
    file.flush()


def read(file: BinaryIO) -> bytes | None:
    """A message of `write`; None at the end."""
    size = int.from_bytes(file.read(4), "big")
    message = file.read(size)
    return message if size and len(message) == size else None
