"""Resets in parts: in their order or together, with what they ask of a person, a service or the gripper."""

import numpy as np
import pytest
from rig_cases import REACHER, rig_of, sensed_of

from jsac_ros.config import ConfigError
from jsac_ros.sim.world import World
from jsac_ros.tasks.reset import AskPerson, CallService, Home, Settle, Then, Together, composed, start_pose

TOPICS = REACHER | {"task.type": "topics", "task.settle_s": 0.0}
GRIPPER = TOPICS | {"grippers.gripper.joint": "finger_joint", "grippers.gripper.stroke_m": 0.08}


class Robot:
    """Follows a reset perfectly, 25 times a second."""

    def __init__(self, rig, part, position=None):
        self.rig, self.part, self.said = rig, part, []
        outputs = {name: np.zeros(1) for name in rig.grippers}
        self.sensed = sensed_of(rig, 0.0, outputs=outputs, position=rig.robot.home if position is None else position)
        part.begin(self.sensed)

    def step(self, events=()):
        """-> whether the reset continues."""
        sensed = self.sensed
        command = self.part.step(sensed._replace(events=events))
        if command is None:
            return False
        self.said.append(self.part.reason)
        self.sensed = sensed._replace(
            time_s=sensed.time_s + 0.04, position=sensed.position + 0.04 * command.motion, velocity=command.motion,
            outputs=sensed.outputs | command.outputs,
        )  # fmt: skip
        return True

    def reasons(self, steps=1000):
        """To the end; -> what it was at, each once."""
        while steps and self.step():
            steps -= 1
        assert steps, f"it has not ended: {self.part.reason}"
        return list(dict.fromkeys(self.said))


def reset_of(base=TOPICS, seed=0, **task):
    rig = rig_of(base, **{f"task__{name}": value for name, value in task.items()})
    return rig, composed(rig.config.task, rig, np.random.default_rng(seed))


def test_parts_follow_in_their_order():
    waypoint = np.array(REACHER["robot.home"]) + 0.2
    rig, reset = reset_of(GRIPPER, reset=("release", "waypoints", "home"), waypoints=tuple(waypoint), settle_s=0.1)
    robot = Robot(rig, reset, rig.robot.home - 0.1)
    assert robot.reasons() == ["opening the gripper", "moving to a waypoint", "moving home", "settling"]
    assert robot.sensed.outputs["gripper"] == pytest.approx(0.08)
    np.testing.assert_allclose(robot.sensed.position, rig.robot.home, atol=0.01)
    assert not robot.sensed.velocity.any()


def test_a_tool_is_retracted_without_turning_and_no_faster_than_allowed():
    rig, reset = reset_of(reset=("retract", "home"), retract_m=(0.0, 0.0, 0.06), reset_speed_m_s=0.08, reset_s=0.1)
    robot, places, retracted = Robot(rig, reset, rig.robot.home + (0.05, 0.1, 0.1, -0.2, 0.0, 0.0)), [], 0
    position, rotation = rig.robot.forward(robot.sensed.position, "base_link")
    while robot.step():
        places.append(rig.robot.forward(robot.sensed.position, "base_link"))
        retracted += reset.reason == "retracting the tool"
    speeds = np.linalg.norm(np.diff([place for place, _ in places], axis=0), axis=1) / 0.04
    assert 0.07 < speeds.max() < 0.09
    np.testing.assert_allclose(places[retracted - 1][0], position + (0.0, 0.0, 0.06), atol=2e-3)
    assert max(np.abs(turned - rotation).max() for _, turned in places[:retracted]) < 0.01
    np.testing.assert_allclose(robot.sensed.position, rig.robot.home, atol=0.01)


@pytest.mark.parametrize("jerk", [5.0, 20.0, 60.0])
def test_the_way_home_under_a_jerk_limit_is_one_move_that_the_gate_leaves_as_it_is(jerk):
    """Planned by the acceleration limit alone it lagged behind and began again up to 14 times, which took up to 19 s."""
    world = World(rig_of(safety__max_joint_jerk_rad_s3=jerk), seed=0)
    world.reset(world.rig.robot.home + np.array((0.3, 0.25, -0.3, 0.2, -0.4, 0.0)))
    home = Home(world.rig, 0.8)
    home.begin(world.view().sensed)
    planned, rules = home._move, set()
    while (command := home.step(world.view().sensed)) is not None and world.time_s < 20:
        world.step(command)
        rules.update(world.rules)
    assert home._move is planned and world.time_s <= planned.duration_s + 0.5 and not rules
    np.testing.assert_allclose(world.sim.q, world.rig.robot.home, atol=0.01)


def test_a_person_is_told_what_to_do_and_waited_for():
    rig, reset = reset_of(reset=("person",), ask="put the cube back")
    robot = Robot(rig, reset)
    assert all(robot.step() for _ in range(50)) and robot.step(events=("success",))
    assert set(robot.said) == {"put the cube back (then: jsac-ros continue)"}
    assert not robot.step(events=("continue",))


def test_a_service_is_called_until_it_has_succeeded():
    rig, reset = reset_of(reset=("service",), service="new_target")
    robot = Robot(rig, reset)
    assert robot.step() and reset.service == "new_target"
    reset.answered(False, "no cube in sight")
    assert robot.step() and reset.service == "", "a moment later"
    assert reset.reason == "the service new_target answered: no cube in sight"
    for _ in range(30):
        robot.step()
    assert reset.service == "new_target"
    reset.answered(True, "")
    assert not robot.step()


