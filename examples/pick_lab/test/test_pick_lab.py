"""The bottle in the simulator, behind the safety gate, without ROS and without a clock."""

from pathlib import Path

import numpy as np
import pytest

from jsac_ros.config import ConfigError
from jsac_ros.parameters import load
from jsac_ros.rig import Rig
from jsac_ros.sim.world import World

CONFIG = Path(__file__).parent.parent / "config" / "pick_lab.yaml"
KINDS = ("robot", "action", "task", "sim")  # everything but the learning
NECK_M = np.array((0.0, 0.0, 0.035))  # over the bottle's centre
FLANGE_TO_TIP_M = np.array((0.0, 0.0, 0.1726))  # pointing down


@pytest.fixture
def world():
    world = World(Rig.of(load(CONFIG, {}, KINDS)), seed=1)
    yield world
    world.close()


def test_the_policy_sees_two_cameras_a_wrench_and_the_gripper(world):
    spaces = world.rig.spaces
    assert [image.name for image in spaces.images] == ["front", "wrist"]
    assert {vector.name: vector.size for vector in spaces.vectors}["wrench"] == 6
    assert {part.name: part.size for part in spaces.actions} == {"arm": 3, "gripper": 1}


def test_over_the_neck_down_close_up_is_a_success(world):
    world.reset()
    rig, task, before = world.rig, world.rig.task, world.view().sensed
    task.begin(before)
    rig.actions.begin(before)
    closed_for = 0
    for _ in range(rig.episode_steps):
        tip = rig.robot.forward(before.position, "base_link")[0] - FLANGE_TO_TIP_M
        way_m = before.sensors["bottle"] + NECK_M - tip
        if closed_for > 5:
            direction, grip = np.array((0.0, 0.0, 0.5)), -1.0
        elif closed_for or np.abs(way_m).max() < 0.008:
            direction, grip = np.zeros(3), -1.0
            closed_for += 1
        else:  # to the side first, then down
            over = np.linalg.norm(way_m[:2]) < 0.012
            direction, grip = 5.0 * (way_m if over else way_m * (1.0, 1.0, 0.0)), 1.0
        action = {"arm": np.clip(direction, -1.0, 1.0).astype(np.float32), "gripper": np.array([grip], np.float32)}
        world.step(rig.actions.command(action, before))
        after = world.view().sensed
        score = task.score(before, action, after)
        before = after
        if score.terminated:
            break
    assert score.success


def test_a_wrench_that_is_not_configured_is_named():
    with pytest.raises(ConfigError, match="task.wrench is 'elbow'"):
        Rig.of(load(CONFIG, {"task.wrench": "elbow"}, KINDS))
