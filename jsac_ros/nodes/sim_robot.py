"""The embedded robot: replaces the robot's driver, cameras, sensors and the task's scene by a simulation in real time.

Subscribes  the command topics of the configured interface and of the grippers, sim_fault (std_msgs/String, see sim/faults.py)
Publishes   joint states, images, sensors, robot_program_running, speed_scaling, the arm's safety mode and robot mode, the
            topics of nodes/sim_description.py; sim_state (the true joint state, unaffected by faults), sim_truth (for a
            scripted person)
Serves      new_target
A process like the drivers that it replaces. It has two threads with absolute deadlines, as late executor timers would bunch.
"""

from __future__ import annotations

import array
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable

import cv2
import numpy as np
from geometry_msgs.msg import PoseStamped, Twist, TwistStamped
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Bool, Float64, Float64MultiArray, String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from jsac_ros import plugins
from jsac_ros.config import ConfigError
from jsac_ros.control import realtime
from jsac_ros.control.rate import FixedRate
from jsac_ros.messages import to_ns
from jsac_ros.msg import SimTruth, Vector
from jsac_ros.nodes import sim_grippers
from jsac_ros.nodes.process import JsacNode, run_node
from jsac_ros.nodes.qos import LATCHED
from jsac_ros.nodes.sim_description import SimDescription
from jsac_ros.nodes.sim_modes import SimModes
from jsac_ros.plugins import FAULTS, where
from jsac_ros.rig import Rig
from jsac_ros.robots.rotations import HALF_TURN, rotation_of
from jsac_ros.ros_graph import sender_of
from jsac_ros.ros_types import message_class
from jsac_ros.sim.faults import Faults
from jsac_ros.sim.sim import Sim, check_sim, rendered
from jsac_ros.sim.trajectory import CommandRefused, Trajectory
from jsac_ros.supervision import WRONG_CONFIGURATION

_JOINTS_LATE_S, _CAMERA_LATE_S = 0.2, 0.4
_JUMP_RAD = 0.5
_SLIDER = 0.5
_CONTACT_N = 100.0
_SCALING_HZ = 100.0  # of the driver's speed_scaling_state_broadcaster, at any rate of joint states
_TRUTH_PERIOD_S = 0.02  # between messages to a scripted person
_LONGEST_STEP_S = 0.1  # longest step; during a longer pause of this process the robot stands still


