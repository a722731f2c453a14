"""Named parts of observations, actions and batches: order, sizes, what is refused by name."""

import json
from dataclasses import replace

import numpy as np
import pytest
from replay_cases import SPACES, VARIANTS
from rig_cases import rig_of

from jsac_ros.spaces import ActionSpace, ImageSpace, Spaces, VectorSpace, check_array
from jsac_ros.types import Batch, batch_layout, empty_batch, empty_observation

WRIST, SCENE = ImageSpace("wrist", 4, 5, 3, stack=3), ImageSpace("scene", 3, 2, 1, stack=2)
JOINTS, WRENCH = VectorSpace("joint_position", 3, "rad"), VectorSpace("wrench", 6, "N")
ARM, GRIPPER = ActionSpace("arm", 2), ActionSpace("gripper", 1)


@pytest.fixture
def spaces():
    return Spaces.of([WRIST, SCENE], [WRENCH, JOINTS], [GRIPPER, ARM], ["wrist", "joints"])


def test_every_kind_is_in_the_order_of_its_names(spaces):
    assert list(spaces.observation) == ["scene", "wrist", "joint_position", "wrench"]
    assert [part.name for part in spaces.actions] == ["arm", "gripper"] and spaces.sources == ("joints", "wrist")
    assert spaces == Spaces.of([SCENE, WRIST], [JOINTS, WRENCH], [ARM, GRIPPER], ["joints", "wrist"])


def test_sizes(spaces):
    assert (WRIST.frame_shape, WRIST.shape, SCENE.shape) == ((4, 5, 3), (4, 5, 9), (3, 2, 2))
    assert (spaces.stack, spaces.vector_size, spaces.action_size, spaces.choices) == (3, 9, 3, 0)
    assert Spaces.of(vectors=[JOINTS]).stack == 1, "a system without a camera has no images"
    assert Spaces.of(actions=[ActionSpace("move", 1, choices=5)]).choices == 5


def test_a_flat_action_holds_the_parts_in_order_and_is_split_again(spaces):
    action = {"gripper": np.array([3.0], np.float32), "arm": np.array([1.0, 2.0], np.float32)}
    flat = spaces.flat_action(action)
    assert flat.tolist() == [1, 2, 3] and flat.dtype == np.float32
    rows = spaces.split_action(np.stack([flat, 2 * flat]))
    assert rows["arm"].tolist() == [[1, 2], [2, 4]] and rows["gripper"].tolist() == [[3], [6]]


@pytest.mark.parametrize("variant", [SPACES, *VARIANTS.values()], ids=["usual", *VARIANTS])
def test_spaces_survive_json(variant):
    assert Spaces.from_json(json.loads(json.dumps(variant.to_json()))) == variant
    assert variant.difference(variant) == ""


