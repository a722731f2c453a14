"""The wire form of a transition: everything that goes in comes out, with rclpy's classes and with those of a recording."""

import numpy as np
import pytest
from replay_cases import SPACES, VARIANTS, make_transition, same

from jsac_ros.bags import definitions
from jsac_ros.bags.export import CLASSES as RECORDED
from jsac_ros.messages import from_message, from_outputs, to_message, to_outputs
from jsac_ros.spaces import ImageSpace, Spaces

KIND = "jsac_ros/msg/Transition"


def through_ros(message):
    """Over the wire: serialised and read again by rclpy."""
    from rclpy.serialization import deserialize_message, serialize_message

    return deserialize_message(serialize_message(message), type(message))


def through_a_recording(message):
    return definitions.known().deserialize_cdr(definitions.known().serialize_cdr(message, KIND), KIND)


def ways():
    pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")
    from jsac_ros.nodes.transitions import CLASSES

    return {"ros": (CLASSES, through_ros), "recording": (RECORDED, through_a_recording)}


@pytest.fixture(params=["ros", "recording"])
def way(request):
    return ways()[request.param]


@pytest.mark.parametrize("variant", VARIANTS)
def test_all_comes_back(way, variant):
    classes, through = way
    spaces = VARIANTS[variant]
    sent = make_transition(
        spaces, session=2**64 - 1, sequence=11, episode=3, step=9, policy_version=-1, stamp_ns=1_700_000_000_123_456_789,
        is_last=True, events=("success", "discard"),
    )  # fmt: skip
    message = through(to_message(sent, classes))
    assert same(sent, from_message(message, spaces))
    assert message.oldest_sequence == 11


def test_what_is_sent_is_what_a_recording_of_it_holds():
    (ros, _), _ = ways().values()
    from rclpy.serialization import serialize_message

    spaces = VARIANTS["two images of two stacks"]
    sent = make_transition(spaces, events=("success",))
    recorded = definitions.known().deserialize_cdr(serialize_message(to_message(sent, ros)), KIND)
    assert same(sent, from_message(recorded, spaces))


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_keeps_colours_where_they_are(way, channels):
    classes, through = way
    spaces = Spaces.of([ImageSpace("wrist", 16, 24, channels)])
    frame = np.full((16, 24, channels), [200, 20, 90][:channels], np.uint8)
    sent = make_transition(spaces)._replace(frames={"wrist": frame})
    back = from_message(through(to_message(sent, classes, jpeg=True)), spaces)
    assert np.abs(back.frames["wrist"].astype(int) - frame).max() < 8


def test_parts_in_any_order_are_taken(way):
    classes, through = way
    spaces = VARIANTS["several vectors and actions"]
    message = to_message(make_transition(spaces), classes)
    for parts in (message.observation, message.action, message.executed, message.sources):
        parts.reverse()
    assert same(from_message(through(message), spaces), make_transition(spaces))


def a_float_more(classes):
    return classes.make("Vector", name="wrench", values=classes.array(np.zeros(7, np.float32)))


