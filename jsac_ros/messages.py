"""Converts our messages to Python types and back, without ROS.

One codec for every kind of message class: it reads any object with the message's fields, from the wire or from
a bag, and writes with the given classes, rclpy's or those of a `rosbags` typestore. A message
is accepted only if it matches the spaces of the system; everything else is a ValueError of one line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jsac_ros.run_key import MAC_BYTES
from jsac_ros.spaces import ImageSpace, Spaces
from jsac_ros.types import Arrays, Transition

JPEG_QUALITY = 95
_SHOWN = 60  # characters of a name from an unknown sender


class Classes(NamedTuple):
    """The message classes to write with."""

    of: Mapping[str, Any]  # "jsac_ros/msg/Transition" -> class, and so for every message inside it
    array: Callable[[np.ndarray], Any]  # converts an array [n] for their sequence fields

    def make(self, kind: str, /, **fields: Any) -> Any:
        """Makes a message of this package."""
        return self.of[f"jsac_ros/msg/{kind}"](**fields)

    def time(self, stamp_ns: int) -> Any:
        """builtin_interfaces/Time, from nanoseconds."""
        seconds, nanoseconds = divmod(int(stamp_ns), 1_000_000_000)
        return self.of["builtin_interfaces/msg/Time"](sec=seconds, nanosec=nanoseconds)


def to_ns(time: Any) -> int:
    """builtin_interfaces/Time to nanoseconds."""
    return time.sec * 1_000_000_000 + time.nanosec


def to_message(transition: Transition, classes: Classes, jpeg: bool = False) -> Any:
    """`msg/Transition`. `jpeg` (lossy, colour or grey) saves bandwidth between two hosts.

    `oldest_sequence` is the transition's own and `mac` zeros: the sender sets them whenever it sends.
    """
    t = transition

    def vectors(parts: Arrays) -> list[Any]:
        array = classes.array
        return [classes.make("Vector", name=name, values=array(_floats(values))) for name, values in parts.items()]

    return classes.make(
        "Transition",
        header=classes.of["std_msgs/msg/Header"](stamp=classes.time(t.stamp_ns), frame_id=""),
        robot=t.robot, session=t.session, sequence=t.sequence, oldest_sequence=t.sequence, episode=t.episode, step=t.step,
        is_first=bool(t.is_first), is_last=bool(t.is_last), intervened=bool(t.intervened), success=bool(t.success),
        frames=[_to_frame(name, frame, classes, jpeg) for name, frame in t.frames.items()],
        observation=vectors(t.vectors), action=vectors(t.action), executed=vectors(t.executed),
        reward=float(t.reward), mask=float(t.mask),
        sources=[
            classes.make("SourceStamp", source=source, stamp=classes.time(stamp_ns))
            for source, stamp_ns in t.source_stamps_ns.items()
        ],
        events=list(t.events), policy_version=int(t.policy_version), lateness=float(t.lateness_s),
        time=float(t.time_s), mac=np.zeros(MAC_BYTES, np.uint8),
    )  # fmt: skip


def from_message(message: Any, spaces: Spaces) -> Transition:
    """`msg/Transition` to a transition of these spaces.

    Raises ValueError naming a part that is missing, unknown, duplicate, of another size or damaged.
    """
    if not hasattr(message, "time"):
        raise ValueError("Transition of a version before named parts; expected frames and vectors with names")
    where = f"transition {message.sequence} of {_shown(message.robot)}"
    images = _named(where, "frame", ((frame.name, frame) for frame in message.frames), [i.name for i in spaces.images])
    stamps = _named(where, "source", ((s.source, s.stamp) for s in message.sources), spaces.sources)
    action_sizes = {part.name: part.size for part in spaces.actions}
    return Transition(
        robot=message.robot, session=message.session, sequence=message.sequence, episode=message.episode,
        step=message.step, is_first=message.is_first, is_last=message.is_last, intervened=message.intervened,
        success=message.success,
        frames={image.name: _from_frame(where, images[image.name], image) for image in spaces.images},
        vectors=_from_vectors(where, "observation", message.observation, {v.name: v.size for v in spaces.vectors}),
        action=_from_vectors(where, "action", message.action, action_sizes),
        executed=_from_vectors(where, "executed", message.executed, action_sizes),
        reward=message.reward, mask=message.mask, stamp_ns=to_ns(message.header.stamp),
        source_stamps_ns={name: to_ns(stamp) for name, stamp in stamps.items()},
        policy_version=message.policy_version, lateness_s=message.lateness, events=tuple(message.events),
        time_s=message.time,
    )  # fmt: skip


def from_action(where: str, parts: Sequence[Any], spaces: Spaces) -> Arrays:
    """`action` of `msg/PersonAction` to {part: float32 [size]}, some of the parts or all.

    Raises ValueError naming a part that is unknown, duplicate, of another size or outside its bounds."""
    there = {part.name for part in parts}
    choices = {part.name: part.choices for part in spaces.actions}
    found = _from_vectors(where, "action", parts, {part.name: part.size for part in spaces.actions if part.name in there})
    for name, values in found.items():
        low, high = (0, choices[name] - 1) if choices[name] else (-1, 1)
        if not (np.isfinite(values).all() and (values >= low).all() and (values <= high).all()):
            raise ValueError(f"{where}: action {name!r} is {values.tolist()}; expected values in {low} .. {high}")
    return found


def to_outputs(commands: Mapping[str, np.ndarray], classes: Classes) -> list[Any]:
    """{part: [size]} to the `outputs` of `msg/Action` and `msg/AppliedAction`."""
    array = classes.array
    return [classes.make("Output", name=n, values=array(np.asarray(v, np.float64))) for n, v in commands.items()]


def from_outputs(where: str, outputs: Iterable[Any], sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    """`outputs` of a message to {part: float64 [size]}. Raises ValueError naming a part that does not match `sizes`."""
    return _sized(where, "output", ((output.name, output.values) for output in outputs), sizes, np.float64)


def from_velocity(values: Sequence[float], size: int) -> np.ndarray:
    """`velocity` of a message to a motion, float64 [size]. Raises ValueError if its length differs or a value is not finite."""
    motion = np.asarray(values, np.float64)
    if motion.shape != (size,) or not np.isfinite(motion).all():
        shown = f"{len(values)} values" if len(values) != size else str(motion.tolist())
        raise ValueError(f"velocity is {shown}; expected {size} finite values")
    return motion


def _floats(values: Any) -> np.ndarray:
    return np.asarray(values, np.float32).reshape(-1)


def _from_vectors(where: str, what: str, vectors: Iterable[Any], sizes: Mapping[str, int]) -> Arrays:
    return _sized(where, what, ((vector.name, vector.values) for vector in vectors), sizes, np.float32)


def _sized(where: str, what: str, parts: Iterable[tuple[str, Any]], sizes: Mapping[str, int], dtype: Any) -> Arrays:
    """{name: values [size]} of a message's parts, in the order of `sizes`."""
    found = _named(where, what, parts, sizes)
    for name, values in found.items():
        if len(values) != sizes[name]:
            raise ValueError(f"{where}: {what} {name!r} has {len(values)} values; expected {sizes[name]}")
    return {name: np.asarray(values, dtype) for name, values in found.items()}


