"""Recorder: everything a run says, as a rosbag2 recording in its folder (`bag.record: true`).

Hears   the camera, the joints, every command, every topic of ours; the policy mailbox
Writes  `bag/` in the run folder: with the configuration in front and every published policy in between, so that the
        run can be computed again step by step (`jsac-ros replay`)
A process of its own so that a slow or full disk is nobody else's trouble.
"""

from __future__ import annotations

import sys
import time
from array import array
from pathlib import Path

import yaml
from geometry_msgs.msg import Twist, TwistStamped
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Bool, Float64, Float64MultiArray, String
from trajectory_msgs.msg import JointTrajectory

from jsac_ros import msg
from jsac_ros.bags.record import TAKE_PERIOD_S, Recording
from jsac_ros.bags.writer import BagWriter
from jsac_ros.config import SystemConfig, to_parameters
from jsac_ros.nodes.process import JsacNode, run_folder, run_node
from jsac_ros.nodes.transitions import to_time
from jsac_ros.replay import names
from jsac_ros.replay.mailbox import PolicyMailbox

SPLIT_BYTES = 1 << 30
CONFIGURATION = "configuration"  # std_msgs/String: the resolved configuration as YAML
POLICY = "policy_parameters"
_SENSOR = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
_RELIABLE = QoSProfile(depth=1)
_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def topics(config: SystemConfig) -> list[tuple[str, type, QoSProfile]]:
    """Every topic of this system: name, message class, quality of service."""
    robot, camera = config.robot, config.camera
    found = [(robot.joint_states_topic, JointState, _SENSOR)]
    if camera.height and config.task.observe != "proprioception":
        found.append((camera.topic, CompressedImage if camera.compressed else Image, _SENSOR))
    commands = {
        "trajectory": (robot.trajectory_topic, JointTrajectory),
        "velocity": (robot.velocity_topic, Float64MultiArray),
        "twist": (robot.twist_topic, TwistStamped if robot.twist_stamped else Twist),
    }
    if robot.interface in commands:
        found.append((*commands[robot.interface], _RELIABLE))
    if config.bag.action_topic:
        found.append(("recorded_action", Float64MultiArray, _RELIABLE))
    for name, kind in ((robot.program_running_topic, Bool), (robot.speed_scaling_topic, Float64)):
        if name:
            found.append((name, kind, _SENSOR))
    for name, kind in (
        ("policy_command", msg.Action), ("shadow_command", msg.Action), ("applied_action", msg.AppliedAction),
        ("transitions", msg.Transition), ("episode", msg.Episode), ("control_status", msg.ControlStatus),
        ("safety_status", msg.SafetyStatus), ("replay_status", msg.ReplayStatus),
        ("training_status", msg.TrainingStatus), ("emergency_stop", Bool), ("human_action", Float64MultiArray),
    ):  # fmt: skip
        found.append((name, kind, _RELIABLE))
    found.append(("policy_info", msg.PolicyInfo, _LATCHED))
    if config.learner.policy_topic:
        found.append((POLICY, msg.PolicyParameters, _LATCHED))
    return found


class Recorder(JsacNode):
    def __init__(self):
        super().__init__("recorder")
        config = self.config
        self._writer = BagWriter(_new_folder(run_folder(config)), SPLIT_BYTES)
        self._recording = Recording(self, self._writer)
        text = yaml.safe_dump(to_parameters(config), sort_keys=False)
        self._recording.add(CONFIGURATION, String(data=text), "std_msgs/msg/String", time.time_ns())
        for name, kind, qos in topics(config):
            package, _, _ = kind.__module__.partition(".")
            self._recording.subscribe(name, kind, f"{package}/msg/{kind.__name__}", qos)
        self._info_topic = self.resolve_topic_name("policy_info")
        self._info: msg.PolicyInfo | None = None
        self._mailbox: PolicyMailbox | None = None
        self._version: int | None = None

    def run(self) -> None:
        self.get_logger().info(f"recording to {self._writer.folder}")
        while not self.stop.wait(TAKE_PERIOD_S):
            self._take()
        self._take()
        self.get_logger().info(self._recording.summary())

    def _take(self) -> None:
        for _, topic, data in self._recording.take():
            if topic == self._info_topic:
                self._info = deserialize_message(data, msg.PolicyInfo)
        if not self.config.learner.policy_topic and not self._recording.problem:
            self._take_policy()

    def _take_policy(self) -> None:
        """The parameters do not travel over a topic: they are read where the actor reads them."""
        if self._mailbox is not None and self._mailbox.abandoned():
            self._mailbox.close()
            self._mailbox = None
        if self._mailbox is None:
            self._attach()
            return
        latest = self._mailbox.read_latest(self._version)
        if latest is None:
            return
        self._version = latest.version
        message = msg.PolicyParameters(data=array("B", latest.vector.tobytes()))
        message.info = msg.PolicyInfo(
            session=latest.session, version=latest.version, parameter_count=latest.vector.size,
            layout_hash=self._info.layout_hash,
        )  # fmt: skip
        message.info.header.stamp = to_time(latest.stamp_ns)
        self._recording.add(POLICY, message, "jsac_ros/msg/PolicyParameters", latest.stamp_ns)

    def _attach(self) -> None:
        """To the mailbox that the learner's `policy_info` describes; no need for JAX to know its layout."""
        if self._info is None:
            return
        try:
            name = names.policy(self.config.run.name)
            self._mailbox = PolicyMailbox.attach(name, self._info.parameter_count, self._info.layout_hash)
        except (FileNotFoundError, ValueError):  # between two learners
            self._mailbox = None

    def close(self) -> None:
        if self._mailbox is not None:
            self._mailbox.close()
        self._writer.close()


def _new_folder(run: Path) -> Path:
    """`bag`, or `bag_2`, ... where a recorder of this run has died before."""
    folder, number = run / "bag", 1
    while folder.exists():
        number += 1
        folder = run / f"bag_{number}"
    return folder


def main(args=None) -> int:
    return run_node(Recorder, args)


if __name__ == "__main__":
    sys.exit(main())
