"""Keyboard: the keys of the run's own terminal, as verbs.

The starter reads the terminal and passes each key on to this process's standard input.

Publishes   keys (std_msgs/String, every key: teleop may drive by them), emergency_stop
Calls       the operator's services of actor, safety and learner
A process because a key must act within milliseconds, which a node that is running can and one that is started cannot.
"""

from __future__ import annotations

import os
import queue
import sys
import threading

from std_msgs.msg import String

from jsac_ros.nodes.console import EMERGENCY_STOP, Console
from jsac_ros.nodes.process import WorkingNode, run_node

VERBS = {" ": EMERGENCY_STOP, "p": "pause", "r": "resume", "e": "evaluate", "s": "success", "f": "failure"}


class Keyboard(WorkingNode):
    doing = "keys"
    kinds = ()

    def __init__(self):
        super().__init__("keyboard")
        self._console = Console(self)
        self._keys = self.create_publisher(String, "keys", 10)
        self._verbs: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, name="keys", daemon=True).start()

    def _read(self) -> None:
        while data := os.read(sys.stdin.fileno(), 64):
            for key in data.decode(errors="replace"):
                if key == " ":  # nothing that is still being answered is in its way
                    self._console.do(EMERGENCY_STOP, "keyboard")
                    _show("emergency stop; jsac-ros release lets it move again")
                elif key in VERBS:
                    self._verbs.put(VERBS[key])
                self._keys.publish(String(data=key))

    def work(self) -> None:
        """Does one verb after the other and says what came of it."""
        for verb, success, message in self._console.work(self._verbs, "keyboard", self.stop):
            _show(message if success else f"{verb}: not done: {message}")


def _show(line: str) -> None:
    """Below the display of the reporter, which leaves the cursor at the end of its last line."""
    print(f"\n{line}", flush=True)


def main(args=None) -> int:
    return run_node(Keyboard, args)


if __name__ == "__main__":
    sys.exit(main())
