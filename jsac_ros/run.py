"""Starts the processes of a system, supervises them and ends them in order.

  jsac-ros run ur5_reacher_demo --duration 600                 a shipped configuration, by its name
  jsac-ros run my_ur5.yaml robot.driver=external               your own file, with one field changed
  jsac-ros run ur5_reacher_demo --open                         with its dashboard in a browser
  jsac-ros run ur5_reacher_demo run.name=night seed=1          several fields; seed is short for run.seed
  jsac-ros run my_ur5.yaml learner.resume=runs/NAME            continue from the last checkpoint of a run
  jsac-ros run my_ur5.yaml --only replay,learner               only these processes; the others run on another computer

It does the same as `ros2 launch` with our launch files. Processes stop one group after the other (the actor first, safety after
the robot is at rest), and a process that keeps crashing ends the system. Ctrl-C, SIGTERM and a closing terminal (SIGHUP) end
the system in this order.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO

from jsac_ros import claims, domain, leftovers, logs, parameters, run_key, system, terminal
from jsac_ros.config import ConfigError, SystemConfig
from jsac_ros.dashboard.opening import open_when_served
from jsac_ros.documents import did_you_mean
from jsac_ros.files import write_text
from jsac_ros.output import drop_what_is_not_read
from jsac_ros.signals import endings
from jsac_ros.spaces import Spaces
from jsac_ros.supervision import STOP, End, GiveUp, Process, Restart, Supervision

ALIASES = {"seed": "run.seed", "bag": "bag.path", "record": "bag.record", "interface": "robot.interface"}
NEVER = float("inf")
LOG_PERIOD_S = 10.0


class Supervisor:
    def __init__(self, config: SystemConfig, run_folder: Path, processes: list[Process], namespace: str):
        self.config, self.folder, self.processes, self.namespace = config, run_folder, processes, namespace
        self.supervision = Supervision(processes, config.run.max_restarts)
        self.environment = os.environ | system.shared_environment(run_folder)
        self.running: dict[str, subprocess.Popen] = {}
        self.due_s = {process.name: 0.0 for process in processes}  # when to start each process that is not running
        self.asked: list[int] = []  # signals received to end
        self.end_s = NEVER
        self.failure = ""

    def run(self) -> int:
        """Runs until the run is complete, is interrupted or cannot continue. Returns the exit status."""
        logs_due_s = 0.0
        previous = {n: signal.signal(n, lambda number, _: self.asked.append(number)) for n in endings()}
        drop_what_is_not_read()
        try:
            with terminal.Terminal(self._on_key):
                while not self.asked and time.monotonic() < self.end_s:
                    self._start_what_is_due()
                    self._look_for_ends()
                    if time.monotonic() >= logs_due_s:
                        logs_due_s = time.monotonic() + LOG_PERIOD_S
                        logs.rotate(self.folder)
                    time.sleep(0.05)
        finally:
            self._stop_all()
            leftovers.remove(self.config.run.name, self.namespace)
            for number, handler in previous.items():
                signal.signal(number, handler)
        if self.failure:
            print(f"error: {self.failure}", file=sys.stderr, flush=True)
        return 1 if self.failure else 0

    def _on_key(self, key: str) -> None:
        """Forwards a key of our terminal to the keyboard process."""
        if key == "q":
            self.asked.append(signal.SIGINT)
        elif key == "?":
            print(f"\n{terminal.HELP}", flush=True)
        elif keyboard := self.running.get("keyboard"):
            with contextlib.suppress(OSError):  # it has just died
                keyboard.stdin.write(key.encode())
                keyboard.stdin.flush()

    # -- starting ------------------------------------------------------------------------------------------------

    def _start_what_is_due(self) -> None:
        now_s = time.monotonic()
        for process in self.processes:
            if self.due_s.get(process.name, NEVER) <= now_s:
                del self.due_s[process.name]
                self._start(process)

    def _start(self, process: Process) -> None:
        name = process.name
        environment = self.supervision.environment(name) | self.environment | {"JSAC_STARTER_PID": str(os.getpid())}
        command = [*system.command(process), "--ros-args", *system.ros_arguments(self.folder, self.namespace, name)]
        self.supervision.started(name, time.monotonic())
        with self._log_of(name) as log:
            self.running[name] = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if name == "keyboard" else subprocess.DEVNULL,
                stdout=None if name in logs.AT_TERMINAL else log,
                stderr=log,
                env=environment,
                # A separate group, so that Ctrl-C and a closing terminal reach only us and the order of stopping is
                # ours; the same session, so that `nice` ranks the processes against each other (autogroups rank sessions).
                process_group=0,
                preexec_fn=lambda: os.nice(process.nice),
            )
        self._write_pids()

    def _log_of(self, name: str) -> BinaryIO:
        """The log of a process; without one if the disk is full or the folder is gone."""
        try:
            return open(self.folder / "logs" / f"{name}.log", "ab")
        except OSError as error:
            print(f"{name} has no log: {error.strerror}", flush=True)
            return open(os.devnull, "ab")

    def _write_pids(self) -> None:
        """If the disk is full, `processes.json` stays old; nothing depends on it."""
        pids = {name: popen.pid for name, popen in self.running.items()}
        with contextlib.suppress(OSError):
            write_text(self.folder / "processes.json", json.dumps(pids))

    # -- watching ------------------------------------------------------------------------------------------------

    def _look_for_ends(self) -> None:
        for name, popen in list(self.running.items()):
            if (status := popen.poll()) is not None:
                del self.running[name]
                self._follow(name, self.supervision.ended(name, status, time.monotonic()))

    def _follow(self, name: str, decision: Restart | GiveUp | End | None) -> None:
        now_s = time.monotonic()
        if isinstance(decision, Restart):
            print(decision.line, flush=True)
            self.due_s[name] = now_s + decision.delay_s
        elif isinstance(decision, GiveUp):
            print(f"{decision.line}\n{self._last_words(name)}".rstrip(), flush=True)
        elif isinstance(decision, End):
            self.end_s = min(self.end_s, now_s + decision.delay_s)
            if decision.failure and not self.failure:
                self.failure = f"{decision.failure}\n{self._last_words(name)}".rstrip()

    def _last_words(self, name: str, lines: int = 12) -> str:
        """The last lines of a process's log."""
        try:
            text = (self.folder / "logs" / f"{name}.log").read_text(errors="replace")
        except OSError:
            return ""
        tail = text.strip().splitlines()[-lines:]
        return "\n".join(f"  {line}" for line in tail)

    # -- ending --------------------------------------------------------------------------------------------------

    def _stop_all(self) -> None:
        self.supervision.stopping()
        for group in system.stop_order(self.processes):
            present = [process for process in group if process.name in self.running]
            for process in present:
                self.running[process.name].send_signal(STOP)
            for process in present:
                self._wait_for_end(process, self.running[process.name])
        self._look_for_ends()

    def _wait_for_end(self, process: Process, popen: subprocess.Popen) -> None:
        """Waits for a process that was asked to end; kills it if it takes too long or at a third Ctrl-C."""
        deadline = time.monotonic() + process.stop_timeout_s
        while popen.poll() is None:
            if time.monotonic() > deadline or self.asked.count(signal.SIGINT) > 2:
                print(f"{process.name} did not end; killed", flush=True)
                popen.kill()
                popen.wait()
                return
            time.sleep(0.02)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", help="a ROS parameter file, or the name of a shipped configuration: ur5_reacher_demo")
    parser.add_argument(
        "overrides", nargs="*", default=[], metavar="key=value", help="section.field=value, seed=3, bag=FOLDER, ..."
    )
    parser.add_argument("--only", metavar="NAME,...", help="start only these processes, for a system on several computers")
    parser.add_argument(
        "--namespace", default="", metavar="NAME", help="namespace of all topics and services with relative names"
    )
    parser.add_argument("--duration", type=float, default=None, metavar="S", help="end after this many seconds (0: never)")
    parser.add_argument("--open", action="store_true", help="open the dashboard in a browser (dashboard.enabled=true)")


