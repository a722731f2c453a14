"""The embedded robot: stands in for the robot's driver, the camera and the monitor, in real time.

Hears: the command topic of the configured interface, `sim_fault` (std_msgs/String, see robots/sim_faults.py).
Says: joint states, pictures, robot_program_running, speed_scaling; `sim_state` (the true joint state, whatever the
faults do) to whoever listens; a base's bumper and battery. Serves: `new_target`.
A process of its own, because the real ones are; two threads with absolute deadlines, because executor timers bunch
when they are late.
"""

from __future__ import annotations

import array
import threading
import time
from collections import deque

import cv2
import numpy as np
from geometry_msgs.msg import Twist, TwistStamped
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import BatteryState, CompressedImage, Image, JointState
from std_msgs.msg import Bool, Float64, Float64MultiArray, String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from jsac_ros.control import realtime
from jsac_ros.control.rate import FixedRate
from jsac_ros.nodes.process import JsacNode, run_node
from jsac_ros.messages import to_ns
from jsac_ros.robots.sim_arm import CommandRefused, Trajectory
from jsac_ros.robots.sim_base import SimBase
from jsac_ros.robots.sim_body import make_body
from jsac_ros.robots.sim_faults import Faults

_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_JOINTS_LATE_S, _CAMERA_LATE_S = 0.2, 0.4
_JUMP_RAD = 0.5
_SCALING_PERIOD = 12  # joint states between two messages of the speed scaling
_LONGEST_STEP_S = 0.1  # after a longer pause of this process the robot has simply stood still


