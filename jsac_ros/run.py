"""`jsac-ros run CONFIG`: starts the processes of a system, watches over them and ends them in order.

What `ros2 launch` does where it is installed, with what a robot asks for on top: processes stop one group after the
other (who commands first, safety after the robot is at rest), and a process that keeps crashing ends everything.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

from jsac_ros import config as configuration
from jsac_ros import system
from jsac_ros.config import ConfigError, SystemConfig
from jsac_ros.dds.leftovers import remove_leftovers as remove_dds_leftovers
from jsac_ros.replay.names import remove_leftovers

ALIASES = {"seed": "run.seed", "bag": "bag.path", "record": "bag.record", "interface": "robot.interface"}
RESTART_WINDOW_S = 600.0
RESTART_DELAY_S = 1.0
BAG_GRACE_S = 3.0  # after the last message of a recording: the actor closes its episode, replay stores it


class Watched:
    """A process of the system while it runs."""

    def __init__(self, process: system.Process):
        self.process = process
        self.popen: subprocess.Popen | None = None
        self.starts: deque[float] = deque()
        self.due_s: float | None = 0.0  # when to start it (again)
        self.restarts = 0


class Supervisor:
    def __init__(self, config: SystemConfig, run_folder: Path, processes: list[system.Process]):
        self.config, self.folder = config, run_folder
        self.watched = [Watched(process) for process in processes]
        self.environment = os.environ | system.shared_environment(run_folder)
        self.signals = 0
        self.failure = ""
        self._done_at_s: float | None = None

    def run(self) -> int:
        """Until the run is complete, is interrupted or cannot go on. Returns the exit status."""
        previous = {n: signal.signal(n, self._on_signal) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            while not self.signals and not self.failure and not self._complete():
                for watched in self.watched:
                    self._look_after(watched)
                time.sleep(0.05)
        finally:
            self._stop_all()
            remove_leftovers(self.config.run.name)
            remove_dds_leftovers()
            for number, handler in previous.items():
                signal.signal(number, handler)
        if self.failure:
            print(f"error: {self.failure}", file=sys.stderr, flush=True)
        return 1 if self.failure else 0

    def _on_signal(self, *_) -> None:
        self.signals += 1

    def _complete(self) -> bool:
        return self._done_at_s is not None and time.monotonic() >= self._done_at_s

    def _start(self, watched: Watched) -> None:
        name = watched.process.name
        log = open(self.folder / "logs" / f"{name}.log", "ab")
        environment = watched.process.environment | self.environment
        if watched.starts and name == "safety" and self.config.safety.restart_needs_person:
            environment |= {"JSAC_SAFETY_LATCHED": "the safety process had died and was started again"}
        environment |= {"JSAC_STARTER_PID": str(os.getpid())}
        command = [sys.executable, "-m", watched.process.module]
        command += ["--ros-args", "--params-file", str(self.folder / "config.yaml")]
        with log:
            watched.popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=None if name == "reporter" else log,  # the reporter is the progress display
                stderr=log,
                env=environment,
                # A group of its own, so that Ctrl-C reaches us alone and the order of stopping is ours; the same
                # session, so that `nice` ranks the processes against each other (autogroups rank sessions).
                process_group=0,
                preexec_fn=lambda: os.nice(watched.process.nice),
            )
        watched.starts.append(time.monotonic())
        watched.due_s = None
        self._write_pids()

    def _write_pids(self) -> None:
        pids = {w.process.name: w.popen.pid for w in self.watched if w.popen is not None}
        partial = self.folder / "processes.json.partial"
        partial.write_text(json.dumps(pids))
        partial.replace(self.folder / "processes.json")

    def _look_after(self, watched: Watched) -> None:
        now = time.monotonic()
        if watched.due_s is not None:
            if now >= watched.due_s:
                self._start(watched)
            return
        status = watched.popen.poll() if watched.popen else None
        if status is None or self.failure:
            return
        watched.popen = None
        process = watched.process
        if status == 0:
            if process.ends_system and self._done_at_s is None:
                self._done_at_s = now + (BAG_GRACE_S if process.name == "player" else 0.0)
            elif not process.ends_system:
                self.failure = f"{process.name} ended by itself"
            return
        while watched.starts and now - watched.starts[0] > RESTART_WINDOW_S:
            watched.starts.popleft()
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        words = self._last_words(process.name)
        if status == 2 or not process.restart or len(watched.starts) > self.config.run.max_restarts:
            self.failure = f"{process.name}: {how}\n{words}"
            return
        watched.restarts += 1
        watched.due_s = now + RESTART_DELAY_S
        print(f"{process.name} died ({how}); starting it again ({watched.restarts})", flush=True)

    def _last_words(self, name: str, lines: int = 12) -> str:
        """The end of a process's log."""
        try:
            text = (self.folder / "logs" / f"{name}.log").read_text(errors="replace")
        except OSError:
            return ""
        tail = text.strip().splitlines()[-lines:]
        return "\n".join(f"  {line}" for line in tail)

    def _stop_all(self) -> None:
        running = {w.process.name: w.popen for w in self.watched if w.popen is not None and w.popen.poll() is None}
        for group in system.stop_order([w.process for w in self.watched]):
            present = [process for process in group if process.name in running]
            for process in present:
                running[process.name].send_signal(signal.SIGTERM)
            for process in present:
                self._wait_for_end(process, running[process.name])

    def _wait_for_end(self, process: system.Process, popen: subprocess.Popen) -> None:
        """Waits for a process that was asked to end; kills it when it takes too long or a third Ctrl-C comes."""
        deadline = time.monotonic() + process.stop_timeout_s
        while popen.poll() is None:
            if time.monotonic() > deadline or self.signals > 2:
                print(f"{process.name} did not end; killed", flush=True)
                popen.kill()
                popen.wait()
                return
            time.sleep(0.02)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", help="a file of config/, in the ROS parameter format")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="section.field=value, seed=3, bag=FOLDER, ...")
    parser.add_argument("--only", metavar="NAME,...", help="start these processes alone, for a system on two computers")
    parser.add_argument("--duration", type=float, default=None, metavar="S", help="end after so many seconds (0: never)")


def _chosen(processes: list[system.Process], only: str | None) -> list[system.Process]:
    if only is None:
        return processes
    names = [process.name for process in processes]
    for name in only.split(","):
        if name not in names:
            raise ConfigError(f"--only {name}: this system has {', '.join(names)}")
    return [process for process in processes if process.name in only.split(",")]


def resolve(arguments: argparse.Namespace) -> SystemConfig:
    """The configuration that the command line asks for, checked. Raises ConfigError."""
    overrides = {}
    for text in arguments.overrides:
        name, value = configuration.parse_override(text)
        overrides[ALIASES.get(name, name)] = value
    if arguments.duration is not None:
        overrides["run.duration_s"] = arguments.duration
    config = configuration.load(arguments.config, overrides)
    system.check(config)
    return config


def main(arguments: argparse.Namespace) -> int:
    return run(resolve(arguments), arguments.only)


def run(config: SystemConfig, only: str | None = None) -> int:
    """A whole system that was checked, or some of its processes, to the end; -> exit status."""
    processes = _chosen(system.processes(config), only)
    folder = system.make_run_folder(config)
    print(f"run folder: {folder}", flush=True)
    status = Supervisor(config, folder, processes).run()
    print(f"run folder: {folder}", flush=True)
    return status
