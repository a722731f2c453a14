"""`jsac-ros teach` and the live image of `jsac-ros crop`: what a driver publishes, and what is written of it."""

import io
import sys
import threading

import domains
import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data
from rig_cases import HOME, robot_of
from sensor_msgs.msg import Image, JointState

from jsac_ros.__main__ import main
from jsac_ros.config import ConfigError
from jsac_ros.fitting import looking
from jsac_ros.fitting.looking import Looking
from jsac_ros.fitting.poses import check_pose, learned
from jsac_ros.parameters import load
from jsac_ros.rig import Rig

DOMAIN = domains.take()
UR5 = robot_of("ur5", home=HOME)


class Driver:
    """Joint states of an arm that a person moves, and a camera."""

    def __init__(self):
        self.q = np.array(HOME)
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=DOMAIN)
        self.node = rclpy.create_node("driver", context=self.context)
        self.executor, self.ends = SingleThreadedExecutor(context=self.context), threading.Event()
        self.states = self.node.create_publisher(JointState, "joint_states", qos_profile_sensor_data)
        self.camera = self.node.create_publisher(Image, "camera/image_raw", qos_profile_sensor_data)
        self.image = np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8)
        self.node.create_timer(0.02, self.say)
        self.executor.add_node(self.node)
        self.thread = threading.Thread(
            target=lambda: [self.executor.spin_once(timeout_sec=0.1) for _ in iter(self.ends.is_set, True)]
        )
        self.thread.start()

    def say(self):
        names = [*UR5.names[3:], *UR5.names[:3]]  # in the driver's own order
        self.states.publish(JointState(name=names, position=[*self.q[3:], *self.q[:3]]))
        self.camera.publish(Image(height=12, width=16, encoding="rgb8", step=48, data=self.image.tobytes()))

    def close(self):
        self.ends.set()
        self.thread.join()
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def driver(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(DOMAIN))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    driver = Driver()
    yield driver
    driver.close()


class Person(io.StringIO):
    """Moves the arm to a pose, then presses a key: each word is asked for when the last was answered."""

    def __init__(self, driver, *script):
        super().__init__()
        self.driver, self.script = driver, list(script)

    def readline(self, *_):
        if not self.script:
            return ""
        word, change = self.script.pop(0)
        self.driver.q = np.array(HOME) + change
        return word + "\n"


CORNERS = (np.array([-0.3, 0.1, 0.0, 0.0, 0.1, 0.0]), np.array([0.3, -0.2, 0.2, 0.1, -0.1, 0.1]))


def test_poses_of_a_moving_arm_are_written_into_a_copy(driver, tmp_path, monkeypatch, capsys):
    out = tmp_path / "mine.yaml"
    script = (
        ("q", 0.0),
        ("h", 0.0),
        ("", CORNERS[0]),
        ("", CORNERS[1]),
        ("", [0, 0, 9, 0, 0, 0]),
        ("", CORNERS[0]),
        ("u", 0.0),
        ("q", 0.0),
    )
    monkeypatch.setattr(sys, "stdin", Person(driver, *script))
    assert main(["teach", "ur5_reacher", "--out", str(out), "--yes"]) == 0
    said = capsys.readouterr().out
    assert (
        "not finished: 0 poses were recorded" in said
        and "not recorded: elbow_joint is at 11.17" in said
        and "+      joint_lower:" in said
        and "3 recorded> " in said
    )
    config, poses = load(out), np.array(HOME) + np.array([np.zeros(6), *CORNERS])
    assert config.robot.home == pytest.approx(HOME, abs=1e-4)
    assert config.safety.joint_lower == pytest.approx(poses.min(axis=0) - 0.05, abs=2e-3)
    assert config.safety.joint_upper == pytest.approx(poses.max(axis=0) + 0.05, abs=2e-3)
    tool = UR5.tool_positions(poses, config.safety.box_frame)
    assert config.safety.box_lower == pytest.approx(tool.min(axis=0) - (0.02, 0.02, 0.0), abs=2e-3)
    assert config.safety.box_upper == pytest.approx(tool.max(axis=0) + 0.02, abs=2e-3)
    assert "# m, of the tool" in out.read_text() and not Rig(config).problems()


