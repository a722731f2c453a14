"""A simulated robot behind the safety gate, in one process and faster than real time: for baselines, tests and training.

Images and commands are delayed as in a live system, so that the actor's session sees the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jsac_ros import plugins
from jsac_ros.control.ending import CONTACT
from jsac_ros.control.images import FrameMaker
from jsac_ros.control.motion import Motion
from jsac_ros.control.safety import gate_of
from jsac_ros.control.session import View
from jsac_ros.rig import Rig
from jsac_ros.sim.sim import Sim, check_sim, rendered
from jsac_ros.sim.trajectory import Trajectory
from jsac_ros.types import Arrays, Command, Sensed

_STREAM_S = 0.008  # period of velocity commands, and of the check of the wrench


class Delays(NamedTuple):
    """The delays of a live system, s."""

    image_s: float = 0.03  # from the exposure to the tick: half a camera period, the camera's delay and the transport
    command_s: float = 0.004  # from the tick to the robot


class World:
    """Advances by whole control periods."""

    def __init__(self, rig: Rig, seed: int, delays: Delays | None = None):
        """Raises ConfigError if the rig cannot be simulated, or if the gate cannot keep its limits."""
        rig.check_devices()
        self.rig, self.delays = rig, delays or Delays()
        self.sim: Sim = plugins.make("sim", rig.config.sim.type, rig.config.sim, rig, seed)
        self._makers = {name: FrameMaker(camera) for name, camera in rig.config.cameras.items()}
        check_sim(self.sim, rig.sensors, rig.sensors)
        self._now_s = 0.0
        self._arrive()

    def _arrive(self) -> None:
        """Starts gate, measurements and images anew, with the robot at rest."""
        self._gate = gate_of(self.rig.config, self.rig.robot, at_once=True)
        self._gate.program_running(True)
        self._measure()
        self._gate.begin_episode()
        self._events: tuple[str, ...] = ()
        # Snapshots of the last ticks, oldest first: the next tick sees the oldest.
        ticks = int(self.delays.image_s / self.rig.config.control.period_s)
        self._snapshots = deque([self.sim.snapshot()] * (ticks + 1), maxlen=ticks + 1)

    def reset(self, q: np.ndarray | None = None) -> None:
        """Places the robot at rest at q, rad [N], or at `robot.home`, in a new scene."""
        self.sim.reset(q)
        self._arrive()

    def call(self, service: str) -> tuple[bool, str]:
        """Calls a std_srvs/Trigger service of the simulated robot. Returns success and message."""
        if service != "new_target":
            return False, f"the simulation has no service {service!r}; it has new_target"
        return True, self.sim.new_target()

    @property
    def time_s(self) -> float:
        return self._now_s

    def view(self) -> View:
        """The view of the actor at this tick."""
        robot, sim, stamp_ns = self.rig.robot, self.sim, round(self._now_s * 1e9)
        n, measured = len(robot), self.sim.sensors
        sensed = Sensed(
            time_s=self._now_s,
            frames=_Frames(self.sim, self._makers, self._snapshots[0]),
            position=sim.q[:n].copy(),  # copies: the simulator may go on writing
            velocity=sim.qd[:n].copy(),
            effort=sim.effort[:n].copy(),
            sensors={name: sensor.scaled(measured[name]) for name, sensor in self.rig.sensors.items()},
            events=self._events,
            outputs=sim.outputs,
        )
        sources = self.rig.sources
        return View(self._now_s, stamp_ns, 0.0, sensed, dict.fromkeys(sources, stamp_ns), dict.fromkeys(sources, 0.0), "")

    def _measure(self) -> None:
        """Passes to the gate what the safety node would receive."""
        self._gate.joints(self.sim.q[: len(self.rig.robot)], self._now_s)
        self._gate.grippers.heard(self.sim.names, self.sim.q)
        if self._gate.judges_wrench:
            self._gate.wrench(self.sim.sensors["wrench"], "", self._now_s)

    def step(self, command: Command) -> Command:
        """Advances by one control period under a command, limited by the gate. Returns the command as the gate passed it."""
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
            smooth = self._gate.limits.jerk is not None
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
        """Sends the gate's velocity or pose, if the robot's interface takes them."""
        velocity = self._gate.velocity(self._now_s)
        if self.rig.robot.is_base:
            self.sim.command_twist(*velocity)
        elif self.rig.config.robot.interface == "velocity":
            self.sim.command_velocity(velocity)
        elif self.rig.config.robot.interface == "pose" and (q := self._gate.position(self._now_s)) is not None:
            self.sim.command_pose(*self.rig.robot.forward(q, "base_link"))

    def close(self) -> None:
        self.sim.close()


class _Frames(Mapping):
    """{camera: uint8 [H, W, C]}, rendered at first access, because no image is needed during a reset."""

    def __init__(self, sim: Sim, makers: dict[str, FrameMaker], snapshot: Any):
        self._sim, self._makers, self._snapshot = sim, makers, snapshot
        self._frames: Arrays = {}

    def __getitem__(self, camera: str) -> np.ndarray:
        if camera not in self._frames:
            self._frames[camera] = self._makers[camera].of_rgb(rendered(self._sim, camera, self._snapshot))
        return self._frames[camera]

    def __iter__(self):
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def _trajectory(motion: Motion, smooth: bool) -> Trajectory:
    """The trajectory that the safety node would send; smooth: with accelerations."""
    times, positions, velocities, accelerations = (np.array(column) for column in zip(*motion.points()))
    return Trajectory(times, positions, velocities, accelerations if smooth else None)
