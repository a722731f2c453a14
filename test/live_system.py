"""A whole system on a private domain with networks that are hardly there, and a node that listens to it."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path

import domains
import psutil
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from jsac_ros.msg import Action, AppliedAction, ControlStatus, ReplayStatus, SafetyStatus, TrainingStatus
from jsac_ros.parameters import dump, load

DEMO = Path(__file__).resolve().parent.parent / "config" / "ur5_reacher_demo.yaml"
RUN = (sys.executable, "-m", "jsac_ros", "run")
TINY = {
    "run.name": "live", "cameras.wrist.height": 31, "cameras.wrist.width": 31, "cameras.wrist.source_height": 31,
    "cameras.wrist.source_width": 31, "task.episode_s": 1.0, "task.reset_s": 0.2, "task.settle_s": 0.04,
    "agent.conv_channels": (4, 4, 4, 4), "agent.latent_dim": 8, "agent.hidden": (16,),
    "replay.capacity": 5000, "replay.batch_size": 8, "replay.warmup_steps": 40, "learner.checkpoint_period_s": 1.0,
    "realtime.learner_nice": 0, "realtime.replay_nice": 0,  # these tests must pass beside other work, too
}  # fmt: skip
TOPICS = {
    "control_status": ControlStatus, "training_status": TrainingStatus, "replay_status": ReplayStatus,
    "safety_status": SafetyStatus, "policy_command": Action, "applied_action": AppliedAction,
}  # fmt: skip
DOMAIN = domains.take()


def tiny_config(folder: Path, base: Path = DEMO, values: dict[str, object] = TINY, **overrides) -> Path:
    """Writes a configuration, the demo's made tiny by default; `overrides` as run__seed=3."""
    values = {"run.folder": str(folder / "runs"), "run.report": False} | values
    values |= {name.replace("__", "."): value for name, value in overrides.items()}
    path = folder / "config.yaml"
    dump(load(base, values), path)
    return path


class System:
    """`jsac-ros run` as a child, and what is known of it from its run folder and from DDS."""

    def __init__(
        self, config: Path, *arguments: str, namespace: str = "", terminal: bool = False, command: Sequence[str] = RUN
    ):
        """`terminal`: its controlling terminal is one of ours, which `hang_up` closes. `command`: the starter."""
        arguments = (*arguments, "--namespace", namespace) if namespace else arguments
        self.base = config.parent / "runs"
        self.output = config.parent / "output.txt"
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=DOMAIN)
        self.node = rclpy.create_node("listener", namespace=namespace, context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.latest: dict[str, object] = {}
        self.counts = dict.fromkeys(TOPICS, 0)
        self.speed = 0.0  # rad/s, of the fastest joint
        for topic, message in TOPICS.items():
            self.node.create_subscription(message, topic, lambda m, t=topic: self._hear(t, m), 50)
        self.node.create_subscription(JointState, "joint_states", self._hear_joints, qos_profile_sensor_data)
        self._terminal = None
        if terminal:
            self._terminal, slave = pty.openpty()
            os.set_blocking(self._terminal, False)
            streams = {"stdin": slave, "stdout": slave, "stderr": slave, "preexec_fn": _take_terminal}
            self.popen = start(config, *arguments, command=command, **streams)
            os.close(slave)
        else:
            with open(self.output, "wb") as output:
                self.popen = start(config, *arguments, command=command, stdout=output, stderr=output)

    def _hear(self, topic: str, message) -> None:
        self.latest[topic] = message
        self.counts[topic] += 1

    def _hear_joints(self, message: JointState) -> None:
        self.speed = max(map(abs, message.velocity), default=0.0)

    @property
    def folder(self) -> Path:
        return max(self.base.iterdir())

    def pid(self, process: str) -> int:
        return json.loads((self.folder / "processes.json").read_text())[process]

    def kill(self, process: str, number: int = signal.SIGKILL) -> None:
        os.kill(self.pid(process), number)

    def press(self, key: str) -> None:
        """In the run's terminal."""
        os.write(self._terminal, key.encode())

    def hang_up(self) -> None:
        """What a closed window and a dropped ssh do."""
        os.close(self._terminal)
        self._terminal = None

    def _listen(self) -> None:
        """To one message, and to what is on the terminal."""
        self.executor.spin_once(timeout_sec=0.05)
        with open(self.output, "ab") as output, contextlib.suppress(OSError):
            while self._terminal is not None:
                output.write(os.read(self._terminal, 65536))

    def forget(self) -> None:
        """What is in `latest` afterwards was said afterwards."""
        self.latest.clear()

    def wait_until(self, what: str, condition, timeout_s: float = 120.0) -> None:
        """Listens until `condition()`; a message that has not come counts as not fulfilled."""
        deadline = time.monotonic() + timeout_s
        while True:
            self._listen()
            try:
                if condition():
                    return
            except (KeyError, FileNotFoundError, ValueError):
                pass
            assert self.popen.poll() is None, f"ended before: {what}\n{self.words()}"
            assert time.monotonic() < deadline, f"did not come: {what}\n{self.latest}\n{self.words()}"

    def call(self, service: str) -> Trigger.Response:
        client = self.node.create_client(Trigger, service)
        assert client.wait_for_service(20), f"{service} is not served"
        future = client.call_async(Trigger.Request())
        self.executor.spin_until_future_complete(future, 20)
        self.node.destroy_client(client)
        return future.result()

    def end(self, timeout_s: float = 60.0) -> int:
        """SIGTERM, then the exit status; keeps listening meanwhile."""
        self.popen.terminate()
        return self.join(timeout_s)

    def join(self, timeout_s: float) -> int:
        deadline = time.monotonic() + timeout_s
        while self.popen.poll() is None:
            assert time.monotonic() < deadline, f"did not end\n{self.words()}"
            self._listen()
        return self.popen.returncode

    def words(self) -> str:
        logs = sorted(self.folder.glob("logs/*.log")) if self.base.is_dir() else []
        return "\n".join(f"--- {file.name}\n{file.read_text()[-3000:]}" for file in [self.output, *logs])

    def table(self, name: str) -> list[dict[str, str]]:
        with open(self.folder / name, newline="") as file:
            return list(csv.DictReader(file))

    def summary(self) -> dict:
        return json.loads((self.folder / "summary.json").read_text())

    def close(self) -> None:
        """Ends it whatever happened."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(60)
            except subprocess.TimeoutExpired:
                self.popen.kill()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


def environment() -> dict[str, str]:
    return os.environ | {"ROS_DOMAIN_ID": str(DOMAIN), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}


def start(config: Path, *arguments: str, command: Sequence[str] = RUN, **streams) -> subprocess.Popen:
    command = [*command, str(config), *arguments]
    return subprocess.Popen(command, env=environment(), **{"stdin": subprocess.DEVNULL} | streams)


def _take_terminal() -> None:
    """In the child: standard input becomes the controlling terminal of a session of its own."""
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def leftovers() -> list[str]:
    """Processes and shared memory of our domain that are still there."""
    found = [
        name for name in os.listdir("/dev/shm") if name.removeprefix("sem.").startswith((f"jsac_{DOMAIN}_", f"jsac_{DOMAIN}."))
    ]
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if any(word.startswith("jsac_ros.nodes.") for word in words):
            try:
                if process.environ().get("ROS_DOMAIN_ID") == str(DOMAIN):
                    found.append(" ".join(words))
            except psutil.Error:
                pass
    return found
