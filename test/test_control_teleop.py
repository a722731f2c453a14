"""A person's device: what its axes and buttons become, and that nothing counts that was held before it was heard."""

from pathlib import Path

import numpy as np
import pytest
from rig_cases import BASE, REACHER, rig_of

from jsac_ros.config import ConfigError
from jsac_ros.control import teleop
from jsac_ros.control.teleop import Keys, Mapping, Reading, Teleop

FIRST, ENABLE, TAKE_OVER, OPEN, CLOSE, SUCCESS, FAILURE, STOP = range(8)
PAD = {
    "source": "joy", "topic": "joy", "axes": {"x": {"axis": 0}, "z": {"axis": 1, "scale": -2.0}},
    "buttons": {
        "enable": ENABLE, "take_over": TAKE_OVER, "open": OPEN, "close": CLOSE, "success": SUCCESS, "failure": FAILURE,
        "emergency_stop": STOP,
    },
}  # fmt: skip
ARM = {
    "robot.type": "ur5e", "robot.home": (0.0, -1.4822, 1.8725, -1.9611, -1.5708, 1.5708), "task.type": "shadow",
    "actions.arm.type": "twist", "actions.arm.axes": ("x", "y", "z"), "actions.gripper.type": "gripper",
    "grippers.gripper.stroke_m": 0.085,
}  # fmt: skip


class Pad:
    """A device that is heard every 50 ms."""

    def __init__(self, base=ARM, **mapping):
        self.now_s = 10.0
        self.teleop = Teleop(Mapping.model_validate(PAD | mapping), rig_of(base).actions)

    def hear(self, *buttons, axes=(0.0, 0.0), after_s=0.05):
        self.now_s += after_s
        return self.teleop.hear(Reading(np.array(axes), frozenset(buttons)), self.now_s)


@pytest.fixture
def pad():
    pad = Pad()
    pad.hear()
    return pad


def test_axes_move_the_directions_that_they_are_named_for_while_enable_is_held(pad):
    said = pad.hear(ENABLE, axes=(1.0, 0.55))
    assert said.holds and said.action.keys() == {"arm"}, "the gripper stays as it is"
    np.testing.assert_allclose(said.action["arm"], [1.0, 0.0, -1.0])  # 0.55 is half way beyond the dead zone, twice
    assert not pad.hear(ENABLE, axes=(0.09, 0.0)).action["arm"].any()
    let_go = pad.hear(axes=(1.0, 1.0))
    assert let_go.holds and not let_go.action["arm"].any(), "the person rests"


def test_take_over_hands_back_and_enable_counts_again_when_it_is_pressed_again(pad):
    assert not pad.hear(axes=(1.0, 0.0)).holds
    assert pad.hear(TAKE_OVER).holds and pad.hear(TAKE_OVER).holds and pad.hear().holds
    assert pad.hear(ENABLE, axes=(1.0, 0.0)).action["arm"][0] == 1.0
    back = pad.hear(ENABLE, TAKE_OVER, axes=(1.0, 0.0))
    assert not back.holds and back.action == {}
    assert not pad.hear(ENABLE, axes=(1.0, 0.0)).holds
    pad.hear()
    assert pad.hear(ENABLE).holds


def test_the_gripper_stays_as_it_is_until_a_button_says_otherwise(pad):
    pad.hear(ENABLE)
    assert pad.hear(ENABLE, CLOSE).action["gripper"] == [-1.0]
    assert pad.hear(ENABLE).action["gripper"] == [-1.0], "a short press is not missed between two ticks"
    assert pad.hear(ENABLE, OPEN).action["gripper"] == [1.0]
    pad.hear(TAKE_OVER)
    pad.hear()
    assert "gripper" not in pad.hear(ENABLE).action, "nor does it jump at the next takeover"


def test_a_button_held_at_the_start_counts_once_it_was_let_go():
    pad = Pad()
    for _ in range(20):
        said = pad.hear(ENABLE, TAKE_OVER, SUCCESS, axes=(1.0, 0.0))
        assert not said.holds and said.verbs == ()
    pad.hear(ENABLE)
    assert pad.hear(ENABLE, SUCCESS).verbs == ("success",) and not pad.hear(ENABLE).holds
    pad.hear()
    assert pad.hear(ENABLE, axes=(1.0, 0.0)).action["arm"].any()


def test_a_stick_off_centre_at_the_start_counts_once_it_was_at_rest():
    pad = Pad()
    pad.hear(axes=(0.8, 0.0))
    assert not pad.hear(ENABLE, axes=(0.8, 0.0)).action["arm"].any()
    pad.hear(ENABLE)
    assert pad.hear(ENABLE, axes=(0.8, 0.0)).action["arm"].any()


