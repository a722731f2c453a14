"""Drivers of simulated grippers: the counterpart of `nodes/gripper_commands.py`, with the semantics of ros2_control."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from jsac_ros.robots.gripper import SET_DIGITAL_OUT, Gripper
from jsac_ros.ros_types import request_class

_NEAR_M = 2e-3  # distance from the goal that counts as reached
_STALLED_S = 0.5  # without motion, after which the fingers have stalled
_LOOK_S = 0.05  # between checks of a goal


def serve(node: Node, gripper: Gripper, command: Callable[[float], None], opening: Callable[[], float]) -> None:
    """Serves the configured interface. command: takes an opening in m, may raise ValueError; opening: the measured one, m.

    Raises ConfigError if the interface's action or service is not installed."""
    config = gripper.config
    to_joint = lambda joint: command(gripper.opening(joint))
    if config.interface == "joint_trajectory":
        on_trajectory = lambda message: to_joint(message.points[-1].positions[0])
        node.create_subscription(JointTrajectory, config.topic, _guarded(node, on_trajectory), 1)
    elif config.interface == "float64_multi_array":
        node.create_subscription(Float64MultiArray, config.topic, _guarded(node, lambda message: to_joint(message.data[0])), 1)
    else:
        kind = request_class(gripper)
        if config.interface == "set_io":
            node.create_service(kind, config.topic, lambda request, response: _set(request, response, gripper, command))
        else:
            _ActionServer(node, kind, gripper, to_joint, opening)


def _guarded(node: Node, take: Callable[[Any], None]) -> Callable[[Any], None]:
    def on_message(message) -> None:
        try:
            take(message)
        except (ValueError, IndexError) as error:
            node.get_logger().error(f"gripper command refused: {error}", throttle_duration_sec=1.0)

    return on_message


def _set(request, response, gripper: Gripper, command: Callable[[float], None]):
    """The service ur_msgs/SetIO."""
    response.success = (request.fun, request.pin) == (SET_DIGITAL_OUT, gripper.config.output_pin)
    if response.success:
        command(0.0 if request.state else gripper.stroke_m)
    return response


class _ActionServer:
    """GripperCommand or ParallelGripperCommand. A goal ends when the fingers reach it, when they stall, or when the next goal
    replaces it."""

    def __init__(self, node: Node, kind: type, gripper: Gripper, to_joint, opening: Callable[[], float]):
        from rclpy.action import ActionServer, GoalResponse

        self._kind, self._gripper, self._to_joint, self._opening = kind, gripper, to_joint, opening
        self._handle: Any = None
        self._ends: dict[bytes, str] = {}  # goal -> how it ended, until its result is given
        self._accept, self._reject = GoalResponse.ACCEPT, GoalResponse.REJECT
        self._server = ActionServer(
            node, kind, gripper.config.topic, self._execute, goal_callback=self._on_goal, handle_accepted_callback=self._begin
        )
        node.create_timer(_LOOK_S, self._look)

    def _joint_of(self, goal) -> float:
        position = goal.command.position
        return float(position if isinstance(position, float) else position[0])

    def _on_goal(self, goal):
        try:
            self._to_joint(self._joint_of(goal))
        except (ValueError, IndexError):
            return self._reject
        return self._accept

    def _begin(self, handle) -> None:
        if self._handle is not None:
            self._end("aborted")
        self._handle, self._moved_s, self._last = handle, time.monotonic(), self._opening()

    def _look(self) -> None:
        if self._handle is None:
            return
        now_s, opening = time.monotonic(), self._opening()
        if abs(opening - self._last) > _NEAR_M / 4:
            self._moved_s, self._last = now_s, opening
        reached = abs(opening - self._gripper.opening(self._joint_of(self._handle.request))) < _NEAR_M
        if reached or now_s - self._moved_s > _STALLED_S:
            self._end("reached" if reached else "stalled")

    def _end(self, how: str) -> None:
        handle, self._handle = self._handle, None
        self._ends[bytes(handle.goal_id.uuid)] = how
        handle.execute()

    def _execute(self, handle):
        how = self._ends.pop(bytes(handle.goal_id.uuid))
        handle.abort() if how == "aborted" else handle.succeed()
        result = self._kind.Result()
        result.reached_goal, result.stalled = how == "reached", how == "stalled"
        return result
