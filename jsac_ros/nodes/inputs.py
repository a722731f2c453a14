"""What the actor has heard of the robot: newest camera frame and joint state, each with its age.

The executor's thread writes, the control thread reads; a slot is replaced as a whole, so no lock is needed.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from typing import NamedTuple

import numpy as np

from jsac_ros.config import SystemConfig
from jsac_ros.control.images import FrameMaker
from jsac_ros.control.rate import Clock, Tick
from jsac_ros.control.session import View
from jsac_ros.messages import to_ns
from jsac_ros.robots.arm import Arm
from jsac_ros.robots.joint_map import JointMap


class Frame(NamedTuple):
    pixels: np.ndarray  # uint8 [H, W, C]
    stamp_ns: int  # of the camera
    arrived_s: float  # on the loop's clock
    changed_s: float  # on the loop's clock; when pixels other than those of the frame before came


class Joints(NamedTuple):
    position: np.ndarray  # rad [N]
    velocity: np.ndarray  # rad/s [N]
    stamp_ns: int
    arrived_s: float


class Inputs:
    """Slots of one actor. What cannot be used is said once a second and leaves the slot as it was: it grows old."""

    def __init__(self, config: SystemConfig, arm: Arm, logger, clock: Clock):
        self._camera, self._robot, self._logger = config.camera, config.robot, logger
        self.clock = clock  # of the control loop; ages are counted on it
        self._has_camera = config.camera.height > 0 and config.task.observe != "proprioception"
        # A recording's stamps are of the day it was made: its ages are counted from arrival.
        self._ages_from_arrival = config.robot.driver == "bag"
        self._make_frame = FrameMaker(config.camera)
        self._map_joints = JointMap(arm.names)
        self._joints: Joints | None = None
        self._before: Frame | None = None  # the last that came, also when it has been taken
        self._recorded: np.ndarray | None = None
        self._count = len(arm)
        self.frames: deque[Frame] = deque(maxlen=1000 if config.robot.driver == "bag" else 1)
        self.frame_arrived = threading.Condition()
        self.refused = ""  # why the last message could not be used

    # -- executor ------------------------------------------------------------------------------------------------

    def on_image(self, message) -> None:
        try:
            pixels = self._make_frame(message)
        except ValueError as error:
            self._refuse(f"{self._camera.topic}: {error}")
            return
        now_s, before = self._now_s(), self._before
        same = self._camera.frozen_max_age_s and before is not None and np.array_equal(pixels, before.pixels)
        frame = Frame(pixels, to_ns(message.header.stamp), now_s, before.changed_s if same else now_s)
        self._before = frame
        with self.frame_arrived:
            self.frames.append(frame)
            self.frame_arrived.notify()

    def on_joints(self, message) -> None:
        try:
            position, velocity = self._map_joints(message.name, message.position, message.velocity)
        except ValueError as error:
            self._refuse(f"{self._robot.joint_states_topic}: {error}")
            return
        if not (np.isfinite(position).all() and np.isfinite(velocity).all()):
            self._refuse(f"{self._robot.joint_states_topic}: position or velocity is not finite")
            return
        first = self._joints is None
        self._joints = Joints(position, velocity, to_ns(message.header.stamp), self._now_s())
        if first:
            with self.frame_arrived:  # a frame may wait for them
                self.frame_arrived.notify()

    def on_recorded_action(self, message) -> None:
        if len(message.data) == self._count:
            self._recorded = np.asarray(message.data)
        else:
            self._refuse(f"recorded action has {len(message.data)} values; expected {self._count}")

    def _now_s(self) -> float:
        return self.clock.now_ns() * 1e-9

    def _refuse(self, line: str) -> None:
        self.refused = line
        self._logger.error(line, throttle_duration_sec=1.0)

    # -- control thread ------------------------------------------------------------------------------------------

    def recorded_action(self) -> np.ndarray | None:
        """Newest command of a recording, float64 [N], in the robot's units."""
        return self._recorded

    @property
    def heard_joints(self) -> bool:
        return self._joints is not None

    def newest_frame(self) -> Frame | None:
        return self.frames[-1] if self.frames else None

    def view(self, tick: Tick, frame: Frame | None, other_problem: str) -> View:
        """The actor's view at this tick; `problem` says what is missing or too old."""
        now_s, now_ns = self._now_s(), self.clock.ros_now_ns()
        joints = self._joints
        frame_age_s, joint_age_s = self._age_s(frame, now_s, now_ns), self._age_s(joints, now_s, now_ns)
        problem = (
            other_problem
            or (self._camera_problem(frame, frame_age_s, now_s) if self._has_camera else "")
            or self._problem(self._robot.joint_states_topic, joint_age_s, self._robot.joint_max_age_s)
        )
        return View(
            steady_s=now_s, stamp_ns=now_ns, lateness_s=(tick.begun_ns - tick.due_ns) * 1e-9,
            frame=frame.pixels if frame else None, frame_stamp_ns=frame.stamp_ns if frame else 0,
            position=joints.position if joints else None, velocity=joints.velocity if joints else None,
            joint_stamp_ns=joints.stamp_ns if joints else 0, frame_age_s=frame_age_s, joint_age_s=joint_age_s,
            problem=problem,
        )  # fmt: skip

    def _camera_problem(self, frame: Frame | None, age_s: float, now_s: float) -> str:
        topic, limit_s = self._camera.topic, self._camera.frozen_max_age_s
        if limit_s and frame is not None and now_s - frame.changed_s > max(limit_s, age_s):
            shown_s = now_s - frame.changed_s
            return f"{topic} has shown one picture for {shown_s:.2f} s, limit {limit_s:.2f} s (camera.frozen_max_age_s)"
        return self._problem(topic, age_s, self._camera.max_age_s)

    def _age_s(self, heard: Frame | Joints | None, now_s: float, now_ns: int) -> float:
        """By its stamp, or by its arrival where that is longer ago; NaN where nothing has come."""
        if heard is None:
            return math.nan
        age_s = now_s - heard.arrived_s
        return age_s if self._ages_from_arrival else max(age_s, (now_ns - heard.stamp_ns) * 1e-9)

    def _problem(self, topic: str, age_s: float, limit_s: float) -> str:
        if math.isnan(age_s):
            return f"nothing usable on {topic} yet" + (f" ({self.refused})" if self.refused else "")
        return f"{topic} is {age_s:.2f} s old, limit {limit_s:.2f} s" if age_s > limit_s else ""


class FrameClock:
    """Ticks when a camera frame arrives (`task.trigger: frame`): no phase between camera and control.

    `every_frame`: none is skipped, as a recording's steps ask for, and the first waits for the first joint state, which
    DDS may deliver after it; otherwise only the newest counts. When no frame comes for `max_wait_s` a tick without one
    comes instead, so that a dead camera is noticed.
    """

    def __init__(self, inputs: Inputs, max_wait_s: float, every_frame: bool):
        self._inputs, self._max_wait_s, self._every_frame = inputs, max_wait_s, every_frame
        self._number = -1
        self.frame: Frame | None = None

    def wait(self) -> Tick:
        inputs = self._inputs
        with inputs.frame_arrived:
            due = inputs.frame_arrived.wait_for(self._due, self._max_wait_s)
            self.frame = inputs.frames.popleft() if due else None
        now_ns = inputs.clock.now_ns()
        self._number += 1
        due_ns = int(self.frame.arrived_s * 1e9) if self.frame else now_ns
        return Tick(self._number, due_ns, now_ns, 0)

    def _due(self) -> bool:
        return bool(self._inputs.frames) and (self._inputs.heard_joints or not self._every_frame)
