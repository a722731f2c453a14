"""Shipped configurations as whole systems with tiny networks: they start, act, store what they say, end and leave nothing."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from live_system import System, leftovers, tiny_config
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, JointState
from std_msgs.msg import Float64MultiArray

from jsac_ros.bags.writer import BagWriter
from jsac_ros.parameters import load
from jsac_ros.replay.store import FrameStore

pytestmark = pytest.mark.timeout(400)
FOLDER = Path(__file__).resolve().parent.parent / "config"
TINY = {
    "agent.conv_channels": (4, 4, 4, 4), "agent.latent_dim": 8, "agent.hidden": (16,), "replay.capacity": 5000,
    "replay.batch_size": 8, "replay.warmup_steps": 40, "realtime.learner_nice": 0, "realtime.replay_nice": 0,
}  # fmt: skip
SECONDS = 12


def ended(system: System, longest_s: float) -> System:
    """The system after its end, checked for what every run owes."""
    try:
        assert system.join(longest_s) == 0, system.words()
    finally:
        system.close()
    assert leftovers() == []
    assert "starting it again" not in system.output.read_text(), system.words()
    transitions, store = system.summary()["transitions"], FrameStore.read(system.folder / "replay")
    assert transitions["lost"] == 0
    assert store.count == transitions["sent"] == transitions["received"] and store.damaged() == []
    assert system.summary()["updates"] > 0 and (system.folder / "policy").is_dir()
    return system


def test_the_mobile_reacher(tmp_path):
    config = tiny_config(tmp_path, FOLDER / "create_reacher.yaml", TINY, task__episode_s=4.0)
    system = ended(System(config, "--duration", str(SECONDS)), SECONDS + 250)
    control = system.summary()["control"]
    ticks = control["ticks"] + control["missed"]  # to the end of a stop in order, which takes some seconds
    assert 0.85 < ticks / (SECONDS / 0.045) < 1.5
    assert system.counts["applied_action"] >= 0.9 * system.counts["policy_command"] > 0
    store = FrameStore.read(system.folder / "replay")
    assert {vector.name for vector in store.spaces.vectors} >= {"bumper", "battery"}
    assert np.ptp(store.rows["observation/battery"][store.live_slots()]) > 0
    assert store.count > SECONDS / 0.045 / 3


def test_a_recorded_humanoid_is_learned_from_and_nothing_is_commanded(tmp_path):
    steps = record_humanoid(tmp_path / "bag", seconds=8)
    config = tiny_config(tmp_path, FOLDER / "g1_shadow.yaml", TINY, bag__path=str(tmp_path / "bag"))
    system = ended(System(config), 350)
    assert system.counts["policy_command"] == system.counts["applied_action"] == 0
    assert steps - 3 <= system.summary()["transitions"]["sent"] <= steps, "every recorded frame but the first is a step"


def record_humanoid(folder: Path, seconds: int) -> int:
    """A recording with the topics that the configuration names; -> its frames."""
    config = load(FOLDER / "g1_shadow.yaml")
    camera, robot, rng = config.cameras["head"], config.robot, np.random.default_rng(0)
    middle, reach = np.array(config.actions.body.offset), np.array(config.actions.body.scale)
    writer = BagWriter(folder)
    for topic, kind in (
        (camera.topic, CompressedImage),
        (robot.joint_states_topic, JointState),
        (config.bag.action_topic, Float64MultiArray),
    ):
        writer.add_topic(topic, f"{kind.__module__.partition('.')[0]}/msg/{kind.__name__}")

    def write(topic: str, time_ns: int, message) -> None:
        if hasattr(message, "header"):
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(time_ns, 10**9)
        writer.write(topic, time_ns, serialize_message(message))

    frames = 30 * seconds
    for tick in range(2 * frames):
        time_ns = 10**18 + tick * 10**9 // 60
        position = middle + 0.5 * reach * np.sin(tick / 60)
        write(robot.joint_states_topic, time_ns, JointState(name=list(robot.joints), position=position.tolist()))
        write(config.bag.action_topic, time_ns, Float64MultiArray(data=position.tolist()))
        if tick % 2:
            image = cv2.resize(rng.integers(0, 256, (12, 16, 3), np.uint8), (camera.source_width, camera.source_height))
            jpeg = cv2.imencode(".jpg", image)[1].tobytes()
            write(camera.topic, time_ns + 1, CompressedImage(format="jpeg", data=jpeg))
    writer.close()
    return frames