class SimRobot(JsacNode):
    """One robot with its camera."""

    def __init__(self):
        super().__init__("sim_robot")
        self._body = make_body(self.config)
        self._names = sorted(self._body.names)  # a driver's own order
        self._lock = threading.Lock()  # of the body
        self._faults = Faults()
        self._restarting = False
        self._running: bool | None = None
        self._rates: list[FixedRate] = []
        self._make_topics()

    def _make_topics(self) -> None:
        robot, camera = self.config.robot, self.config.camera
        self._joint_states = self.create_publisher(JointState, robot.joint_states_topic, qos_profile_sensor_data)
        self._true_state = self.create_publisher(JointState, "sim_state", qos_profile_sensor_data)
        image_type = CompressedImage if camera.compressed else Image
        self._images = self.create_publisher(image_type, camera.topic, qos_profile_sensor_data)
        running = robot.program_running_topic or "io_and_status_controller/robot_program_running"
        scaling = robot.speed_scaling_topic or "speed_scaling_state_broadcaster/speed_scaling"
        self._program_running = self.create_publisher(Bool, running, _LATCHED)
        self._speed_scaling = self.create_publisher(Float64, scaling, 1)
        self._bumper = self._battery = None
        if isinstance(self._body, SimBase):
            twist_type = TwistStamped if robot.twist_stamped else Twist
            self.create_subscription(twist_type, robot.twist_topic, self._on_twist, 1)
            self._bumper = self.create_publisher(Bool, robot.bumper_topic or "bumper", 1)
            self._battery = self.create_publisher(BatteryState, robot.battery_topic or "battery_state", 1)
        else:
            self.create_subscription(JointTrajectory, robot.trajectory_topic, self._on_trajectory, 1)
            self.create_subscription(Float64MultiArray, robot.velocity_topic, self._on_velocity, 1)
        self.create_subscription(String, "sim_fault", self._on_fault, 10)
        self.create_service(Trigger, "new_target", self._on_new_target)

    # -- what is heard -------------------------------------------------------------------------------------------

    def _on_trajectory(self, message: JointTrajectory) -> None:
        stamp_ns = to_ns(message.header.stamp)
        starts_in_s = (stamp_ns - time.time_ns()) * 1e-9 if stamp_ns else 0.0
        try:
            trajectory = _trajectory(message)
            with self._lock:
                if not self._restarting:
                    self._body.command_trajectory(message.joint_names, trajectory, starts_in_s)
        except ValueError as error:  # CommandRefused, or points of unequal length
            self._refuse(error)

    def _on_velocity(self, message: Float64MultiArray) -> None:
        try:
            with self._lock:
                if not self._restarting:
                    self._body.command_velocity(message.data)
        except CommandRefused as error:
            self._refuse(error)

    def _on_twist(self, message: Twist | TwistStamped) -> None:
        twist = message.twist if isinstance(message, TwistStamped) else message
        with self._lock:
            if not self._restarting:
                self._body.command_twist(twist.linear.x, twist.angular.z)

    def _refuse(self, error: ValueError) -> None:
        self.get_logger().error(f"command refused: {error}", throttle_duration_sec=1.0)

    def _on_fault(self, message: String) -> None:
        try:
            self._faults.request(message.data, time.monotonic())
            self.get_logger().warning(f"fault: {message.data}")
        except ValueError as error:
            self.get_logger().error(str(error))

    def _on_new_target(self, _, response: Trigger.Response) -> Trigger.Response:
        with self._lock:
            response.message = self._body.new_target()
        response.success = True
        return response

    # -- the body -------------------------------------------------------------------------------------------------

    def _move(self) -> None:
        """Thread of the driver: one step of the robot and one joint state a period."""
        rate = self._rate(1.0 / self.config.sim.joint_rate_hz)
        late: deque[tuple[float, JointState]] = deque()
        before_ns = time.monotonic_ns()
        while (tick := rate.wait()) is not None:
            now_s = tick.begun_ns * 1e-9
            dt, before_ns = (tick.begun_ns - before_ns) * 1e-9, tick.begun_ns
            with self._lock:
                self._apply_faults(now_s)
                self._body.step(min(max(dt, 1e-4), _LONGEST_STEP_S))
                state = self._joint_state(self._names)
            if self._true_state.get_subscription_count():
                self._true_state.publish(state)
            if self._restarting:
                continue
            self._say_status(tick.number)
            if not self._faults.active("joints_missing", now_s):
                delay_s = _JOINTS_LATE_S if self._faults.active("joints_late", now_s) else 0.0
                late.append((now_s + delay_s, self._spoiled(state, now_s)))
            while late and late[0][0] <= now_s:
                self._joint_states.publish(late.popleft()[1])

    def _apply_faults(self, now_s: float) -> None:
        self._body.protective_stop = self._faults.active("protective_stop", now_s)
        restarting = self._faults.active("restart", now_s)
        if restarting and not self._restarting:
            self._body.restart()
            self._names = self._names[1:] + self._names[:1]
        self._restarting = restarting

    def _joint_state(self, names: list[str]) -> JointState:
        body, message = self._body, JointState()
        order = [body.names.index(name) for name in names]
        message.header.stamp = self.get_clock().now().to_msg()
        message.name = list(names)
        message.position = array.array("d", body.q[order])
        message.velocity = array.array("d", body.qd[order])
        message.effort = array.array("d", body.effort[order])
        return message

    def _spoiled(self, state: JointState, now_s: float) -> JointState:
        """The joint state with the faults of the moment in it."""
        first = state.name.index(self._body.names[0])
        if self._faults.active("nan_joints", now_s) or self._faults.active("joint_jump", now_s):
            wrong = float("nan") if self._faults.active("nan_joints", now_s) else state.position[first] + _JUMP_RAD
            state.position[first] = wrong
        if self._faults.active("joint_lost", now_s):
            state.name, state.position = state.name[:-1], state.position[:-1]
            state.velocity, state.effort = state.velocity[:-1], state.effort[:-1]
        return state

    def _say_status(self, tick: int) -> None:
        running = self._body.program_running
        if running != self._running:
            self._running = running
            self._program_running.publish(Bool(data=running))
        elif tick % _SCALING_PERIOD:
            return
        self._speed_scaling.publish(Float64(data=1.0 if running else 0.0))
        if self._bumper:
            self._bumper.publish(Bool(data=self._body.contact))
            self._battery.publish(BatteryState(percentage=self._body.battery, present=True))

    # -- the camera ----------------------------------------------------------------------------------------------

    def _film(self) -> None:
        """Thread of the camera: exposes at its own rate, publishes after the camera's delay."""
        sim = self.config.sim
        rate = self._rate(1.0 / sim.camera_rate_hz)
        late: deque[tuple[float, Image | CompressedImage]] = deque()
        picture = None
        while (tick := rate.wait()) is not None:
            now_s, stamp = tick.begun_ns * 1e-9, self.get_clock().now().to_msg()
            if picture is None or not self._faults.active("camera_freeze", now_s):
                with self._lock:
                    snapshot = self._body.snapshot()
                picture = self._body.render(snapshot)
            message = _image(picture, self.config.camera.compressed)
            message.header.stamp, message.header.frame_id = stamp, "camera"
            delay_s = _CAMERA_LATE_S if self._faults.active("camera_late", now_s) else sim.camera_delay_s
            if not (self._restarting or self._faults.active("camera_missing", now_s)):
                late.append((now_s + delay_s, message))
            time.sleep(max(0.0, now_s + sim.camera_delay_s - time.monotonic()))
            while late and late[0][0] <= time.monotonic():
                self._images.publish(late.popleft()[1])

    # -- life ----------------------------------------------------------------------------------------------------

    def _rate(self, period_s: float) -> FixedRate:
        rate = FixedRate(period_s)
        self._rates.append(rate)
        return rate

    def run(self) -> None:
        self._threads = [threading.Thread(target=loop, daemon=True) for loop in (self._move, self._film)]
        for thread in self._threads:
            thread.start()
        # The robot that this stands for has a computer of its own, which no learner slows down.
        measures = realtime.short_switch_interval(), *realtime.process_first(self.config.realtime.fifo_priority)
        self.get_logger().info("; ".join(map(str, measures)))
        super().run()

    def close(self) -> None:
        for rate in self._rates:
            rate.stop()
        for thread in getattr(self, "_threads", ()):
            thread.join(timeout=1.0)


def _trajectory(message: JointTrajectory) -> Trajectory:
    """Raises ValueError where the points are of unequal length."""
    points = message.points

    def rows(name: str) -> np.ndarray | None:
        values = [getattr(point, name) for point in points]
        return np.array(values) if any(map(len, values)) else None

    times = [point.time_from_start.sec + point.time_from_start.nanosec * 1e-9 for point in points]
    return Trajectory(np.array(times), rows("positions"), rows("velocities"), rows("accelerations"))


def _image(picture: np.ndarray, compressed: bool) -> Image | CompressedImage:
    """RGB uint8 [H, W, 3] -> message without its header."""
    if compressed:
        _, jpeg = cv2.imencode(".jpg", picture[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, 95))
        return CompressedImage(format="rgb8; jpeg compressed bgr8", data=array.array("B", jpeg.tobytes()))
    height, width = picture.shape[:2]
    data = array.array("B", picture.tobytes())
    return Image(height=height, width=width, encoding="rgb8", step=3 * width, data=data)


def main(args=None) -> int:
    return run_node(SimRobot, args)


if __name__ == "__main__":
    raise SystemExit(main())
