"""Keyboard: turns keys in the run's terminal into verbs.

The starter reads the terminal and forwards each key to this process's standard input.

Publishes   keys (std_msgs/String, every key, which teleop may use), emergency_stop
Calls       the operator's services of actor, safety and learner
A process because a key must act within milliseconds, and starting a node for each key would take longer.
"""

from __future__ import annotations

import os
import sys

from std_msgs.msg import String

from jsac_ros.control.verbs import EMERGENCY_STOP
from jsac_ros.nodes.console import Console
from jsac_ros.nodes.process import WorkingNode, run_node

VERBS = {" ": EMERGENCY_STOP, "p": "pause", "r": "resume", "e": "evaluate", "s": "success", "f": "failure"}


class Keyboard(WorkingNode):
    doing = "keys"
    kinds = ()

    def __init__(self):
        super().__init__("keyboard")
        self._console = Console(self)
        self._keys = self.create_publisher(String, "keys", 10)
        self.thread(self._read, "reading keys", daemon=True).start()

    def _read(self) -> None:
        while data := os.read(sys.stdin.fileno(), 64):
            for key in data.decode(errors="replace"):
                if key == " ":  # at once, not after verbs that still wait for an answer
                    self._console.do(EMERGENCY_STOP, "keyboard")
                    _show("emergency stop; jsac-ros release lets it move again")
                elif key in VERBS:
                    self._console.press(VERBS[key], "keyboard")
                self._keys.publish(String(data=key))

    def work(self) -> None:
        """Executes one verb after the other and prints the answers."""
        for verb, success, message in self._console.work("keyboard", self.stop):
            _show(message if success else f"{verb}: not done: {message}")


def _show(line: str) -> None:
    """Prints below the reporter's display, which leaves the cursor at the end of its last line."""
    print(f"\n{line}", flush=True)


def main(args=None) -> int:
    return run_node(Keyboard, args)


if __name__ == "__main__":
    sys.exit(main())
