"""Starts a whole system as a user would, on a separate ROS domain, for benches."""

from __future__ import annotations

import ctypes
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from jsac_ros import dds, parameters
from jsac_ros.config import SystemConfig

_STOP_TIMEOUT_S = 120
_PR_SET_PDEATHSIG = 1


class SystemRun:
    """`jsac-ros run` as a child process. Raises ConfigError if the configuration is wrong."""

    def __init__(self, config: str | Path, overrides: dict[str, object], folder: str | Path):
        self.domain = random.randrange(102, 200)
        overrides = {"run.folder": str(folder), "run.name": f"bench_{os.getpid()}"} | overrides
        self.config: SystemConfig = parameters.load(config, overrides)
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.log = Path(folder) / "run.log"
        words = [f"{name}={json.dumps(value)}" for name, value in overrides.items()]
        environment = os.environ | {"ROS_DOMAIN_ID": str(self.domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        os.environ |= dds.discovery() | dds.profile()  # for the observer in this process
        with self.log.open("wb") as log:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "jsac_ros", "run", str(config), *words],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, preexec_fn=_end_with_parent,
            )  # fmt: skip

    @property
    def run_folder(self) -> Path:
        """The run folder that the run prints. Raises RuntimeError with the end of its output if the run failed before."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            text = self.log.read_text(errors="replace")
            found = [line for line in text.splitlines() if line.startswith("run folder: ")]
            if found:
                return Path(found[0].removeprefix("run folder: "))
            if self._popen.poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError(f"the system did not start:\n{self.log.read_text(errors='replace')[-2000:]}")

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    def pid(self, name: str) -> int:
        return json.loads((self.run_folder / "processes.json").read_text())[name]

    def pids(self) -> list[int]:
        """Process ids of the system, its starter's first."""
        processes = json.loads((self.run_folder / "processes.json").read_text())
        return [self._popen.pid, *(pid for pid in processes.values() if pid != self._popen.pid)]

    def stop(self) -> int:
        """Interrupts the run (Ctrl-C); returns its exit status."""
        if self.alive:
            self._popen.send_signal(signal.SIGINT)
        try:
            return self._popen.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            return self._popen.wait()

    def leftovers(self) -> list[str]:
        """Processes and shared memory that the run has left behind."""
        mine = str(self.run_folder).encode()
        left = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes()
            except OSError:
                continue
            if mine in words and int(process.name) != os.getpid():
                left.append(f"process {process.name}")
        prefix = f"jsac_{self.domain}_{self.config.run.name}_"
        return left + [file.name for file in Path("/dev/shm").iterdir() if prefix in file.name]


def _end_with_parent() -> None:
    """In the child: receive SIGINT when the bench dies for any reason."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