@pytest.mark.parametrize("data", [None, [], {}, {"images": 3}, {"images": [{"name": "a"}], "vectors": [], "actions": []}])
def test_data_that_are_no_spaces_are_refused_in_one_line(data):
    with pytest.raises(ValueError, match="spaces cannot be read: ") as raised:
        Spaces.from_json(data)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"images": [WRIST], "vectors": [VectorSpace("wrist", 2)]}, "observation 'wrist' is declared 2 times; expected once"),
        ({"actions": [ARM, ARM]}, "action 'arm' is declared 2 times"),
        ({"sources": ["joints", "joints"]}, "source 'joints' is declared 2 times"),
        ({"vectors": [VectorSpace("Wrench", 2)]}, "observation name is 'Wrench'; expected a-z"),
        ({"vectors": [VectorSpace("a" * 33, 2)]}, "at most 32 characters"),
        ({"actions": [ActionSpace("a/b", 2)]}, "action name is 'a/b'"),
        ({"images": [ImageSpace("wrist", 0, 5)]}, "image 'wrist': height is 0; expected a whole number, at least 1"),
        ({"images": [ImageSpace("wrist", 4, 5.0)]}, "image 'wrist': width is 5.0"),
        ({"images": [ImageSpace("wrist", 4, 5, stack=0)]}, "image 'wrist': stack is 0"),
        ({"images": [ImageSpace("wrist", 4, 5, channels=4)]}, "image 'wrist': channels is 4; expected 1 or 3"),
        ({"vectors": [VectorSpace("wrench", 0)]}, "'wrench': size is 0"),
        ({"vectors": [VectorSpace("wrench", True)]}, "'wrench': size is True"),
        ({"vectors": [VectorSpace("wrench", 2, low=(0.0,))]}, "vector 'wrench': low has 1 values; expected 2 numbers or none"),
        ({"vectors": [VectorSpace("wrench", 1, high=(float("nan"),))]}, "vector 'wrench': high has 1 values"),
        (
            {"actions": [ActionSpace("move", 2, choices=3)]},
            "action 'move': 3 choices of size 2; expected two or more of size 1",
        ),
        ({"actions": [replace(ARM, low=(1.0,), high=(2.0,))]}, "action 'arm': low has 1 values; expected 2 numbers or none"),
        ({"actions": [replace(ARM, low=(0.0, 2.0), high=(1.0, 1.0))]}, "expected low <= high, or neither"),
        ({"vectors": [replace(JOINTS, low=(0.0,) * JOINTS.size)]}, "expected low <= high, or neither"),
        ({"actions": [ActionSpace("move", 1, choices=1)]}, "action 'move': 1 choices of size 1"),
    ],
)
def test_what_no_part_can_be_is_refused_by_name(parts, said):
    with pytest.raises(ValueError) as raised:
        Spaces.of(**parts)
    assert said in str(raised.value) and "\n" not in str(raised.value)


def observation_of(spaces, **changes):
    return {name: array for name, array in (empty_observation(spaces) | changes).items() if array is not None}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"wrist": None}, "observation 'wrist' is missing; expected scene, wrist, joint_position, wrench"),
        ({"head": np.zeros(3, np.float32)}, "observation 'head' is unknown"),
        ({"wrench": np.zeros(5, np.float32)}, "observation 'wrench' is float32[5]; expected float32[6]"),
        ({"wrench": np.zeros(6)}, "observation 'wrench' is float64[6]; expected float32[6]"),
        ({"wrist": np.zeros((4, 5, 3), np.uint8)}, "observation 'wrist' is uint8[4, 5, 3]; expected uint8[4, 5, 9]"),
        ({"wrist": np.zeros((4, 5, 9), np.float32)}, "observation 'wrist' is float32[4, 5, 9]; expected uint8[4, 5, 9]"),
    ],
)
def test_an_observation_of_other_parts_is_refused_by_name(spaces, changes, said):
    spaces.check_observation(observation_of(spaces))
    with pytest.raises(ValueError) as raised:
        spaces.check_observation(observation_of(spaces, **changes))
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ({"arm": np.zeros(2, np.float32)}, "action has parts arm; expected arm, gripper"),
        (
            {"arm": np.zeros(2, np.float32), "grip": np.zeros(1, np.float32)},
            "action has parts arm, grip; expected arm, gripper",
        ),
        (
            {"arm": np.zeros(3, np.float32), "gripper": np.zeros(1, np.float32)},
            "action 'arm' is float32[3]; expected float32[2]",
        ),
        ({"arm": np.zeros(2), "gripper": np.zeros(1, np.float32)}, "action 'arm' is float64[2]; expected float32[2]"),
    ],
)
def test_an_action_of_other_parts_is_refused_by_name(spaces, action, said):
    with pytest.raises(ValueError) as raised:
        spaces.check_action(action)
    assert said in str(raised.value)


