"""A node beside the system that commands the gate instead of the actor, injects faults and records the arm's true motion.

For the fault campaign, the control bench and the tests. It needs the embedded simulator, whose `sim_state` is the true joint
state, even while a fault affects the joint states that safety and actor receive.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

from jsac_ros.config import SystemConfig
from jsac_ros.control.rate import FixedRate
from jsac_ros.control.timing import Timing
from jsac_ros.messages import to_ns
from jsac_ros.msg import (
    Action,
    AppliedAction,
    ControlStatus,
    Episode,
    ReplayStatus,
    SafetyStatus,
    TrainingStatus,
    Transition,
    TransitionAck,
)
from jsac_ros.rig import Rig
from jsac_ros.robots.joint_map import JointMap

_FAR = 2**62  # a sequence number that no run reaches
STATUSES = {
    "safety_status": SafetyStatus,
    "control_status": ControlStatus,
    "replay_status": ReplayStatus,
    "training_status": TrainingStatus,
    "episode": Episode,
}


class Path(NamedTuple):
    """The arm's motion: wall clock in s [T], positions in rad [T, N], velocities in rad/s [T, N]."""

    time_s: np.ndarray
    q: np.ndarray
    qd: np.ndarray


class Observer:
    """A node with an executor thread. Raises rclpy's errors if ROS does not start."""

    def __init__(self, config: SystemConfig, domain: int | None = None):
        self.arm = Rig(config).robot
        self.config = config
        self.newest: dict[str, tuple[float, object]] = {}  # status -> arrival (steady clock, s), message
        self.answers: list[tuple[float, AppliedAction]] = []
        self._commanded: dict[int, float] = {}  # tick -> when the actor sent the command, wall clock, s
        self._gate = Timing()
        self.acknowledged: dict[tuple[str, int], int] = {}  # robot, session -> everything below is on disk
        self._states: list[tuple[float, np.ndarray, np.ndarray]] = []
        self._map = JointMap(self.arm.names)
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=domain)
        self.node = rclpy.create_node("observer", context=self._context)
        for name, kind in STATUSES.items():
            self.node.create_subscription(kind, name, lambda m, name=name: self._on_status(name, m), 10)
        self.node.create_subscription(JointState, "sim_state", self._on_state, qos_profile_sensor_data)
        self.node.create_subscription(Action, "policy_command", self._on_command, 10)
        self.node.create_subscription(AppliedAction, "applied_action", self._on_answer, 10)
        self.node.create_subscription(TransitionAck, "transition_ack", self._on_ack, 10)
        self.command = self.node.create_publisher(Action, "policy_command", 1)
        self._transition = self.node.create_publisher(Transition, "transitions", 10)
        self._acknowledgement = self.node.create_publisher(TransitionAck, "transition_ack", 10)
        self._answer = self.node.create_publisher(AppliedAction, "applied_action", 10)
        self.joint_states = self.node.create_publisher(JointState, config.robot.joint_states_topic, 10)
        self._emergency_stop = self.node.create_publisher(Bool, "emergency_stop", 10)
        self._fault = self.node.create_publisher(String, "sim_fault", 10)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass

    def _on_status(self, name: str, message) -> None:
        self.newest[name] = (time.monotonic(), message)

    def _on_state(self, message: JointState) -> None:
        stamp_ns = to_ns(message.header.stamp)
        if (joints := self._map(message.name, message.position, message.velocity, stamp_ns)) is not None:
            self._states.append((stamp_ns * 1e-9, joints.position, joints.velocity))

    def _on_command(self, message: Action) -> None:
        self._commanded[message.tick] = to_ns(message.header.stamp) * 1e-9

    def _on_answer(self, message: AppliedAction) -> None:
        self.answers.append((time.monotonic(), message))
        sent_s = self._commanded.pop(message.tick, None)
        if sent_s is not None:
            self._gate.add(1e3 * (to_ns(message.header.stamp) * 1e-9 - sent_s))

    def _on_ack(self, message: TransitionAck) -> None:
        if message.next_sequence == _FAR:  # from this node
            return
        stream = (message.robot, message.session)
        self.acknowledged[stream] = max(self.acknowledged.get(stream, 0), message.next_sequence)

    # -- observing -----------------------------------------------------------------------------------------------

    def path(self, since_s: float = 0.0) -> Path:
        """The motion since a wall clock time; empty if no state was received."""
        states = [state for state in list(self._states) if state[0] >= since_s]
        n = len(self.arm)
        if not states:
            return Path(np.empty(0), np.empty((0, n)), np.empty((0, n)))
        return Path(*map(np.array, zip(*states)))

    def forget(self, before_s: float) -> None:
        """Discards the states from before a wall clock time."""
        self.answers.clear()
        self._states = [state for state in list(self._states) if state[0] >= before_s]

    def gate_ms(self) -> dict[str, float]:
        """Latency from the actor's command to the robot's command, from their stamps."""
        return dict(zip(("p50", "p99", "p999", "max"), self._gate.run()))

    def moving(self, faster_than: float = 0.01) -> bool:
        return bool(self._states) and float(np.abs(self._states[-1][2]).max()) > faster_than

    def status(self, name: str):
        """The newest message of a status, or None."""
        return self.newest.get(name, (0.0, None))[1]

    def wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Waits until `condition` is true; False if it is not within `seconds`."""
        end_s = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end_s:
                return False
            time.sleep(0.005)
        return True

    # -- acting --------------------------------------------------------------------------------------------------

    def fault(self, text: str) -> None:
        """Requests a fault in the syntax of sim/faults.py: 'camera_freeze 2.5', 'none'."""
        self._fault.publish(String(data=text))

    def stop_robot(self) -> None:
        """Latches the emergency stop through its topic."""
        self._emergency_stop.publish(Bool(data=True))

    def send(self, velocity: list[float]) -> None:
        """Sends one command, as the actor would."""
        message = Action(tick=2**63, policy_version=-1, velocity=velocity)
        message.header.stamp = self.node.get_clock().now().to_msg()
        self.command.publish(message)

    def lie(self) -> None:
        """Sends forged messages of actor, safety and replay, once; every one of them must be rejected."""
        streams = list(self.acknowledged)
        for robot, session in streams[-1:]:
            self._transition.publish(Transition(robot=robot, session=session, sequence=_FAR, oldest_sequence=_FAR))
            self._acknowledgement.publish(TransitionAck(robot=robot, session=session, next_sequence=_FAR))
        for _, answer in self.answers[-1:]:
            self._answer.publish(AppliedAction(tick=answer.tick + 1, velocity=[0.1]))
        stranger = JointState(name=["a_gripper"], position=[np.nan])
        self.joint_states.publish(stranger)

    def call(self, service: str, seconds: float = 5.0) -> tuple[bool, str] | None:
        """Calls a std_srvs/Trigger service; None if no node answers."""
        client = self.node.create_client(Trigger, service)
        try:
            if not client.wait_for_service(seconds):
                return None
            future = client.call_async(Trigger.Request())
            if not self.wait(future.done, seconds):
                return None
            return future.result().success, future.result().message
        finally:
            self.node.destroy_client(client)

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)
        self._thread.join()


class SecondSource:
    """A second publisher of joint states: repeats the present one, at rest, at the driver's rate, until `stop`."""

    def __init__(self, observer: Observer):
        self._observer, self._rate = observer, FixedRate(1.0 / observer.config.sim.joint_rate_hz)
        self._thread = threading.Thread(target=self._repeat, args=(observer.path().q[-1].tolist(),), daemon=True)
        self._thread.start()

    def _repeat(self, q: list[float]) -> None:
        names, rest = list(self._observer.arm.names), [0.0] * len(q)
        while self._rate.wait() is not None:
            message = JointState(name=names, position=q, velocity=rest)
            message.header.stamp = self._observer.node.get_clock().now().to_msg()
            self._observer.joint_states.publish(message)

    def stop(self) -> None:
        self._rate.stop()
        self._thread.join()
