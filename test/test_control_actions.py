"""Actions to commands and back: joint velocities, a table of them, a mobile base."""

import numpy as np
import pytest
from rig_cases import BASE, REACHER, config_of, rig_of, sensed_of

from jsac_ros.config import ActionParameters, ConfigError
from jsac_ros.control.actions import ActionPart, Actions
from jsac_ros.rig import Rig
from jsac_ros.spaces import ActionSpace
from jsac_ros.types import Command

TABLE = (0.0, 0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 1.0)


def arm_of(joints, **arm):
    """The part `arm` of a UR5 that moves these joints."""
    values = {f"actions__arm__{name}": value for name, value in arm.items()}
    return rig_of(REACHER, actions__arm__joints=joints, **values).actions.parts["arm"]


THREE = ("shoulder_pan_joint", "shoulder_lift_joint", "elbow_joint")


def test_scale_and_offset_reach_the_controlled_joints_only():
    part = arm_of(THREE, scale=(0.3, 0.5, 1.0), offset=(0.0, 0.1, 0.0))
    velocity = part.command(np.array([1.0, -1.0, 0.5]), None)
    np.testing.assert_allclose(velocity, [0.3, -0.4, 0.5, 0, 0, 0])
    np.testing.assert_allclose(part.action(velocity, None), [1.0, -1.0, 0.5], atol=1e-7)
    assert part.action(velocity, None).dtype == np.float32
    assert part.space == ActionSpace("arm", 3, "rad/s", low=(-0.3, -0.4, -1.0), high=(0.3, 0.6, 1.0))


def test_joints_are_named_in_any_order_with_or_without_their_prefix():
    part = rig_of(
        REACHER, robot__joint_prefix="left_", actions__arm__joints=("elbow_joint", "left_shoulder_pan_joint"),
        actions__arm__scale=(0.2, 0.4),
    ).actions.parts["arm"]  # fmt: skip
    np.testing.assert_allclose(part.command(np.array([1.0, 0.5]), None), [0.2, 0, 0.2, 0, 0, 0])
    assert arm_of(()).space.size == 6, "none named: all"


def test_actions_outside_the_unit_box_are_clipped_and_nan_passes():
    part = arm_of(THREE[:2])
    np.testing.assert_allclose(part.command(np.array([7.0, -7.0]), None)[:2], [0.3, -0.3])
    assert np.isnan(part.command(np.array([np.nan, 0.0]), None)[0])
    np.testing.assert_allclose(part.action(np.array([9.0, -9.0, 0, 0, 0, 0]), None), [1, -1])


def test_discrete_choices_are_rows_of_the_table():
    part = arm_of(THREE[:2], type="joint_velocity_table", scale=(0.2,), table=TABLE)
    assert (part.space.size, part.space.choices) == (1, 4)
    np.testing.assert_allclose(part.command(np.array([2.0]), None), [-0.2, 0.0, 0, 0, 0, 0])
    for choice in range(4):
        assert part.action(part.command(np.array([choice]), None), None) == [choice]
    assert part.action(np.array([-0.15, 0.02, 0, 0, 0, 0]), None) == [2], "the nearest"
    assert np.isnan(part.command(np.array([np.nan]), None)[:2]).all(), "safety refuses it by name"


def test_a_base_is_commanded_forward_and_round():
    rig = rig_of(BASE)
    part = rig.actions.parts["base"]
    np.testing.assert_allclose(part.command(np.array([0.5, -3.0]), None), [0.15, -2.0])
    np.testing.assert_allclose(part.action(np.array([0.15, -9.0]), None), [0.5, -1.0], atol=1e-7)
    assert rig.actions.rest.motion.shape == (2,) and rig.robot.motion_size == 2
    fastest = (0.3 + 2.0 * 0.235 / 2) / 0.036  # rad/s of a wheel
    np.testing.assert_allclose(part.joint_speed, fastest)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"scale": (0.3, 0.3)}, r"actions.arm.scale is \[0.3, 0.3\]; expected 1 or 5 finite values"),
        ({"offset": (0.1, 0.2, 0.3)}, r"actions.arm.offset is \[0.1, 0.2, 0.3\]; expected 1 or 5 finite values"),
        (
            {"type": "joint_velocity_table", "table": (1.0, 0.0, 1.0)},
            "actions.arm.table has 3 values; expected two rows or more of 5",
        ),
        (
            {"type": "joint_velocity_table", "table": (1.0,) * 5},
            "actions.arm.table has 5 values; expected two rows or more of 5",
        ),
        ({"type": "joint_velocity_table"}, "actions.arm.table is missing"),
        ({"joints": ("elbow",)}, r"actions.arm.joints is \['elbow'\]; expected different ones of"),
    ],
)
def test_wrong_shapes_are_named(fields, said):
    with pytest.raises(ConfigError, match=said):
        rig_of(REACHER, **{f"actions__arm__{name}": value for name, value in fields.items()})


