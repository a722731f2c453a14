"""The simulated robot as a process, over DDS, as safety and actor meet it."""

import math
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import domains
import numpy as np
import pytest
import rclpy
from geometry_msgs.msg import Twist, TwistStamped
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from rig_cases import BASE, REACHER, config_of, robot_of
from sensor_msgs.msg import BatteryState, CameraInfo, CompressedImage, Image, JointState
from std_msgs.msg import Bool, Float64, Float64MultiArray, String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from jsac_ros.config import SystemConfig
from jsac_ros.control.images import FrameMaker
from jsac_ros.nodes.robot_commands import commands_of
from jsac_ros.parameters import dump
from jsac_ros.robots.joint_map import JointMap

os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"  # of the stations and the robots
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
SMALL = REACHER | {"cameras.wrist.height": 64, "cameras.wrist.width": 96}
NAMES = robot_of("ur5").names


class Station:
    """What a node at the robot hears, and what it can send."""

    def __init__(self, config: SystemConfig, domain: int):
        self.config = config
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = rclpy.create_node("station", context=self.context)
        self.executor = rclpy.executors.SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.joints, self.images, self.running, self.scaling, self.truth, self.infos, self.urdfs = [], [], [], [], [], [], []
        self.camera = next(iter(config.cameras.values()))
        image_type = CompressedImage if self.camera.compressed else Image
        for kind, topic, heard, qos in (
            (JointState, "joint_states", self.joints, 10),  # reliable, as its broadcaster publishes them
            (JointState, "sim_state", self.truth, qos_profile_sensor_data),
            (image_type, self.camera.topic, self.images, qos_profile_sensor_data),
            (CameraInfo, "camera/camera_info", self.infos, 10),  # reliable, as image_transport's
            (String, "robot_description", self.urdfs, LATCHED),
            (Bool, "io_and_status_controller/robot_program_running", self.running, LATCHED),
            (Float64, "speed_scaling_state_broadcaster/speed_scaling", self.scaling, 1),
        ):
            self.node.create_subscription(kind, topic, heard.append, qos)
        self.trajectory = self.node.create_publisher(JointTrajectory, config.robot.trajectory_topic, 1)
        self.velocity = self.node.create_publisher(Float64MultiArray, config.robot.velocity_topic, 1)
        self.faults = self.node.create_publisher(String, "sim_fault", 1)
        self.new_target = self.node.create_client(Trigger, "new_target")

    def fresh(self, *heard: list) -> None:
        """Forgets what came and waits for something new in each of `heard`."""
        for one in heard:
            one.clear()
        self.wait_for(lambda: all(heard))

    def wait_for(self, condition, seconds=30.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it did not come to that"
            self.executor.spin_once(timeout_sec=0.05)

    def spin(self, seconds: float) -> None:
        """For what must not happen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.05)

    def fault(self, text: str, until) -> None:
        self.faults.publish(String(data=text))
        self.wait_for(until)

    def state(self):
        message = self.truth[-1]
        joints = JointMap(NAMES)(message.name, message.position, message.velocity, 0)
        return joints.position, joints.velocity

    def frame(self):
        return FrameMaker(self.camera)(self.images[-1])

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@contextmanager
def running(folder, base=SMALL, /, **changes):
    """The robot's process and a station beside it, in a ROS domain of their own; the process is ended."""
    config, domain = config_of(base, **changes), domains.take()
    dump(config, folder / "config.yaml")
    with (folder / "sim_robot.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jsac_ros.nodes.sim_robot", "--ros-args", "--params-file", folder / "config.yaml"],
            env=os.environ | {"ROS_DOMAIN_ID": str(domain)}, stderr=log,
        )  # fmt: skip
    station = None
    try:
        station = Station(config, domain)
        yield process, station
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == -signal.SIGTERM
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if station is not None:
            station.close()


@pytest.fixture(scope="module")
def robot(tmp_path_factory):
    """With the trajectory interface."""
    with running(tmp_path_factory.mktemp("sim")) as (_, station):
        station.wait_for(lambda: station.joints and station.images and station.truth and station.running)
        yield station


def ramp(speed: float, seconds: float, q) -> JointTrajectory:
    """All joints at `speed`, braking evenly to rest."""
    message = JointTrajectory(joint_names=list(NAMES))
    for k in range(1, 6):
        t = seconds * k / 5
        point = JointTrajectoryPoint(
            positions=[x + speed * (t - t * t / (2 * seconds)) for x in q],
            velocities=[speed * (1 - k / 5)] * 6,
        )
        point.time_from_start.nanosec = round(t * 1e9)
        message.points.append(point)
    return message


