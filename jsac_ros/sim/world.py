"""A simulated robot behind the safety gate, in one process and without a clock: for baselines, tests and fast training.

The actor's session sees what it would see live: images and commands are late by as much as they are there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jsac_ros import plugins
from jsac_ros.control.ending import CONTACT
from jsac_ros.control.images import FrameMaker
from jsac_ros.control.motion import Motion
from jsac_ros.control.safety import gate_of
from jsac_ros.control.session import View
from jsac_ros.rig import Rig
from jsac_ros.sim.sim import Sim, check_sensors
from jsac_ros.sim.trajectory import Trajectory
from jsac_ros.types import Arrays, Command, Sensed

_STREAM_S = 0.008  # between two commands of interfaces that are told velocities, and between two looks at the wrench


class Delays(NamedTuple):
    """As the processes have them, s."""

    image_s: float = 0.03  # from the exposure to the tick: half a camera's period, its delay, the way
    command_s: float = 0.004  # from the tick to the robot


class World:
    """Stepped by control periods."""

    def __init__(self, rig: Rig, seed: int, delays: Delays | None = None):
        """Raises ConfigError where the rig cannot be simulated, or the gate cannot keep its limits."""
        rig.check_devices()
        self.rig, self.delays = rig, delays or Delays()
        self.sim: Sim = plugins.make("sim", rig.config.sim.type, rig.config.sim, rig, seed)
        self._makers = {name: FrameMaker(camera) for name, camera in rig.config.cameras.items()}
        check_sensors(self.sim, rig.sensors, rig.sensors)
        self._now_s = 0.0
        self._arrive()

    def _arrive(self) -> None:
        """Everything starts here, at rest."""
        self._gate = gate_of(self.rig.config, self.rig.robot, at_once=True)
        self._gate.program_running(True)
        self._measure()
        self._gate.begin_episode()
        self._events: tuple[str, ...] = ()
        # The exposures of the last ticks, oldest first: the next tick sees the oldest.
        ticks = int(self.delays.image_s / self.rig.config.control.period_s)
        self._snapshots = deque([self.sim.snapshot()] * (ticks + 1), maxlen=ticks + 1)

    def reset(self, q: np.ndarray | None = None) -> None:
        """At once: at rest at `robot.home` or at q, rad [N], before a new scene."""
        self.sim.reset(q)
        self._arrive()

    def call(self, service: str) -> tuple[bool, str]:
        """A std_srvs/Trigger service of the simulated robot -> success and message."""
        if service != "new_target":
            return False, f"the simulation has no service {service!r}; it has new_target"
        return True, self.sim.new_target()

    @property
    def time_s(self) -> float:
        return self._now_s

    def view(self) -> View:
        """What the actor knows at this tick."""
        robot, sim, stamp_ns = self.rig.robot, self.sim, round(self._now_s * 1e9)
        n, measured = len(robot), self.sim.sensors
        sensed = Sensed(
            time_s=self._now_s,
            frames=_Frames(self._makers, sim.render, self._snapshots[0]),
            position=sim.q[:n],
            velocity=sim.qd[:n],
            effort=sim.effort[:n],
            sensors={name: sensor.scaled(measured[name]) for name, sensor in self.rig.sensors.items()},
            events=self._events,
            outputs=sim.outputs,
        )
        sources = self.rig.sources
        return View(self._now_s, stamp_ns, 0.0, sensed, dict.fromkeys(sources, stamp_ns), dict.fromkeys(sources, 0.0), "")

    def _measure(self) -> None:
        """What the safety node hears."""
        self._gate.joints(self.sim.q[: len(self.rig.robot)], self._now_s)
        self._gate.grippers.heard(self.sim.names, self.sim.q)
        if self._gate.judges_wrench:
            self._gate.wrench(self.sim.sensors["wrench"], "", self._now_s)

    def step(self, command: Command) -> Command:
        """One control period under a command as the gate lets it; -> what left the gate."""
        config, sim = self.rig.config, self.sim
        end_s, contacts = self._now_s + config.control.period_s, self._gate.counts[CONTACT]
        self._run(self._now_s + self.delays.command_s)
        self._measure()
        decision = self._gate.command(self._now_s, command.motion, outputs=command.outputs)
        self._send(decision.motion)
        for gripper, opening in self._gate.grippers.step(self._now_s, bool(self._gate.reasons)).items():
            sim.command_output(gripper, (opening.target,))
        self._run(max(end_s - self.delays.image_s % config.control.period_s, self._now_s))
        self._snapshots.append(sim.snapshot())
        self._run(end_s)
        self.rules = decision.rules
        self._events = (CONTACT,) if self._gate.counts[CONTACT] > contacts else ()
        return Command(decision.velocity, dict(decision.outputs))

    def _send(self, motion: Motion | None) -> None:
        config = self.rig.config
        if motion is not None and config.robot.interface == "trajectory":
            smooth = config.safety.max_joint_jerk_rad_s3 > 0
            self.sim.command_trajectory(self.rig.robot.names, _trajectory(motion, smooth))

    def _run(self, until_s: float) -> None:
        if self.rig.config.robot.interface == "trajectory" and not self._gate.judges_wrench:
            self.sim.step(until_s - self._now_s)
        else:
            self._stream(until_s)
        self._now_s = until_s

    def _stream(self, until_s: float) -> None:
        while until_s - self._now_s > 1e-9:
            dt = min(_STREAM_S, until_s - self._now_s)
            self._send_velocity()
            self.sim.step(dt)
            self._now_s += dt
            if self._gate.judges_wrench:
                self._measure()
                self._send(self._gate.watch(self._now_s).motion)

    def _send_velocity(self) -> None:
        """To an interface that takes them."""
        velocity = self._gate.velocity(self._now_s)
        if self.rig.robot.is_base:
            self.sim.command_twist(*velocity)
        elif self.rig.config.robot.interface == "velocity":
            self.sim.command_velocity(velocity)

    def close(self) -> None:
        self.sim.close()


class _Frames(Mapping):
    """{camera: uint8 [H, W, C]}, rendered when they are first asked for: during a reset nothing looks at them."""

    def __init__(self, makers: dict[str, FrameMaker], render: Callable[[str, Any], np.ndarray], snapshot: Any):
        self._makers, self._render, self._snapshot = makers, render, snapshot
        self._frames: Arrays = {}

    def __getitem__(self, camera: str) -> np.ndarray:
        if camera not in self._frames:
            self._frames[camera] = self._makers[camera].of_image(self._render(camera, self._snapshot))
        return self._frames[camera]

    def __iter__(self):
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def _trajectory(motion: Motion, smooth: bool) -> Trajectory:
    """As the safety node sends it; with accelerations where the motion is smooth in them."""
    times, positions, velocities, accelerations = (np.array(column) for column in zip(*motion.points()))
    return Trajectory(times, positions, velocities, accelerations if smooth else None)
