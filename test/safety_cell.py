"""Arm and gate as processes over DDS, and a node that watches them."""

import os
import subprocess
import sys
import threading
import time

import domains
import numpy as np
from gate_cases import LIMITS
from rig_cases import HOME

from jsac_ros import dds
from jsac_ros.bench.observer import Observer
from jsac_ros.control.rate import FixedRate
from jsac_ros.msg import Action
from jsac_ros.parameters import dump, from_parameters

SYSTEM = {
    "run.name": "safety_test",
    "cameras.wrist.height": 32,
    "cameras.wrist.width": 48,
    "robot.home": HOME,
    "robot.program_running_topic": "program_running",
    "robot.speed_scaling_topic": "speed_scaling",
    "actions.arm.type": "joint_velocity",
    **LIMITS,
    "realtime.fifo_priority": 0,
}
os.environ |= dds.discovery() | dds.profile()  # as a system has it; for the observer, too
ENVIRONMENT = dict(os.environ)


class Driver:
    """Commands in the actor's place: `velocity(k)` rad/s [N] for tick k, at the control rate, until `stop`."""

    def __init__(self, observer, velocity):
        self._observer, self._velocity = observer, velocity
        self._rate = FixedRate(observer.config.control.period_s)
        self._thread = threading.Thread(target=self._drive, daemon=True)
        self._thread.start()

    def _drive(self):
        while (tick := self._rate.wait()) is not None:
            message = Action(tick=tick.number, policy_version=-1, velocity=list(map(float, self._velocity(tick.number))))
            message.header.stamp = self._observer.node.get_clock().now().to_msg()
            self._observer.command.publish(message)

    def stop(self):
        self._rate.stop()
        self._thread.join()


class Cell:
    """`environment`: of its processes, beside the usual."""

    def __init__(self, folder, starts="ready", environment=None, **changes):
        self.folder = folder
        self.config = from_parameters(SYSTEM | changes)
        dump(self.config, folder / "config.yaml")
        self.processes = {}
        self._drivers = []
        domain = domains.take()
        self.environment = ENVIRONMENT | (environment or {}) | {"ROS_DOMAIN_ID": str(domain)}
        self.observer = Observer(self.config, domain)
        for name in ("sim_robot", "safety"):
            self.start(name)
        assert self.observer.wait(lambda: self.state() == starts and len(self.observer.path().time_s), 30), self.log()

    def start(self, name, code="", **environment):
        command = [sys.executable, *(("-c", code) if code else ("-m", f"jsac_ros.nodes.{name}")), "--ros-args"]
        command += ["--params-file", str(self.folder / "config.yaml")]
        with open(self.folder / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                command, env=self.environment | environment, stdout=log, stderr=subprocess.STDOUT
            )

    def log(self):
        return {file.name: file.read_text() for file in self.folder.glob("*.log")}

    def state(self):
        status = self.observer.status("safety_status")
        return status.state if status else None

    def drive(self, velocity=(0.2, 0.0, 0.2, 0.0, 0.0, 0.0)):
        """Drives until the arm moves."""
        driver = Driver(self.observer, lambda k: np.array(velocity))
        self._drivers.append(driver)
        assert self.observer.wait(lambda: self.observer.moving(0.15), 20), self.log()
        return driver

    def comes_to_rest(self, since_s):
        """What the arm did since then; it must be at rest in the end, and have braked within its limits."""
        assert self.observer.wait(lambda: not self.observer.moving(1e-3), 20), self.log()
        time.sleep(0.2)
        assert not self.observer.moving(1e-3), self.log()
        path = self.observer.path(since_s)
        bounds = [np.array(self.config.safety.joint_lower), np.array(self.config.safety.joint_upper)]
        assert (path.q >= bounds[0] - 1e-6).all() and (path.q <= bounds[1] + 1e-6).all()
        return path

    def close(self):
        for driver in self._drivers:
            driver.stop()
        for name in ("safety", "sim_robot"):
            self.processes[name].terminate()
        for process in self.processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.observer.close()