def test_joint_states_and_images_come_with_their_stamps(robot):
    robot.fresh(robot.joints, robot.images, robot.scaling)
    joints = robot.joints[-1]
    assert joints.name == sorted(NAMES) and len(joints.effort) == 6
    assert abs(time.time() - joints.header.stamp.sec) < 30
    assert robot.frame().shape == (64, 96, 3)
    assert np.median(robot.frame()[28:36, 20:76]) > 200  # the monitor's white
    assert robot.running[-1].data and robot.scaling[-1].data == 100.0  # percent, as the driver
    robot.wait_for(lambda: len(robot.joints) > 3 * len(robot.images) > 15)  # 125 to 30


def test_the_camera_tells_its_intrinsics_with_each_image(robot):
    robot.fresh(robot.infos, robot.images)
    robot.wait_for(lambda: len(robot.infos) > 3 and len(robot.images) > 3)
    info, stamps = robot.infos[-2], [image.header.stamp for image in robot.images]
    assert info.header.stamp in stamps and info.header.frame_id == robot.images[-1].header.frame_id == "wrist"
    assert (info.height, info.width) == (128, 192) == (robot.images[-1].height, robot.images[-1].width)
    focal = 192 / 1.1  # 1.1 m are seen across at one metre
    assert list(info.k) == pytest.approx([focal, 0, 95.5, 0, focal, 63.5, 0, 0, 1])
    assert list(info.p)[:3] == list(info.k)[:3] and list(info.d) == [0.0] * 5 and info.distortion_model == "plumb_bob"


def test_who_comes_late_is_told_the_description(robot):
    """Once: it is latched, as robot_state_publisher's."""
    late = []
    robot.node.create_subscription(String, "robot_description", late.append, LATCHED)
    robot.wait_for(lambda: late and robot.urdfs)
    assert late[0].data == robot.urdfs[0].data == robot_of("ur5", home=()).description and len(robot.urdfs) == 1


def test_a_trajectory_moves_the_arm_and_ends_at_rest(robot):
    robot.fresh(robot.truth)
    before, _ = robot.state()
    robot.trajectory.publish(ramp(0.2, 0.4, before))
    robot.wait_for(lambda: (robot.state()[0] - before).min() > 0.035)
    robot.wait_for(lambda: abs(robot.state()[1]).max() < 1e-4)
    assert robot.state()[0] - before == pytest.approx([0.04] * 6, abs=1e-3)


def test_a_velocity_is_not_taken_by_the_trajectory_controller(robot):
    robot.fresh(robot.truth)
    before, _ = robot.state()
    robot.velocity.publish(Float64MultiArray(data=[0.3] * 6))
    robot.spin(0.3)
    robot.fresh(robot.truth)
    assert robot.state()[0] == pytest.approx(before, abs=1e-4)


def test_a_new_target_changes_the_picture(robot):
    robot.fresh(robot.images)
    before, answers = robot.frame().astype(int), []
    robot.new_target.call_async(Trigger.Request()).add_done_callback(lambda f: answers.append(f.result()))
    robot.wait_for(lambda: answers)
    assert answers[0].success and "disc at" in answers[0].message
    robot.wait_for(lambda: abs(robot.frame().astype(int) - before).max() > 100)


def same(images) -> bool:
    """The last two pictures are equal in every pixel, noise included, and of two moments."""
    one, other = images[-2:]
    return one.data == other.data and one.header.stamp != other.header.stamp


def test_faults_of_the_camera(robot):
    robot.fresh(robot.images)
    robot.wait_for(lambda: len(robot.images) > 1)
    assert not same(robot.images)
    robot.fault("camera_freeze", lambda: same(robot.images))
    robot.fault("none", lambda: not same(robot.images))
    robot.fault("camera_late", lambda: age(robot.images[-1]) > 0.3)
    robot.fault("none", lambda: age(robot.images[-1]) < 0.3)
    robot.fault("camera_missing", lambda: age(robot.images[-1]) > 1.0)
    robot.fresh(robot.joints)
    robot.fault("none", lambda: age(robot.images[-1]) < 0.3)


def age(message) -> float:
    stamp = message.header.stamp
    return time.time() - stamp.sec - stamp.nanosec * 1e-9


def test_faults_of_the_joint_states(robot):
    def first():
        return robot.joints[-1].position[robot.joints[-1].name.index(NAMES[0])]

    true = robot.state()[0][0]
    robot.fault("nan_joints", lambda: math.isnan(first()))
    robot.fault("none", lambda: first() == pytest.approx(true))
    robot.fault("joint_jump", lambda: first() == pytest.approx(true + 0.5))
    robot.fault("none", lambda: first() == pytest.approx(true))
    robot.fault("joint_lost", lambda: len(robot.joints[-1].name) == len(robot.joints[-1].position) == 5)
    robot.fault("none", lambda: len(robot.joints[-1].name) == 6)
    robot.fault("joints_late", lambda: age(robot.joints[-1]) > 0.15)
    robot.fault("none", lambda: age(robot.joints[-1]) < 0.15)
    robot.fault("joints_missing", lambda: age(robot.joints[-1]) > 1.0)
    robot.fresh(robot.truth)
    robot.fault("none", lambda: age(robot.joints[-1]) < 0.15)