def test_together_is_over_when_all_are_and_the_robot_moves_meanwhile():
    rig = rig_of(TOPICS)
    home, call = rig_of(TOPICS).task.reset(), CallService(rig, "new_target")
    robot = Robot(rig, Together(AskPerson(rig, "look"), call, Settle(rig, 0.2)))
    assert robot.part.service == "new_target" and robot.step()
    assert "look" in robot.part.reason and "waiting for the service new_target" in robot.part.reason
    robot.part.answered(True, "")
    assert robot.step(events=("continue",)) and robot.part.reason == "settling"
    moving = Robot(rig, Together(CallService(rig, "new_target"), home), rig.robot.home + 0.3)
    assert moving.step() and moving.step() and moving.sensed.velocity.any() and moving.part.reason == "moving home"


def test_nothing_is_a_reset_that_is_over():
    rig = rig_of(TOPICS)
    assert Robot(rig, Then()).reasons() == []


def test_a_gripper_that_is_told_to_open_is_waited_for():
    rig, reset = reset_of(GRIPPER, reset=("release",))
    command = reset.step(sensed_of(rig, outputs={"gripper": np.zeros(1)}))
    assert command.outputs["gripper"] == pytest.approx(0.08) and not command.motion.any()
    assert reset.step(sensed_of(rig, outputs={"gripper": np.array([0.05])})) is not None
    assert reset.step(sensed_of(rig, outputs={"gripper": np.array([0.075])})) is None


def test_a_robot_that_is_pushed_off_is_brought_back_before_the_move_home_is_over():
    rig = rig_of(TOPICS)
    move, home = Home(rig, 2.0), rig.robot.home
    move.begin(sensed_of(rig, 0.0))
    assert (move.step(sensed_of(rig, 5.0, position=home + 0.1)).motion < 0).all()
    assert move.step(sensed_of(rig, 5.0, velocity=np.full(6, 0.3))) is not None, "there, but not at rest"
    assert move.step(sensed_of(rig, 5.0)) is None


def test_an_episode_begins_at_random_around_home():
    rig, _ = reset_of(home_noise=(0.1, 0.0, 0.1, 0.0, 0.1, 0.0))
    random = np.random.default_rng(0)
    off = np.array([start_pose(rig.config.task, rig, random) for _ in range(200)]) - rig.robot.home
    assert np.abs(off).max() <= 0.1 and (np.ptp(off[:, ::2], axis=0) > 0.18).all() and not off[:, 1::2].any()
    rig, reset = reset_of(home_noise=(0.1,) * 6, seed=3)
    robot = Robot(rig, reset)
    robot.reasons()
    wanted = start_pose(rig.config.task, rig, np.random.default_rng(3))
    np.testing.assert_allclose(robot.sensed.position, wanted, atol=0.01)


def test_a_tool_begins_at_random_around_home_and_turns_about_the_vertical_alone():
    rig, _ = reset_of(tool_noise=(0.03, 0.02, 0.01, 0.3))
    home, rotation = rig.robot.forward(rig.robot.home, "base_link")
    random = np.random.default_rng(0)
    for _ in range(50):
        position, turned = rig.robot.forward(start_pose(rig.config.task, rig, random), "base_link")
        assert (np.abs(position - home) <= np.array((0.03, 0.02, 0.01)) + 1e-4).all()
        np.testing.assert_allclose((turned @ rotation.T)[2], (0, 0, 1), atol=1e-4)
    far, _ = reset_of(tool_noise=(5e3, 5e3, 5e3, 0.0))  # out of reach
    np.testing.assert_array_equal(start_pose(far.config.task, far, random), far.robot.home)


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ({"reset": ("person",)}, "reset has 'person', but ask is empty"),
        ({"reset": ("service",)}, "reset has 'service', but service is empty"),
        ({"reset": ("waypoints",)}, "reset has 'waypoints', but waypoints is empty"),
        ({"reset": ("waypoints",), "waypoints": (0.0,) * 7}, "task.waypoints has 7 values; expected finite poses of 6 joints"),
        ({"home_noise": (0.1, 0.1)}, "task.home_noise is [0.1, 0.1]; expected 6 values, 0 or more"),
        ({"home_noise": (-0.1,) * 6}, "expected 6 values, 0 or more"),
        ({"retract_m": (0.1,)}, "task.retract_m is [0.1]; expected x, y, z in m"),
        ({"reset": ("retract",)}, "reset has 'retract', but retract_m is empty"),
        ({"tool_noise": (0.1,) * 3}, "task.tool_noise is [0.1, 0.1, 0.1]; expected x, y, z in m and yaw in rad, 0 or more"),
        ({"reset": ("release",)}, "task.reset is ['release']; there is no gripper to open"),
        ({"reset": ("dance",)}, "task.reset"),
    ],
)
def test_what_does_not_fit_is_named(task, said):
    with pytest.raises(ConfigError) as refused:
        reset_of(**task)
    assert said in str(refused.value)


def test_a_base_has_no_home():
    with pytest.raises(ConfigError, match="a mobile base has no home to move to"):
        rig_of(
            {"cameras.front.height": 36, "cameras.front.width": 48, "robot.type": "diff_drive", "robot.interface": "twist",
             "actions.base.type": "base_velocity", "actions.base.scale": (0.3, 2.0), "task.type": "topics"}
        )  # fmt: skip
