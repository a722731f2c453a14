"""The actor's inputs: the newest frame of every camera, the joint state and the newest value of every sensor, with ages.

The executor's thread writes, the control thread reads; a slot is replaced as a whole, so no lock is needed. A recording
is read through the same slots (`bags/foreign.py`), on its own clock.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from jsac_ros.config import Stamps
from jsac_ros.control.arrivals import Arrivals, lost
from jsac_ros.control.heard import Frame, Heard, JointReader, Reading, Times, known_by, sensed_of
from jsac_ros.control.images import FrameMaker
from jsac_ros.control.rate import Clock, Tick
from jsac_ros.control.session import View
from jsac_ros.control.stamps import taken_ns, why_old
from jsac_ros.messages import to_ns
from jsac_ros.rig import JOINTS, Rig, Source
from jsac_ros.types import Command

_CONTESTED_S = 1.0  # during which no second source is seen, before a joint state counts again; safety latches
_LOST_S = 10.0  # between two log lines about lost images
_FRAMES_OF_A_BAG = 1000  # every frame of a recording is a step


class Logger(Protocol):
    """The logger of a node, or one that counts."""

    def error(self, line: str, /, **options: Any) -> object: ...

    def warning(self, line: str, /, **options: Any) -> object: ...


class Inputs:
    """Slots of one actor. Unusable messages are logged (at most once a second) and dropped; the slot keeps its last value
    and goes stale."""

    def __init__(
        self, rig: Rig, logger: Logger, clock: Clock, plays: bool = False, refuse: Callable[[str, str], object] | None = None
    ):
        """plays: the messages come from a recording with old stamps, so ages count from arrival. refuse: called with the topic
        of an unusable message and the reason; default: the logger."""
        self._say_refused = refuse
        self.clock = clock  # of the control loop; ages are counted on it
        self._rig, self._logger, self._plays = rig, logger, plays
        config = rig.config
        self._make_frame = {name: FrameMaker(camera) for name, camera in config.cameras.items()}
        self._read_joints = JointReader(rig)
        self._derived: tuple[str, ...] = ()  # joints whose velocities are not measured
        self._contested = -math.inf, ""  # when a second source of a joint was last noticed, and the reason
        self._heard: dict[str, Heard] = {}  # source -> newest
        self._refused: dict[str, str] = {}  # source -> why its newest message could not be used
        self._arrivals = {name: Arrivals() for name in config.cameras}
        self._lost: dict[str, str] = {}  # camera -> how many of its images are lost, and what helps
        self._answers: OrderedDict[int, Command | None] = OrderedDict()  # of a recording; see `recorded_action`
        self.needs_answers = plays and bool(config.bag.action_topic)
        self._needs_effort = "joint_effort" in rig.observed
        self._trigger = config.control.trigger
        self.frames: deque[Frame] = deque(maxlen=_FRAMES_OF_A_BAG if plays else 1)  # of the camera that triggers
        self.frame_arrived = threading.Condition()

    # -- executor ------------------------------------------------------------------------------------------------
    # published_ns: when the message was published, 0 if the middleware does not provide it; number: of the publisher's
    # message, None if not provided; waited_s: since the arrival.

    def on_image(self, name: str, message: Any, published_ns: int = 0, number: int | None = None) -> None:
        """name: of the camera."""
        camera = self._rig.config.cameras[name]
        self._count(name, message, number)
        try:
            pixels = self._make_frame[name](message)
            times = self._times(message, camera.stamps, published_ns)
        except ValueError as error:
            self._refuse(name, str(error))
            return
        self._refused.pop(name, None)
        before = self._heard.get(name)
        same = camera.frozen_max_age_s and before is not None and np.array_equal(pixels, before.pixels)
        frame = Frame(pixels, times, before.changed_s if same else times.arrived_s)
        self._heard[name] = frame
        if name == self._trigger:
            with self.frame_arrived:
                self.frames.append(frame)
                self.frame_arrived.notify()

    def _count(self, name: str, message: Any, number: int | None) -> None:
        self._arrivals[name].take(number)
        self._lost[name] = lost(self._arrivals[name].counts, name, len(message.data))
        if self._lost[name]:
            topic = self._rig.sources[name].topic
            self._logger.warning(f"{topic}: {self._lost[name]}", throttle_duration_sec=_LOST_S)

    def on_joints(self, message: Any, published_ns: int = 0, waited_s: float = 0.0, number: int | None = None) -> None:
        joint_map = self._read_joints.map
        try:
            times = self._times(message, self._rig.config.robot.stamps, published_ns, waited_s)
            joints = self._read_joints(message, times, number)
        except ValueError as error:
            self._refuse(JOINTS, str(error))
            return
        if second := joint_map.sources.second:
            self._refuse(JOINTS, second)
            joint_map.sources.forget()
            self._contested = times.arrived_s, second
            return
        if joints is None:
            if lacking := joint_map.lacking:  # else another device's message
                self._refused[JOINTS] = lacking
            return
        self._refused.pop(JOINTS, None)
        self._say_derived()
        first = JOINTS not in self._heard
        self._heard[JOINTS] = joints
        if first:
            with self.frame_arrived:  # a frame may wait for them
                self.frame_arrived.notify()

    def on_sensor(self, name: str, message: Any, published_ns: int = 0, waited_s: float = 0.0) -> None:
        sensor = self._rig.sensors[name]
        try:
            values = sensor.read(message)
            times = self._times(message, sensor.config.stamps, published_ns, waited_s)
        except ValueError as error:
            self._refuse(name, str(error))
            return
        self._refused.pop(name, None)
        self._heard[name] = Reading(values, times)

    def on_recorded_action(self, stamp_ns: int, command: Command | None) -> None:
        """The recorded command that belongs to the frame with this stamp; with stamp 0, to all frames from now on.

        None: nothing has been commanded yet."""
        with self.frame_arrived:
            self._answers[stamp_ns] = command
            if len(self._answers) > _FRAMES_OF_A_BAG:
                self._answers.popitem(last=False)
            self.frame_arrived.notify()

    def _times(self, message: Any, stamps: Stamps, published_ns: int, waited_s: float = 0.0) -> Times:
        """Raises StampError if the stamp cannot be used."""
        arrived_s, arrived_ns = self._now_s() - waited_s, self.clock.ros_now_ns() - round(waited_s * 1e9)
        header = getattr(message, "header", None)
        stamp_ns = 0 if header is None else to_ns(header.stamp)
        name_ns = known_by(stamp_ns, published_ns or arrived_ns, stamps)
        if self._plays:
            return Times(name_ns, arrived_s, arrived_s)
        taken = taken_ns(stamp_ns, arrived_ns, "arrival" if header is None else stamps)
        return Times(name_ns, arrived_s - (arrived_ns - taken) * 1e-9, arrived_s)

    def _say_derived(self) -> None:
        """Logs it once: some hardware measures only positions."""
        if self._read_joints.map.unmeasured != self._derived:
            self._derived = self._read_joints.map.unmeasured
            names = ", ".join(self._derived) or "none"
            topic = self._rig.config.robot.joint_states_topic
            self._logger.warning(f"{topic}: velocities derived from positions: {names}")

    def _now_s(self) -> float:
        return self.clock.now_ns() * 1e-9

    def _refuse(self, source: str, why: str) -> None:
        self._refused[source] = why
        topic = self._rig.sources[source].topic
        if self._say_refused is None:
            self._logger.error(f"{topic}: {why}", throttle_duration_sec=1.0)
        else:
            self._say_refused(topic, why)

    # -- control thread ------------------------------------------------------------------------------------------

    def recorded_action(self, stamp_ns: int) -> Command | None:
        """The recorded command that belongs to the frame with this stamp."""
        return self._answers.get(stamp_ns, self._answers.get(0))

    def answered(self, stamp_ns: int) -> bool:
        """Whether the recorded command for the frame with this stamp has arrived."""
        return not self.needs_answers or stamp_ns in self._answers or 0 in self._answers

    @property
    def heard_joints(self) -> bool:
        return JOINTS in self._heard

    def view(self, tick: Tick, frame: Frame | None, events: tuple[str, ...], other_problem: str) -> View:
        """The actor's view at this tick; `problem` says what is missing or too old.

        frame: of the camera that triggered the tick, if one did.
        """
        heard = dict(self._heard)
        if frame is not None:
            heard[self._trigger] = frame
        now_s = self._now_s()
        ages = {name: _age_s(heard.get(name), now_s) for name in self._rig.sources}
        stamps = {name: heard[name].times.stamp_ns if name in heard else 0 for name in self._rig.sources}
        problem = other_problem or self._problem(heard, now_s)
        if not problem and self.needs_answers and self.recorded_action(stamps.get(self._trigger, 0)) is None:
            problem = f"nothing recorded on {self._rig.config.bag.action_topic} yet"
        return View(
            time_s=now_s, stamp_ns=self.clock.ros_now_ns(), lateness_s=(tick.begun_ns - tick.due_ns) * 1e-9,
            sensed=None if problem else sensed_of(self._rig, heard, now_s, events), source_stamps_ns=stamps, ages_s=ages,
            problem=problem,
        )  # fmt: skip

    def _problem(self, heard: dict[str, Heard], now_s: float) -> str:
        """The first reason for which the actor must not act; "" if there is none."""
        contested_s, second = self._contested
        if now_s - contested_s < _CONTESTED_S:
            return f"{self._rig.config.robot.joint_states_topic}: {second}"
        for name, camera in self._rig.config.cameras.items():
            frame = heard.get(name)
            if camera.frozen_max_age_s and frame is not None:
                shown_s = now_s - frame.changed_s
                if shown_s > max(camera.frozen_max_age_s, _age_s(frame, now_s)):
                    limit = f"limit {camera.frozen_max_age_s:.2f} s (cameras.{name}.frozen_max_age_s)"
                    return f"{camera.topic} has shown one image for {shown_s:.2f} s, {limit}"
        for name, source in self._rig.sources.items():
            if problem := self._stale(source, heard.get(name), now_s):
                return problem
        if self._needs_effort and not np.isfinite(heard[JOINTS].effort).all():
            return f"{self._rig.config.robot.joint_states_topic} has no effort; the policy observes joint_effort"
        return ""

    def _stale(self, source: Source, heard: Heard | None, now_s: float) -> str:
        if source.max_age_s == 0:
            return ""
        refused = f" ({self._refused[source.name]})" if source.name in self._refused else ""
        if heard is None:
            return f"no usable message on {source.topic} yet{refused}"
        age_s = _age_s(heard, now_s)
        if age_s <= source.max_age_s:
            return ""
        why = why_old(age_s, now_s - heard.times.arrived_s, source.max_age_s, heard.lacks) or refused
        if not why and self._lost.get(source.name):
            why = f": {self._lost[source.name]}"
        return f"{source.topic} is {age_s:.2f} s old, limit {source.max_age_s:.2f} s{why}"


def _age_s(heard: Heard | None, now_s: float) -> float:
    """NaN before the first message."""
    return math.nan if heard is None else now_s - heard.times.taken_s


class FrameClock:
    """Ticks when a frame of one camera arrives (`control.trigger`), so that camera and control are in phase.

    `every_frame`: no frame is skipped, because every frame of a recording is a step. The first one waits for the first joint
    state, and each waits for its recorded command: DDS may deliver these later. Otherwise only the newest frame counts. If no
    frame arrives for `max_wait_s`, a tick without a frame follows, so that a dead camera is noticed.
    """

    def __init__(self, inputs: Inputs, max_wait_s: float, every_frame: bool):
        self._inputs, self._max_wait_s, self._every_frame = inputs, max_wait_s, every_frame
        self._number = -1
        self.frame: Frame | None = None

    def wait(self) -> Tick:
        """Waits for the next tick."""
        with self._inputs.frame_arrived:
            self._inputs.frame_arrived.wait_for(self._due, self._max_wait_s)
            return self.now()

    def now(self) -> Tick:
        """A tick without waiting; `frame` is None if none is due."""
        inputs = self._inputs
        self.frame = inputs.frames.popleft() if self._due() else None
        now_ns = inputs.clock.now_ns()
        self._number += 1
        due_ns = min(int(self.frame.times.arrived_s * 1e9), now_ns) if self.frame else now_ns
        return Tick(self._number, due_ns, now_ns, 0)

    def _due(self) -> bool:
        inputs = self._inputs
        if not inputs.frames:
            return False
        return not self._every_frame or (inputs.heard_joints and inputs.answered(inputs.frames[0].times.stamp_ns))
