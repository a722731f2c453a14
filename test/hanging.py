"""`python -m hanging`: the node that HANGS names. It hangs at its first start in a run folder, and works at the next one."""

import ctypes
import os
import sys
import threading
from pathlib import Path

from jsac_ros.nodes.process import JsacNode, WorkingNode, run_node
from jsac_ros.nodes.safety import Safety

LIMIT_S = 1.0  # a busy machine may keep a process waiting for some tenths of it


def is_first() -> bool:
    began = Path(os.environ["JSAC_RUN_FOLDER"]) / "began"
    is_first = not began.exists()
    began.touch()
    return is_first


def stand_still() -> None:
    """With the interpreter's lock, which no other thread of Python gets then."""
    if is_first():
        ctypes.PyDLL(None).pause()


class Executor(JsacNode):
    max_hang_s = LIMIT_S

    def __init__(self):
        super().__init__("hanging")
        self.create_timer(0.05, stand_still)


class Worker(WorkingNode):
    """Its executor goes on."""

    doing, max_hang_s = "working", LIMIT_S

    def __init__(self):
        super().__init__("hanging")

    def work(self) -> None:
        self.watchdog.beat()
        threading.Event().wait()


class Waiting(WorkingNode):
    """For what may take for ever; it ends after twice the limit."""

    doing, max_hang_s = "working", 2 * LIMIT_S

    def __init__(self):
        super().__init__("hanging")

    def work(self) -> None:
        self.watchdog.beat()
        self.watchdog.rest()
        self.stop.wait(2 * self.max_hang_s)
        self.stop.set()


class Watch(Safety):
    """Its second thread hangs; the first one still answers commands."""

    max_hang_s = LIMIT_S

    def _watch(self, now_s: float) -> None:
        if is_first():
            self._lock.release()
            threading.Event().wait()
        super()._watch(now_s)


if __name__ == "__main__":
    sys.exit(run_node({kind.__name__: kind for kind in (Executor, Worker, Waiting, Watch)}[os.environ["HANGS"]]))