def _named(where: str, what: str, parts: Iterable[tuple[str, Any]], expected: Iterable[str]) -> dict[str, Any]:
    """{name: part} in the order of `expected`. Raises ValueError if one is missing, unknown or duplicate."""
    found: dict[str, Any] = {}
    expected = tuple(expected)
    for name, part in parts:
        if name not in expected or name in found:
            wrong = "there twice" if name in found else "unknown"
            raise ValueError(f"{where}: {what} {_shown(name)} is {wrong}; expected {', '.join(expected) or 'none'}")
        found[name] = part
    for name in expected:
        if name not in found:
            raise ValueError(f"{where}: {what} {name!r} is missing; expected {', '.join(expected)}")
    return {name: found[name] for name in expected}


def _shown(text: str) -> str:
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}..."


# -- frames --------------------------------------------------------------------------------------------------------


def _to_frame(name: str, frame: np.ndarray, classes: Classes, jpeg: bool) -> Any:
    height, width, channels = frame.shape
    data, encoding = frame.reshape(-1), "raw"
    if jpeg:
        import simplejpeg  # not at the top: a process without images does not need it

        colours = "GRAY" if channels == 1 else "RGB"
        coded = simplejpeg.encode_jpeg(np.ascontiguousarray(frame), JPEG_QUALITY, colours)
        data, encoding = np.frombuffer(coded, np.uint8), "jpeg"
    return classes.make(
        "Frame", name=name, height=height, width=width, channels=channels, encoding=encoding, data=classes.array(data)
    )


def _from_frame(where: str, message: Any, space: ImageSpace) -> np.ndarray:
    """uint8 [H, W, C]; for a raw frame a view of the message."""
    where = f"{where}: frame {space.name!r}"
    shape = (message.height, message.width, message.channels)
    if shape != space.frame_shape:
        raise ValueError(f"{where} is {list(shape)}; expected {list(space.frame_shape)}")
    data = np.asarray(message.data, np.uint8)
    if message.encoding == "raw":
        if data.size != np.prod(shape):
            raise ValueError(f"{where} has {data.size} bytes; expected {np.prod(shape)}")
        return data.reshape(shape)
    if message.encoding == "jpeg":
        return _from_jpeg(where, data.tobytes(), shape)
    raise ValueError(f"{where}: encoding is {_shown(message.encoding)}; expected 'raw' or 'jpeg'")


def _from_jpeg(where: str, data: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    from jsac_ros.control.compressed_images import jpeg

    try:
        _, frame = jpeg(data)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if frame.shape != shape:
        raise ValueError(f"{where}: jpeg is {list(frame.shape)}; expected {list(shape)}")
    return frame