@pytest.mark.parametrize(
    "change, expected",
    [
        (lambda m, c: m.frames.clear(), "frame 'scene' is missing; expected scene, wrist"),
        (lambda m, c: m.frames.append(m.frames[0]), "frame 'scene' is there twice"),
        (lambda m, c: setattr(m.frames[1], "name", "hand"), "frame 'hand' is unknown; expected scene, wrist"),
        (lambda m, c: setattr(m.frames[1], "name", "x" * 10**6), "'... is unknown; expected scene, wrist"),
        (lambda m, c: setattr(m.frames[1], "width", 6), "frame 'wrist' is [4, 6, 3]; expected [4, 5, 3]"),
        (lambda m, c: setattr(m.frames[1], "height", 65535), "frame 'wrist' is [65535, 5, 3]"),
        (lambda m, c: setattr(m.frames[1], "data", m.frames[0].data), "frame 'wrist' has 6 bytes; expected 60"),
        (lambda m, c: setattr(m.frames[1], "encoding", "gif"), "encoding is 'gif'; expected 'raw' or 'jpeg'"),
        (lambda m, c: setattr(m.frames[1], "encoding", "jpeg"), "frame 'wrist': jpeg of 60 bytes: "),
        (lambda m, c: m.observation.append(a_float_more(c)), "observation 'wrench' is unknown; expected joint_position"),
        (lambda m, c: m.observation.clear(), "observation 'joint_position' is missing"),
        (lambda m, c: setattr(m.observation[0], "values", m.action[0].values), "'joint_position' has 2 values; expected 3"),
        (lambda m, c: setattr(m.action[0], "values", m.observation[0].values), "action 'arm' has 3 values; expected 2"),
        (lambda m, c: m.executed.clear(), "executed 'arm' is missing; expected arm"),
        (lambda m, c: m.sources.pop(), "source 'wrist' is missing; expected joints, scene, wrist"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(way, change, expected):
    classes, through = way
    spaces = VARIANTS["two images of two stacks"]
    message = to_message(make_transition(spaces, sequence=7), classes)
    change(message, classes)
    with pytest.raises(ValueError) as refused:
        from_message(through(message), spaces)
    assert str(refused.value).startswith("transition 7 of 'ur5': ") and expected in str(refused.value)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 300


def jpeg_of(height, width):
    import cv2

    return bytearray(cv2.imencode(".jpg", np.zeros((height, width, 3), np.uint8))[1].tobytes())


@pytest.mark.parametrize("damage", ["empty", "cut", "half", "huge", "another size", "no header", "endless"])
def test_a_damaged_or_wrong_jpeg_is_refused(damage):
    classes, through = RECORDED, through_a_recording
    spaces = Spaces.of([ImageSpace("wrist", 16, 24)])
    data = jpeg_of(16, 24)
    header = bytes(data).index(b"\xff\xc0") + 5
    if damage == "huge":
        data[header : header + 4] = b"\xff\xdc\xff\xdc"  # 65500 x 65500 pixels: 12 GB
    changed = {
        "empty": b"", "cut": data[:-2], "half": data[: len(data) // 2], "huge": data, "another size": jpeg_of(32, 24),
        "no header": b"\xff\xd8\xff\xd9", "endless": b"\xff\xd8" + b"\xff\xe0\x00\x00" * 5 + b"\xff\xd9",
    }  # fmt: skip
    message = to_message(make_transition(spaces), classes)
    message.frames[0].encoding, message.frames[0].data = "jpeg", np.frombuffer(bytes(changed[damage]), np.uint8)
    expected = {"another size": r"jpeg is \[32, 24, 3\]; expected \[16, 24, 3\]", "huge": "asks for 65500x65500 pixels"}
    with pytest.raises(ValueError, match=f"frame 'wrist': .*{expected.get(damage, 'jpeg of .* bytes: ')}"):
        from_message(through(message), spaces)


def test_a_message_from_before_named_parts_is_one_line():
    class Old:
        sequence, robot = 1, "ur5"

    with pytest.raises(ValueError, match="version before named parts"):
        from_message(Old(), SPACES)


def test_outputs_come_back_and_what_does_not_fit_is_refused_by_name(way):
    classes, _ = way
    outputs = to_outputs({"gripper": np.array([0.04]), "valves": np.array([1.0, 0.0])}, classes)
    sizes = {"gripper": 1, "valves": 2}
    back = from_outputs("command 5", outputs, sizes)
    assert list(back) == ["gripper", "valves"] and back["valves"].tolist() == [1.0, 0.0]
    for wrong, expected in (
        ({"gripper": 1}, "command 5: output 'valves' is unknown; expected gripper"),
        ({"gripper": 2, "valves": 2}, "output 'gripper' has 1 values; expected 2"),
        (sizes | {"lamp": 1}, "output 'lamp' is missing"),
        ({}, "output 'gripper' is unknown; expected none"),
    ):
        with pytest.raises(ValueError, match=expected):
            from_outputs("command 5", outputs, wrong)
