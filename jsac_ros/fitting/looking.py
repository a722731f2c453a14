"""Runs `nodes/looking.py` as a child process, which subscribes to one topic, as only nodes import ROS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

from jsac_ros import dds, domain
from jsac_ros.config import ConfigError

WAIT_S = 5.0  # for a message
START_DRIVER = "start its driver, and set its topic in the configuration; a driver on another computer needs "
START_DRIVER += "ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET"


class Looking:
    """`with Looking(...) as looking: looking.newest()`. Sends no commands."""

    def __init__(self, config: str, overrides: Mapping[str, Any], namespace: str, source: str):
        """source: the name of a camera, or `rig.JOINTS`. Raises ConfigError if ROS 2 is not installed."""
        domain.expect_ros()
        asked = {
            "config": str(config), "overrides": dict(overrides), "namespace": namespace, "source": source, "wait_s": WAIT_S,
        }  # fmt: skip
        self._errors = tempfile.TemporaryFile("w+")  # a pipe that is not read would block it
        self._child = subprocess.Popen(
            [sys.executable, "-m", "jsac_ros.nodes.looking", json.dumps(asked)],
            env=os.environ | dds.discovery() | dds.profile(shared_memory=True),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
            process_group=0,  # Ctrl-C reaches only the parent
        )  # fmt: skip

    def newest(self) -> dict[str, Any]:
        """The first value after this call, as `nodes/looking.py` prints it. Raises ConfigError if none arrives in WAIT_S."""
        try:
            self._child.stdin.write("look\n")
            self._child.stdin.flush()
            line = self._child.stdout.readline()
        except OSError:
            line = ""
        if not line:
            self._errors.seek(0)
            last = (self._errors.read().strip().splitlines() or ["it has exited"])[-1]
            raise ConfigError(f"the node cannot be started: {last.removeprefix('error: ')}")
        told = json.loads(line)
        if told["problem"]:
            cure = f"; {START_DRIVER}" if told["silent"] else ""
            raise ConfigError(f"{told['topic']}: {told['problem']}{cure}")
        return told

    def __enter__(self) -> Looking:
        return self

    def __exit__(self, *_) -> None:
        self._child.stdin.close()
        try:
            self._child.wait(5.0)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        for stream in (self._child.stdout, self._errors):
            stream.close()
