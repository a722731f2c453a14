"""The critic's saliency for the page, computed by a child process that runs while a viewer requests it."""

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

HEAT = ":heat"  # suffix of an image name: overlay for the image without the suffix
_LINGERS_S = 10.0  # the child takes seconds to start, so it is kept for a while
_ALONE = {"JAX_PLATFORMS": "cpu", "PJRT_NPROC": "1"}  # keeps it off the learner's device and to one core


class Saliency:
    """Saliency for one run folder. `show` gets the name of an image and its PNG, `say` a line; both in another thread."""

    def __init__(self, folder: Path, show: Callable[[str, bytes], None], say: Callable[[str], None]):
        self._command = [sys.executable, "-m", "jsac_ros.dashboard.saliency_child", str(folder)]
        self._show, self._say = show, say
        self._child: subprocess.Popen[bytes] | None = None
        self._asked_s = 0.0

    def update(self, wanted: bool) -> None:
        """Call about once a second. wanted: whether a viewer requests saliency."""
        now_s = time.monotonic()
        if wanted:
            self._asked_s = now_s
        if wanted and self._child is None:
            self._say("Starting.")
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
        if self._child is not None:  # it ended by itself
            self._say(f"{text} Its process has ended; try again in ten seconds.".lstrip())

    def close(self) -> None:
        if self._child is not None:
            child, self._child = self._child, None
            child.kill()
            child.wait()


def write(file: BinaryIO, message: bytes) -> None:
    file.write(len(message).to_bytes(4, "big") + message)
    file.flush()


def read(file: BinaryIO) -> bytes | None:
    """Reads a message of `write`; None at the end."""
    size = int.from_bytes(file.read(4), "big")
    message = file.read(size)
    return message if size and len(message) == size else None