def _chosen(processes: list[Process], only: str | None) -> list[Process]:
    if only is None:
        return processes
    names = [process.name for process in processes]
    for name in only.split(","):
        if name not in names:
            raise ConfigError(f"--only {name}{did_you_mean(name, names)}: this system has {', '.join(names)}")
    return [process for process in processes if process.name in only.split(",")]


def resolve(arguments: argparse.Namespace) -> SystemConfig:
    """The checked configuration of the command line. Raises ConfigError with all errors in it, in the domain and namespace, and
    with systems that run there already, one line each."""
    overrides = {}
    for text in arguments.overrides:
        name, value = parameters.parse_override(text)
        overrides[ALIASES.get(name, name)] = value
    if arguments.duration is not None:
        overrides["run.duration_s"] = arguments.duration
    if arguments.open:
        overrides["dashboard.enabled"] = True
    found = system.findings([domain.expect_ros, domain.domain_id, lambda: domain.absolute(arguments.namespace)])
    try:
        config = parameters.load(arguments.config, overrides)
    except ConfigError as error:
        raise ConfigError("\n".join((*found, str(error)))) from None
    try:
        here = [process.name for process in _chosen(system.processes(config), arguments.only)]
    except ConfigError as error:
        found, here = [*found, str(error)], []
    checks = [lambda: system.check(config, here)]
    if not found:
        checks.append(lambda: claims.expect_free(domain.absolute(arguments.namespace), here))
    found += system.findings(checks)
    if found:
        raise ConfigError("\n".join(found))
    return config


def main(arguments: argparse.Namespace) -> int:
    return run(resolve(arguments), arguments.only, domain.absolute(arguments.namespace), open_page=arguments.open)


def prepare(config: SystemConfig, spaces: Spaces | None = None, only: str | None = None) -> Path:
    """Makes the run folder of a checked system. spaces: default the rig's."""
    folder = system.make_run_folder(config, spaces)
    if only is None:
        run_key.make(folder)
    elif system.SIGNING.intersection(only.split(",")) and not (config.run.key or config.run.policy):
        print(
            "warning: run.key is ''; forged messages of actor or replay from the network are accepted; "
            "expected a file with the same secret on every computer of the run",
            file=sys.stderr,
        )
    return folder


def supervise(
    config: SystemConfig, folder: Path, only: str | None = None, namespace: str = domain.ROOT, open_page: bool = False
) -> int:
    """Runs all or some of the system's processes to the end; returns the exit status."""
    processes = _chosen(system.processes(config), only)
    if terminal.is_ours():
        processes.append(Process("keyboard", is_optional=True))
        print(terminal.HELP, flush=True)
    print(f"run folder: {folder}", flush=True)
    if open_page and any(process.name == "dashboard" for process in processes):
        threading.Thread(target=open_when_served, args=(folder,), name="browser", daemon=True).start()
    status = Supervisor(config, folder, processes, namespace).run()
    print(f"run folder: {folder}", flush=True)
    return status


def run(
    config: SystemConfig,
    only: str | None = None,
    namespace: str = domain.ROOT,
    spaces: Spaces | None = None,
    open_page: bool = False,
) -> int:
    """Runs a checked system, or some of its processes, to the end; returns the exit status. spaces: default the rig's."""
    claims.expect_free(namespace, [process.name for process in _chosen(system.processes(config), only)])
    return supervise(config, prepare(config, spaces, only), only, namespace, open_page)