# -- several parts -----------------------------------------------------------------------------------------------------


class Lamp(ActionPart):
    """A device of somebody else's."""

    device = "lamp"

    def __init__(self, name="light"):
        self.space = ActionSpace(name, 1, "lm")
        self.penalty = 0.25

    def command(self, action, sensed):
        return np.array([100.0 * action[0]])

    def action(self, command, sensed):
        return np.array([command[0] / 100.0], np.float32)


class Bulb(Lamp):
    class Parameters(ActionParameters):
        lumen: float = 10.0

    def __init__(self, name, parameters, rig):
        super().__init__(name)
        self.lumen = parameters.lumen
        assert len(rig.robot) == 6, "the robot is there already"


@pytest.fixture
def parts():
    rig = rig_of(
        REACHER, actions__arm__joints=THREE[:2], actions__hand__type="joint_velocity", actions__hand__joints=THREE[1:],
        actions__hand__scale=(0.1,),
    )  # fmt: skip
    return Actions(rig.actions.parts | {"light": Lamp()}, rig.robot), sensed_of(rig)


def test_parts_add_up_to_one_command(parts):
    actions, sensed = parts
    assert list(actions.parts) == ["arm", "hand", "light"] and len(actions.moving) == 2
    ones = {name: np.ones(part.space.size, np.float32) for name, part in actions.parts.items()}
    command = actions.command(ones, sensed)
    np.testing.assert_allclose(command.motion, [0.3, 0.4, 0.1, 0, 0, 0])
    assert command.outputs.keys() == {"lamp"} and command.outputs["lamp"] == [100]
    assert actions.penalty == 0.25, "what the action costs is taken from its reward"
    assert not actions.rest.motion.any() and actions.rest.outputs == {}, "at rest a device is left as it is"


@pytest.mark.parametrize(
    ("part", "method", "said"),
    [
        ("arm", "command", r"actions.arm commands shape \[1\]; expected \[6\]"),
        ("light", "command", r"actions.light commands shape \[2\]; expected \[1\]"),
        ("arm", "action", r"actions.arm is an action of shape \[1\]; expected \[2\]"),
    ],
)
def test_a_part_of_another_size_than_it_declares_is_refused(parts, monkeypatch, part, method, said):
    """One value for six joints would move them all."""
    actions, sensed = parts
    wrong = np.full(2 if part == "light" else 1, 0.1, np.float32)
    monkeypatch.setattr(actions.parts[part], method, lambda *_: wrong)
    ones = {name: np.ones(one.space.size, np.float32) for name, one in actions.parts.items()}
    with pytest.raises(ValueError, match=said):
        actions.action(actions.command(ones, sensed), sensed)


def test_a_device_that_a_command_leaves_out_has_no_action(parts):
    actions, sensed = parts
    action = actions.action(Command(np.array([0.3, 0, 0, 0, 0, 0]), {}), sensed)
    assert action["arm"].tolist() == [1, 0] and np.isnan(action["light"]).all()
    assert actions.action(Command(np.zeros(6), {"lamp": np.array([50.0])}), sensed)["light"] == [0.5]


def test_one_device_has_one_commander(parts):
    actions, _ = parts
    with pytest.raises(ConfigError, match="actions: 2 parts command 'lamp'; expected one"):
        Actions(actions.parts | {"other": Lamp("other")}, rig_of().robot)


def test_a_persons_hand_needs_a_part_that_moves_the_tool(parts):
    actions, _ = parts
    with pytest.raises(ValueError, match="action 'arm' does not take the tool's velocity; expected type 'twist'"):
        actions.of_tool(np.zeros(6), {"lamp": np.zeros(1)}, np.eye(3))


def test_a_part_of_a_labs_own_comes_in_by_its_path():
    config = config_of(REACHER, actions__light__type="test_control_actions:Bulb", actions__light__lumen=30.0)
    rig = Rig.of(config)
    assert rig.actions.parts["light"].lumen == 30.0 and rig.spaces.action_size == 6
    with pytest.raises(ConfigError, match="actions.light.lumens: unknown key; did you mean lumen"):
        config_of(REACHER, actions__light__type="test_control_actions:Bulb", actions__light__lumens=30.0)