def test_a_protective_stop_is_told_and_a_restart_changes_the_order_of_joints(robot):
    robot.fault("protective_stop 0.8", lambda: not robot.running[-1].data and robot.scaling[-1].data == 0.0)
    robot.wait_for(lambda: robot.running[-1].data)
    robot.wait_for(lambda: robot.scaling[-1].data == 100.0)  # it goes up by a hundredth a cycle
    robot.fault("slider", lambda: robot.scaling[-1].data == 50.0)
    robot.fault("none", lambda: robot.scaling[-1].data == 100.0)
    names = robot.joints[-1].name
    robot.fault("restart", lambda: robot.joints[-1].name != names)
    assert sorted(robot.joints[-1].name) == sorted(names)


def test_the_velocity_interface_repeats_its_last_message_and_images_can_be_compressed(tmp_path):
    changes = {"cameras__wrist__compressed": True, "robot__interface": "velocity"}
    with running(tmp_path, **changes) as (_, station):
        station.wait_for(lambda: station.joints and station.images and station.velocity.get_subscription_count())
        station.wait_for(lambda: station.infos and (station.infos[-1].height, station.infos[-1].width) == (128, 192))
        assert station.frame().shape == (64, 96, 3)
        station.wait_for(lambda: station.truth)
        station.velocity.publish(Float64MultiArray(data=[0.05] * 6))
        station.wait_for(lambda: station.state()[1] == pytest.approx([0.05] * 6))
        station.spin(0.5)
        station.fresh(station.truth)
        assert station.state()[1] == pytest.approx([0.05] * 6)
        station.velocity.publish(Float64MultiArray(data=[0.0] * 5))  # wrong length: the controller fails
        station.wait_for(lambda: abs(station.state()[1]).max() == 0)


@pytest.mark.parametrize("kind", [Twist, TwistStamped])
def test_a_base_drives_by_twist_and_publishes_its_bumper_and_battery(tmp_path, kind):
    with running(tmp_path, BASE, robot__twist_stamped=kind is TwistStamped) as (_, station):
        bumper, battery, said = [], [], []
        station.node.create_subscription(Bool, "bumper", bumper.append, qos_profile_sensor_data)
        station.node.create_subscription(BatteryState, "battery_state", battery.append, qos_profile_sensor_data)
        station.node.create_subscription(kind, "cmd_vel", said.append, 1)
        wheels = robot_of("diff_drive")
        commands = commands_of(station.node, station.config.robot, wheels, jerk_limited=False)  # as the safety node
        heard = (station.joints, station.images, bumper, battery)
        station.wait_for(lambda: all(heard))
        assert station.joints[-1].name == list(wheels.names) and 0.9 < battery[-1].percentage <= 1.0

        def fast() -> bool:
            commands.period(np.array((0.1, 0.0)))
            return station.joints[-1].velocity[0] == pytest.approx(0.1 / wheels.wheel_radius_m)

        station.wait_for(fast)
        station.wait_for(lambda: said)
        if kind is TwistStamped:
            assert age(said[-1]) < 5 and said[-1].header.frame_id == "base_link"
        assert getattr(said[-1], "twist", said[-1]).linear.x == 0.1
        station.wait_for(lambda: list(station.joints[-1].velocity) == [0.0, 0.0])  # it hears nothing more
        assert not bumper[-1].data


def test_a_robot_without_kinematics_is_refused_in_one_line(tmp_path):
    dump(
        config_of(robot__type="joints", robot__joints=("a",), robot__home=None, actions__arm__joints=("a",)),
        tmp_path / "config.yaml",
    )
    command = [sys.executable, "-m", "jsac_ros.nodes.sim_robot", "--ros-args", "--params-file", tmp_path / "config.yaml"]
    environment = os.environ | {"ROS_DOMAIN_ID": str(domains.take())}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert "error: robot.type joints" in ended.stderr and "Traceback" not in ended.stderr


def test_a_sensor_of_another_size_than_is_measured_is_one_line_and_no_process(tmp_path):
    sensor = {"topic": "wrench", "type": "geometry_msgs/msg/WrenchStamped", "fields": ("wrench.force.x", "wrench.force.z")}
    config = config_of(SMALL, **{f"sensors__wrench__{name}": value for name, value in sensor.items()})
    dump(config, tmp_path / "config.yaml")
    command = [sys.executable, "-m", "jsac_ros.nodes.sim_robot", "--ros-args", "--params-file", tmp_path / "config.yaml"]
    environment = os.environ | {"ROS_DOMAIN_ID": str(domains.take())}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert "sensors.wrench has 2 values; the simulation measures " in ended.stderr and "wrench [6]" in ended.stderr
    assert "Traceback" not in ended.stderr