class SimRobot(JsacNode):
    """One robot with its cameras and sensors."""

    kinds = ("robot", "action", "task", "sim")

    def __init__(self):
        super().__init__("sim_robot")
        config = self.config
        self.rig = Rig.of(config)
        self._sim: Sim = plugins.make("sim", config.sim.type, config.sim, self.rig, config.run.seed)
        check_sim(self._sim, self.rig.sensors)
        self._names = sorted(self._sim.names)  # the order of the driver
        self._lock = threading.Lock()  # protects the simulation
        self._faults = Faults(self._sim.faults)
        self._begun: set[str] = set()  # active faults of the simulator itself
        self._trajectory: JointTrajectory | None = None  # not taken yet
        self._restarting = False
        self._running: bool | None = None
        self._rates: list[FixedRate] = []
        self._threads: list[threading.Thread] = []
        self._make_topics()
        filmed = {topic: cameras[0] for topic, cameras in self._cameras.items()}
        self._description = SimDescription(self, self.rig, self._sim, filmed)

    def _make_topics(self) -> None:
        robot = self.config.robot
        self._joint_states = self.create_publisher(JointState, robot.joint_states_topic, 10)  # reliable, like the driver
        self._true_state = self.create_publisher(JointState, "sim_state", qos_profile_sensor_data)
        self._truth = self.create_publisher(SimTruth, "sim_truth", qos_profile_sensor_data)
        self._cameras = defaultdict(list)  # topic -> cameras that share it
        for name in self.rig.images:
            self._cameras[self.rig.sources[name].topic].append(name)
        self._images = {
            topic: self.create_publisher(message_class(self.rig.sources[names[0]].type), topic, qos_profile_sensor_data)
            for topic, names in self._cameras.items()
        }
        running = robot.program_running_topic or "io_and_status_controller/robot_program_running"
        scaling = robot.speed_scaling_topic or "speed_scaling_state_broadcaster/speed_scaling"
        self._program_running = self.create_publisher(Bool, running, LATCHED)
        self._speed_scaling = self.create_publisher(Float64, scaling, 1)
        self._sensors = {
            name: self.create_publisher(message_class(sensor.config.type), sensor.config.topic, qos_profile_sensor_data)
            for name, sensor in self.rig.sensors.items()
            if name in self._sim.sensors
        }
        self._modes = None if self.rig.robot.is_base else SimModes(self, robot.safety_mode_topic)
        if self.rig.robot.is_base:
            twist_type = TwistStamped if robot.twist_stamped else Twist
            self.create_subscription(twist_type, robot.twist_topic, self._on_twist, 1)
        else:
            self.create_subscription(JointTrajectory, robot.trajectory_topic, self._on_trajectory, 1)
            self.create_subscription(Float64MultiArray, robot.velocity_topic, self._on_velocity, 1)
            if robot.interface == "pose":
                self.create_subscription(PoseStamped, robot.pose_topic, self._on_pose, 1)
        for name in self._sim.outputs.keys() & self.rig.grippers.keys():
            self._serve_gripper(name)
        self.create_subscription(String, "sim_fault", self._on_fault, 10)
        self.create_service(Trigger, "new_target", self._on_new_target)

    def _serve_gripper(self, name: str) -> None:
        def command(opening: float) -> None:
            with self._lock:
                if not self._restarting:
                    self._sim.command_output(name, (opening,))

        def opening() -> float:
            with self._lock:
                return float(self._sim.outputs[name][0])

        sim_grippers.serve(self, self.rig.grippers[name], command, opening)

    # -- callbacks -----------------------------------------------------------------------------------------------

    def _on_trajectory(self, message: JointTrajectory) -> None:
        self._trajectory = message  # the controller takes the newest one once per cycle

    def _take_trajectory(self) -> None:
        """Executes the newest trajectory at the start of a cycle. Call with the lock held."""
        message, self._trajectory = self._trajectory, None
        if message is None or self._restarting:
            return
        stamp_ns = to_ns(message.header.stamp)
        starts_in_s = (stamp_ns - time.time_ns()) * 1e-9 if stamp_ns else 0.0
        try:
            self._sim.command_trajectory(message.joint_names, _trajectory(message), starts_in_s)
        except ValueError as error:  # CommandRefused, or points of unequal length
            self._refuse(error)

    def _on_velocity(self, message: Float64MultiArray) -> None:
        try:
            with self._lock:
                if not self._restarting:
                    self._sim.command_velocity(message.data)
        except CommandRefused as error:
            self._refuse(error)

    def _on_pose(self, message: PoseStamped) -> None:
        place, turned, robot = message.pose.position, message.pose.orientation, self.config.robot
        if message.header.frame_id != (frame := f"{robot.joint_prefix}{robot.pose_frame}"):
            self._refuse(CommandRefused(f"pose is in {message.header.frame_id!r}; expected {frame!r}"))
            return
        position, rotation = np.array((place.x, place.y, place.z)), rotation_of((turned.x, turned.y, turned.z, turned.w))
        if robot.pose_frame == "base" and self.rig.robot.base_turned:
            position, rotation = HALF_TURN @ position, HALF_TURN @ rotation
        try:
            with self._lock:
                if not self._restarting:
                    self._sim.command_pose(position, rotation)
        except CommandRefused as error:
            self._refuse(error)

    def _on_twist(self, message: Twist | TwistStamped) -> None:
        twist = message.twist if isinstance(message, TwistStamped) else message
        with self._lock:
            if not self._restarting:
                self._sim.command_twist(twist.linear.x, twist.angular.z)

    def _refuse(self, error: ValueError) -> None:
        self.get_logger().error(f"command refused: {error}", throttle_duration_sec=1.0)

    def _on_fault(self, message: String) -> None:
        """Raises ValueError if there is no such fault."""
        self._faults.request(message.data, time.monotonic())
        self.get_logger().warning(f"fault: {message.data} (by {sender_of(self, 'sim_fault')})")

    def _on_new_target(self, _, response: Trigger.Response) -> Trigger.Response:
        with self._lock:
            message = self._sim.new_target()
        return self.answered("new_target", response, True, message)

    # -- the robot ------------------------------------------------------------------------------------------------

    def _move(self) -> None:
        """The driver's thread: one step of the robot and one joint state per period."""
        rate = self._rate(1.0 / self.config.sim.joint_rate_hz)
        late: deque[tuple[float, JointState]] = deque()
        truth_every = max(1, round(_TRUTH_PERIOD_S * self.config.sim.joint_rate_hz))
        before_ns = time.monotonic_ns()
        while (tick := rate.wait()) is not None:
            now_s = tick.begun_ns * 1e-9
            dt, before_ns = (tick.begun_ns - before_ns) * 1e-9, tick.begun_ns
            with self._lock:
                self._apply_faults(now_s)
                self._take_trajectory()
                self._sim.step(min(max(dt, 1e-4), _LONGEST_STEP_S))
                state, sensors = self._joint_state(self._names), self._sim.sensors if self._sensors else {}
                truth = self._sim.truth if tick.number % truth_every == 0 and self._truth.get_subscription_count() else {}
            if self._true_state.get_subscription_count():
                self._true_state.publish(state)
            if self._restarting:
                continue
            self._publish_status(tick.number)
            self._publish_sensors(sensors, now_s)
            if truth:
                self._publish_truth(truth)
            if not self._faults.active("joints_missing", now_s):
                delay_s = _JOINTS_LATE_S if self._faults.active("joints_late", now_s) else 0.0
                late.append((now_s + delay_s, self._spoiled(state, now_s)))
            while late and late[0][0] <= now_s:
                published = late.popleft()[1]
                self._joint_states.publish(published)
                self._description.joints(published)

    def _apply_faults(self, now_s: float) -> None:
        self._sim.protective_stop = self._faults.active("protective_stop", now_s)
        self._sim.speed_slider = _SLIDER if self._faults.active("slider", now_s) else 1.0
        for name in self._sim.faults:
            if (active := self._faults.active(name, now_s)) != (name in self._begun):
                self._begun ^= {name}
                self._sim.fault(name, active)
        restarting = self._faults.active("restart", now_s)
        if restarting and not self._restarting:
            self._sim.restart()
            self._names = self._names[1:] + self._names[:1]
        self._restarting = restarting

    def _joint_state(self, names: list[str]) -> JointState:
        sim, message = self._sim, JointState()
        order = [sim.names.index(name) for name in names]
        message.header.stamp = self.get_clock().now().to_msg()
        message.name = list(names)
        message.position = array.array("d", sim.q[order])
        message.velocity = array.array("d", sim.qd[order])
        message.effort = array.array("d", sim.effort[order])
        return message

    def _spoiled(self, state: JointState, now_s: float) -> JointState:
        """The joint state with the active faults applied."""
        first = state.name.index(self._sim.names[0])
        if self._faults.active("nan_joints", now_s) or self._faults.active("joint_jump", now_s):
            wrong = float("nan") if self._faults.active("nan_joints", now_s) else state.position[first] + _JUMP_RAD
            state.position[first] = wrong
        if self._faults.active("joint_lost", now_s):
            state.name, state.position = state.name[:-1], state.position[:-1]
            state.velocity, state.effort = state.velocity[:-1], state.effort[:-1]
        return state

    def _publish_status(self, tick: int) -> None:
        running = self._sim.program_running
        if running != self._running:
            self._running = running
            self._program_running.publish(Bool(data=running))
        if self._modes is not None:
            self._modes.say(self._sim.protective_stop)
        if tick % max(1, round(self.config.sim.joint_rate_hz / _SCALING_HZ)) == 0:
            self._speed_scaling.publish(Float64(data=self._sim.speed_scaling))

    def _publish_sensors(self, measured: dict[str, np.ndarray], now_s: float) -> None:
        stamp = self.get_clock().now().to_msg()
        for name, publisher in self._sensors.items():
            sensor = self.rig.sensors[name]
            message = sensor.written(message_class(sensor.config.type)(), measured[name])
            if name == self.config.safety.wrench:
                if self._faults.active("wrench_missing", now_s):
                    continue
                message.wrench.force.z += _CONTACT_N * self._faults.active("contact", now_s)
            if hasattr(message, "header"):
                message.header.stamp, message.header.frame_id = stamp, name
            publisher.publish(message)

    def _publish_truth(self, truth: dict[str, np.ndarray]) -> None:
        message = SimTruth(values=[Vector(name=name, values=np.asarray(v, np.float32)) for name, v in truth.items()])
        message.header.stamp = self.get_clock().now().to_msg()
        self._truth.publish(message)

    # -- the cameras ---------------------------------------------------------------------------------------------

    def _render(self) -> None:
        try:
            self._film()
        finally:
            self._sim.close()  # in the rendering thread

    def _film(self) -> None:
        """The cameras' thread: renders at their rate and publishes after their delay."""
        sim = self.config.sim
        rate = self._rate(1.0 / sim.camera_rate_hz)
        late: deque[tuple[float, str, Image | CompressedImage]] = deque()
        images: dict[str, np.ndarray] = {}
        while (tick := rate.wait()) is not None:
            now_s, stamp = tick.begun_ns * 1e-9, self.get_clock().now().to_msg()
            if not images or not self._faults.active("camera_freeze", now_s):
                with self._lock:
                    snapshot = self._sim.snapshot()
                images = {topic: rendered(self._sim, names[0], snapshot) for topic, names in self._cameras.items()}
            delay_s = _CAMERA_LATE_S if self._faults.active("camera_late", now_s) else sim.camera_delay_s
            if not (self._restarting or self._faults.active("camera_missing", now_s)):
                for topic, image in images.items():
                    camera = self._cameras[topic][0]
                    message = _image(image, self.config.cameras[camera].compressed)
                    message.header.stamp, message.header.frame_id = stamp, camera
                    late.append((now_s + delay_s, topic, message))
            time.sleep(max(0.0, now_s + sim.camera_delay_s - time.monotonic()))
            while late and late[0][0] <= time.monotonic():
                _, topic, message = late.popleft()
                self._images[topic].publish(message)
                self._description.image(topic, message.header)

    # -- life ----------------------------------------------------------------------------------------------------

    def _rate(self, period_s: float) -> FixedRate:
        rate = FixedRate(period_s)
        self._rates.append(rate)
        return rate

    def run(self) -> None:
        loops = (self._move, self._render)
        self._threads = [threading.Thread(target=self._guarded, args=(loop,), daemon=True) for loop in loops]
        for thread in self._threads:
            thread.start()
        # Real-time priority, as a real robot has its own computer, which the learner does not slow down.
        measures = realtime.short_switch_interval(), *realtime.process_first(self.config.realtime.fifo_priority)
        self.get_logger().info("; ".join(map(str, measures)))
        super().run()

    def _guarded(self, loop: Callable[[], None]) -> None:
        """Ends the process with one line if a thread raises: diverged physics, no OpenGL."""
        try:
            loop()
        except ConfigError as error:
            self.fail(str(error), WRONG_CONFIGURATION)
        except FAULTS as error:
            self.fail(f"the simulation stopped: {where(error)}")

    def close(self) -> None:
        for rate in self._rates:
            rate.stop()
        for thread in self._threads:
            thread.join(timeout=1.0)
        if not self._threads:
            self._sim.close()


def _trajectory(message: JointTrajectory) -> Trajectory:
    """Raises ValueError if the points have unequal lengths."""
    points = message.points

    def rows(name: str) -> np.ndarray | None:
        values = [getattr(point, name) for point in points]
        return np.array(values) if any(map(len, values)) else None

    times = [point.time_from_start.sec + point.time_from_start.nanosec * 1e-9 for point in points]
    return Trajectory(np.array(times), rows("positions"), rows("velocities"), rows("accelerations"))


def _image(image: np.ndarray, compressed: bool) -> Image | CompressedImage:
    """RGB uint8 [H, W, 3] -> a message without a header."""
    if compressed:
        _, jpeg = cv2.imencode(".jpg", image[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, 95))
        return CompressedImage(format="rgb8; jpeg compressed bgr8", data=array.array("B", jpeg.tobytes()))
    height, width = image.shape[:2]
    data = array.array("B", image.tobytes())
    return Image(height=height, width=width, encoding="rgb8", step=3 * width, data=data)


def main(args=None) -> int:
    return run_node(SimRobot, args)


if __name__ == "__main__":
    raise SystemExit(main())