def test_without_home_among_the_poses_the_old_one_must_fit(driver, tmp_path, monkeypatch, capsys):
    out = tmp_path / "mine.yaml"
    script = ("", CORNERS[1]), ("", CORNERS[1] + [0.3, 0.1, 0, 0, 0, 0]), ("q", 0.0)
    monkeypatch.setattr(sys, "stdin", Person(driver, *script))
    assert main(["teach", "ur5_reacher", "--out", str(out), "--yes"]) == 2, "its input has ended"
    said = capsys.readouterr()
    assert "not finished: robot.home: shoulder_pan_joint is at 1.5707" in said.out and "record it with h" in said.err
    assert said.err.count("\n") == 1 and not out.exists()


def test_the_live_image_comes_whole(driver, tmp_path):
    from types import SimpleNamespace

    from jsac_ros.fitting import crop

    camera = load("ur5_reacher", kinds=()).cameras["wrist"]
    arguments = SimpleNamespace(image=None, bag=None, namespace="")
    with crop.looks(arguments, "ur5_reacher", {}, "wrist", camera) as look:
        assert (look() == driver.image).all()
        driver.image = 255 - driver.image
        assert (look() == driver.image).all(), "the newest one"


def test_silence_names_the_topic_and_what_to_do(driver, monkeypatch):
    monkeypatch.setattr(looking, "WAIT_S", 0.3)
    with Looking("ur5_reacher", {"robot.joint_states_topic": "other"}, "/left", "joints") as quiet:
        with pytest.raises(ConfigError, match=r"/left/other: no message in 0.3 s; start its driver"):
            quiet.newest()


def test_limits_stay_inside_those_of_the_arm_and_the_floor_is_the_lowest_pose():
    poses = [np.array(HOME), UR5.upper - 0.001]
    fields = learned(poses, None, UR5, "base_link", 0.02, 0.05)
    assert (np.array(fields["safety.joint_upper"]) <= UR5.upper).all() and "robot.home" not in fields
    lowest = UR5.tool_positions(np.stack(poses), "base_link")[:, 2].min()
    assert lowest - 0.0011 < fields["safety.box_lower"][2] <= lowest
    home = np.array(HOME) - 1e-5  # rounded it is lower than every pose
    fields = learned([home, home + 0.1], home, UR5, "base_link", 0.02, 0.0)
    assert (np.array(fields["safety.joint_lower"]) <= fields["robot.home"]).all()


@pytest.mark.parametrize(
    ("poses", "said"),
    [
        ([], "0 poses were recorded; expected 2 or more"),
        ([HOME], "1 poses"),
        ([HOME, HOME], "within 0 mm in x; expected at least 5 mm"),
    ],
)
def test_too_little_is_refused(poses, said):
    with pytest.raises(ConfigError, match=said):
        learned([np.array(pose) for pose in poses], None, UR5, "base_link", 0.02, 0.05)


@pytest.mark.parametrize("angle", [7.0, float("nan")])
def test_a_pose_that_no_arm_can_have_is_named(angle):
    with pytest.raises(ConfigError, match="elbow_joint is at .* expected .* the limits of ur5"):
        check_pose(np.array([0, 0, angle, 0, 0, 0]), UR5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["create_reacher", "--out", "a.yaml"], "a mobile base; expected an arm"),
        (["ur5_reacher", "--margin-m", "2", "--out", "a.yaml"], "--margin-m is 2; expected 0 to 0.5"),
        (["ur5_reachr"], "did you mean 'ur5_reacher'"),
    ],
)
def test_a_wrong_command_is_one_line(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["teach", *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