def test_a_device_that_comes_back_begins_anew(pad):
    assert pad.hear(ENABLE, axes=(1.0, 0.0)).action["arm"].any()
    said = pad.hear(ENABLE, axes=(1.0, 0.0), after_s=1.0)
    assert said.holds and not said.action["arm"].any(), "the person who had taken over rests"
    pad.hear()
    assert pad.hear(ENABLE, axes=(1.0, 0.0)).action["arm"].any()


def test_buttons_say_a_verb_once_success_and_failure_at_once_neither_and_stop_even_when_held_at_the_start(pad):
    assert pad.hear(SUCCESS).verbs == ("success",) and pad.hear(SUCCESS).verbs == ()
    pad.hear()
    assert pad.hear(SUCCESS, FAILURE, STOP).verbs == ("emergency_stop",)
    assert Pad().hear(STOP, SUCCESS).verbs == ("emergency_stop",)


def test_without_buttons_moving_takes_over_and_rest_hands_back():
    pad = Pad(buttons={}, hand_back_s=0.22)
    assert not pad.hear().holds
    assert pad.hear(axes=(0.5, 0.0)).holds
    assert [pad.hear().holds for _ in range(6)] == [True] * 4 + [False] * 2


def test_with_enable_alone_holding_it_takes_over():
    pad = Pad(buttons={"enable": ENABLE}, hand_back_s=0.0)
    pad.hear()
    assert pad.hear(ENABLE).holds and not pad.hear().holds


def test_keys_count_as_held_for_a_moment():
    keys = Keys()
    keys.press("i", 1.0)
    assert keys.reading(1.2).buttons == {"i"} and not keys.reading(1.4).buttons


@pytest.mark.parametrize("base", [ARM, REACHER, BASE], ids=["twist", "joints", "base"])
@pytest.mark.parametrize("name", ["gamepad", "spacemouse", "keyboard"])
def test_shipped_mappings_move_every_value_of_every_kind_of_action(name, base):
    mapping, actions = teleop.load(name), rig_of(base).actions
    device, now_s, moved = Teleop(mapping, actions), 0.0, set()
    enable = {mapping.buttons["enable"]} if "enable" in mapping.buttons else set()
    for axis in mapping.axes.values():
        axes = np.zeros(8)
        axes[max(axis.axis, 0)] = float(axis.axis >= 0)
        pressed = enable | ({axis.plus} if axis.axis < 0 else set())
        for reading in (Reading(np.zeros(8), frozenset()), Reading(axes, frozenset(pressed))):
            now_s += 0.05
            said = device.hear(reading, now_s)
        (values,) = (said.action[part.space.name] for part in actions.moving)
        moved |= set(np.flatnonzero(values).tolist())
    assert moved == set(range(actions.moving[0].space.size))


@pytest.mark.parametrize(
    "base, part", [(REACHER, {"actions.arm.type": "joint_velocity_table", "actions.arm.table": (0.0,) * 10})]
)
def test_what_a_person_cannot_drive_is_refused(base, part):
    with pytest.raises(ConfigError, match=r"person\.by is 'device'; actions\.arm chooses from a table"):
        Pad(base | part)
    with pytest.raises(ConfigError, match="expected some of x, y, z"):
        Pad(axes={"roll": {"axis": 1}}, base=ARM)


def test_a_device_that_is_not_the_mappings_is_refused(pad):
    with pytest.raises(ValueError, match="device has 1 axes; expected axis 1 for z"):
        pad.hear(axes=(0.0,))
    with pytest.raises(ValueError, match="axis 0 is nan; expected a finite number"):
        pad.hear(axes=(np.nan, 0.0))


@pytest.mark.parametrize(
    "text, finding",
    [
        ("source: joy\ntopic: joy\naxes: {}\n", "axes"),
        ("source: mouse\ntopic: joy\naxes: {x: {axis: 1}}\n", "source"),
        ("source: joy\ntopic: joy\naxes: {x: {axis: 1, plus: 3}}\n", "either an axis, or plus and minus"),
        ("source: joy\ntopic: joy\naxes: {x: {axis: 1}}\nbuttons: {fire: 1}\n", "buttons.fire"),
        ("- 1\n", "person.mapping"),
    ],
)
def test_a_wrong_mapping_is_named_in_one_line(tmp_path, text, finding):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        teleop.load(str(file))
    assert finding in str(caught.value) and str(file) in str(caught.value) and "\n" not in str(caught.value).strip()


def test_an_unknown_mapping_is_named():
    with pytest.raises(
        ConfigError, match="person.mapping is 'wheel': unknown; expected a file or one of gamepad, keyboard, leader, spacemouse"
    ):
        teleop.load("wheel")
    shipped = Path(__file__).resolve().parent.parent / "config" / "teleop"
    assert {file.stem for file in shipped.glob("*.yaml")} == {"gamepad", "spacemouse", "keyboard", "leader"}