def test_the_bounds_of_an_action_are_those_of_its_command():
    (arm,) = rig_of(actions__arm__scale=(0.3,), actions__arm__offset=(0.1,)).spaces.actions
    assert arm.unit == "rad/s" and arm.dtype == "float32"
    np.testing.assert_allclose((arm.low, arm.high), (np.full(arm.size, -0.2), np.full(arm.size, 0.4)))
    assert arm.command == "-0.2 to 0.4 rad/s"


def test_an_action_with_another_offset_is_another_action():
    """A store of the one would be learned from as if it were of the other."""
    ours, theirs = (rig_of(actions__arm__offset=(offset,)).spaces for offset in (0.0, 0.1))
    assert ours.difference(theirs).startswith("action 'arm': low is (-0.3,")


@pytest.mark.parametrize(
    ("unit", "found"),
    [
        ("0.3 m/s, 1e-05 rad/s", ActionSpace("arm", 2, "m/s, rad/s", low=(-0.3, -1e-05), high=(0.3, 1e-05))),
        ("0.3 rad/s, 0.5 rad/s", ActionSpace("arm", 2, "rad/s", low=(-0.3, -0.5), high=(0.3, 0.5))),
        ("lm", ActionSpace("arm", 2, "lm")),
    ],
)
def test_an_action_that_was_written_without_bounds_gets_them_from_its_unit(unit, found):
    old = Spaces.of(actions=[ActionSpace("arm", 2, unit), ActionSpace("gripper", 1, "open to 0.085 m")]).to_json()
    for part in old["actions"]:
        del part["low"], part["high"]
    assert Spaces.from_json(old).actions == (found, ActionSpace("gripper", 1, "m", low=(0.0,), high=(0.085,)))


def test_what_is_no_array_is_refused():
    with pytest.raises(ValueError, match="reward is object"):
        check_array("reward", None, (), np.float32)


def test_a_difference_is_named_part_by_part(spaces):
    other = Spaces.of(
        [WRIST, ImageSpace("scene", 3, 2, 3, stack=2)], [JOINTS], [ARM, ActionSpace("gripper", 1, "m")], ["joints"]
    )
    assert spaces.difference(other).split("; ") == [
        "image 'scene': channels is 1, expected 3",
        "vector 'wrench' is not expected",
        "action 'gripper': unit is '', expected 'm'",
        "sources are joints, wrist", "expected joints",
    ]  # fmt: skip
    assert "vector 'wrench' is missing" in other.difference(spaces)


# -- batches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_step", [1, 3])
def test_a_batch_holds_both_stacks_of_every_image(spaces, n_step):
    batch = empty_batch(spaces, 7, n_step)
    frames = {1: (4, 3), 3: (6, 4)}[n_step]  # S + 1, or two stacks side by side
    assert batch.frames["wrist"].shape == (7, frames[0], 4, 5, 3)
    assert batch.frames["scene"].shape == (7, frames[1], 3, 2, 1)
    assert batch.next_vectors["wrench"].shape == (7, 6) and batch.action["gripper"].shape == (7, 1)
    assert {name: array.dtype.name for name, array in batch.fields.items()} == {
        name: dtype for name, (_, dtype) in batch_layout(spaces, 7, n_step).items()
    }


def test_a_batch_and_its_flat_fields_are_one(spaces):
    layout = batch_layout(spaces, 2)
    assert list(layout)[:4] == ["frames/scene", "frames/wrist", "vectors/joint_position", "vectors/wrench"]
    flat = {path: np.full(shape, k, dtype) for k, (path, (shape, dtype)) in enumerate(layout.items())}
    batch = Batch.of(flat)
    assert list(batch.fields) == list(layout)
    assert all(batch.fields[path] is array for path, array in flat.items())
    assert batch.rows(slice(1, 2)).frames["wrist"].shape[0] == 1


def test_an_empty_observation_is_one_of_its_spaces(spaces):
    spaces.check_observation(empty_observation(spaces))
    assert empty_observation(Spaces.of(vectors=[JOINTS])).keys() == {"joint_position"}
