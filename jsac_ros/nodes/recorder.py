"""Recorder: records everything that is needed to recompute a run, as a rosbag2 in its folder (`bag.record: true`).

Subscribes  cameras, joints and sensors of the rig, every command, every topic of jsac_ros; reads the policy mailbox
Writes      `bag/` in the run folder, with the configuration first and every published policy, so that the run can be
            recomputed step by step (`jsac-ros recompute`)
A process so that a slow or full disk delays no other process.
"""

from __future__ import annotations

import sys
import time
from array import array
from pathlib import Path

import yaml
from rclpy.serialization import deserialize_message
from std_msgs.msg import String

from jsac_ros import msg
from jsac_ros.bags.record import TAKE_PERIOD_S, Recording
from jsac_ros.bags.writer import BagWriter
from jsac_ros.nodes.process import JsacNode, run_folder, run_node
from jsac_ros.nodes.transitions import to_time
from jsac_ros.parameters import to_parameters
from jsac_ros.replay import names
from jsac_ros.replay.mailbox import PolicyMailbox
from jsac_ros.rig import Rig

SPLIT_BYTES = 1 << 30
TELL_PERIOD_S = 1.0
CONFIGURATION = "configuration"  # std_msgs/String: the resolved configuration as YAML
POLICY = "policy_parameters"
OURS = {
    "policy_command": "Action", "shadow_command": "Action", "recorded_action": "Action", "applied_action": "AppliedAction",
    "person_action": "PersonAction", "transitions": "Transition", "episode": "Episode", "control_status": "ControlStatus",
    "safety_status": "SafetyStatus", "replay_status": "ReplayStatus", "training_status": "TrainingStatus",
    "policy_info": "PolicyInfo",
}  # fmt: skip


def topics(rig: Rig) -> dict[str, str]:
    """Every topic of this system -> the type of its messages."""
    robot = rig.config.robot
    found = {source.topic: source.type for source in rig.sources.values()}
    commands = {
        "trajectory": (robot.trajectory_topic, "trajectory_msgs/msg/JointTrajectory"),
        "velocity": (robot.velocity_topic, "std_msgs/msg/Float64MultiArray"),
        "pose": (robot.pose_topic, "geometry_msgs/msg/PoseStamped"),
        "twist": (robot.twist_topic, f"geometry_msgs/msg/Twist{'Stamped' if robot.twist_stamped else ''}"),
    }
    told = [
        (robot.program_running_topic, "std_msgs/msg/Bool"), (robot.speed_scaling_topic, "std_msgs/msg/Float64"),
        ("emergency_stop", "std_msgs/msg/Bool"), ("human_action", "std_msgs/msg/Float64MultiArray"),
        ("robot_description", "std_msgs/msg/String"), ("safety_box", "std_msgs/msg/String"),
    ]  # fmt: skip
    for topic, kind in (*([commands[robot.interface]] if robot.interface in commands else []), *told):
        if topic:
            found.setdefault(topic, kind)
    found |= {topic: f"jsac_ros/msg/{kind}" for topic, kind in OURS.items()}
    return found | ({POLICY: "jsac_ros/msg/PolicyParameters"} if rig.config.learner.policy_topic else {})


class Recorder(JsacNode):
    def __init__(self):
        super().__init__("recorder")
        config = self.config
        self._writer = BagWriter(_new_folder(run_folder(config)), SPLIT_BYTES)
        self._recording = Recording(self, self._writer)
        text = yaml.safe_dump(to_parameters(config), sort_keys=False)
        self._recording.add(CONFIGURATION, String(data=text), "std_msgs/msg/String", time.time_ns())
        for name, kind in topics(Rig.of(config)).items():
            self._recording.subscribe(name, kind)
        self._info_topic = self.resolve_topic_name("policy_info")
        self._info: msg.PolicyInfo | None = None
        self._mailbox: PolicyMailbox | None = None
        self._version: int | None = None

    def run(self) -> None:
        self.get_logger().info(f"recording to {self._writer.folder}")
        told_s = 0.0
        while not self.stop.wait(TAKE_PERIOD_S):
            self.watchdog.beat()
            self._take()
            if time.monotonic() - told_s >= TELL_PERIOD_S:
                told_s = time.monotonic()
                self._tell()
        self._take()
        self._recording.close()
        self._tell()
        self.get_logger().info(self._recording.summary())

    def _tell(self) -> None:
        """Publishes what timers publish in other nodes, as this node does not spin."""
        self.written.say("bag", self._recording.problem)
        self.written.publish()
        self.refusals.publish()

    def _take(self) -> None:
        for record in self._recording.take():
            if record.topic == self._info_topic:
                with self.refusals.guard(record.topic):
                    self._info = deserialize_message(record.data, msg.PolicyInfo)
        if not self.config.learner.policy_topic and not self._recording.problem:
            self._take_policy()

    def _take_policy(self) -> None:
        """Records new parameters from the policy mailbox, as they are not published on a topic."""
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
        """Attaches to the mailbox with the layout from the learner's `policy_info`, without JAX."""
        if self._info is None:
            return
        try:
            name = names.policy(self.config.run.name, self.get_namespace())
            self._mailbox = PolicyMailbox.attach(name, self._info.parameter_count, self._info.layout_hash)
        except (FileNotFoundError, ValueError):  # between two learners
            self._mailbox = None

    def close(self) -> None:
        if self._mailbox is not None:
            self._mailbox.close()
        self._recording.close()


def _new_folder(run: Path) -> Path:
    """`bag`, or `bag_2`, ... if an earlier recorder of this run has died."""
    folder, number = run / "bag", 1
    while folder.exists():
        number += 1
        folder = run / f"bag_{number}"
    return folder


def main(args=None) -> int:
    return run_node(Recorder, args)


if __name__ == "__main__":
    sys.exit(main())
