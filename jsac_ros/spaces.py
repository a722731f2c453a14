"""Named parts of observations and actions: name, shape, unit and bounds of each.

The owner of a part declares its space (a camera, a sensor, the robot, a task, a Gymnasium environment); no other code
computes a size. Messages, store, batches, shared memory and networks are laid out from one `Spaces`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

MOST_PARTS = 128  # of an observation, of an action, of sources
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
# Unit of an action before its bounds were declared: "0.3 m/s, 0.3 rad/s", "open to 0.085 m".
_SCALED = re.compile(r"(open to )?([0-9.e+-]+) (m|m/s|rad/s)")


@dataclass(frozen=True)
class ImageSpace:
    """One camera's part of an observation: the newest `stack` frames, uint8."""

    name: str
    height: int  # pixels
    width: int  # pixels
    channels: int = 3  # of one frame: 3 RGB, 1 grey or depth
    stack: int = 1  # frames of an observation
    dtype: ClassVar[str] = "uint8"

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """[H, W, C] of one frame, as it is sent and stored."""
        return (self.height, self.width, self.channels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """[H, W, S*C] of the observation, oldest frame first."""
        return (self.height, self.width, self.stack * self.channels)


@dataclass(frozen=True)
class VectorSpace:
    """A vector of an observation, float32 [size]."""

    name: str
    size: int
    unit: str = ""  # of every value, or one per value, comma-separated
    low: tuple[float, ...] = ()  # [size]; empty: unbounded
    high: tuple[float, ...] = ()
    map: tuple[int, ...] = ()  # [height, width, channels] of an image's features, whose values they are; empty: plain values
    dtype: ClassVar[str] = "float32"

    @property
    def shape(self) -> tuple[int]:
        return (self.size,)


@dataclass(frozen=True)
class ActionSpace:
    """One part of an action: float32 [size] in [-1, 1], or with `choices` > 0 the index of a choice as float32 [1].

    `low` and `high` bound the command: that for an action of -1 and that for an action of 1.
    """

    name: str
    size: int
    unit: str = ""  # of the command: of every value, or one per value, comma-separated
    choices: int = 0
    low: tuple[float, ...] = ()  # [size]; empty: of a choice, or not declared
    high: tuple[float, ...] = ()
    dtype: ClassVar[str] = "float32"

    @property
    def shape(self) -> tuple[int]:
        return (self.size,)

    @property
    def command(self) -> str:
        """The range of the command for a reader: "-0.3 to 0.3 rad/s", one per value if they differ."""
        units = self.unit.split(", ") if ", " in self.unit else [self.unit] * self.size
        ranges = [f"{low:g} to {high:g} {unit}".rstrip() for low, high, unit in zip(self.low, self.high, units)]
        return ", ".join(dict.fromkeys(ranges) if len(set(ranges)) == 1 else ranges) or self.unit


@dataclass(frozen=True)
class Spaces:
    """All parts of one system, each kind in the order of its names. Make it with `Spaces.of`, which checks."""

    images: tuple[ImageSpace, ...] = ()
    vectors: tuple[VectorSpace, ...] = ()
    actions: tuple[ActionSpace, ...] = ()
    sources: tuple[str, ...] = ()  # stamped inputs: cameras, joints, sensors

    @classmethod
    def of(
        cls,
        images: Iterable[ImageSpace] = (),
        vectors: Iterable[VectorSpace] = (),
        actions: Iterable[ActionSpace] = (),
        sources: Iterable[str] = (),
    ) -> Spaces:
        """Sorts and checks the parts. Raises ValueError with one line naming the part, its value and what was expected."""
        by_name = lambda part: part.name
        spaces = cls(
            tuple(sorted(images, key=by_name)),
            tuple(sorted(vectors, key=by_name)),
            tuple(sorted(actions, key=by_name)),
            tuple(sorted(sources)),
        )
        _check_names([image.name for image in spaces.images] + [vector.name for vector in spaces.vectors], "observation")
        _check_names([part.name for part in spaces.actions], "action")
        _check_names(list(spaces.sources), "source")
        for image in spaces.images:
            _check_image(image)
        for vector in spaces.vectors:
            _check_vector(vector)
        for action in spaces.actions:
            _check_vector(action)
        return spaces

    @property
    def observation(self) -> dict[str, ImageSpace | VectorSpace]:
        """Name -> space of every part of an observation: images, then vectors."""
        return {image.name: image for image in self.images} | {vector.name: vector for vector in self.vectors}

    @property
    def stack(self) -> int:
        """Frames of the longest stack, at least 1."""
        return max((image.stack for image in self.images), default=1)

    @property
    def plain_vectors(self) -> tuple[VectorSpace, ...]:
        return tuple(part for part in self.vectors if not part.map)

    @property
    def maps(self) -> tuple[VectorSpace, ...]:
        """The vectors that are features of images."""
        return tuple(part for part in self.vectors if part.map)

    @property
    def vector_size(self) -> int:
        """Values of all plain vectors together."""
        return sum(part.size for part in self.plain_vectors)

    @property
    def action_size(self) -> int:
        """Values of all parts of an action together."""
        return sum(part.size for part in self.actions)

    @property
    def choices(self) -> int:
        """Number of choices if the action is one discrete part; 0 if its parts are continuous."""
        return self.actions[0].choices if len(self.actions) == 1 else 0

    def check_observation(self, observation: Mapping[str, Any]) -> None:
        """Raises ValueError naming the part that is missing, unknown, or of another shape or dtype."""
        expected = self.observation
        for name in [*expected, *observation]:
            if name not in expected:
                raise ValueError(f"observation {name!r} is unknown; expected {', '.join(expected)}")
            if name not in observation:
                raise ValueError(f"observation {name!r} is missing; expected {', '.join(expected)}")
            check_array(f"observation {name!r}", observation[name], expected[name].shape, expected[name].dtype)

    def check_action(self, action: Mapping[str, Any]) -> None:
        """Raises ValueError naming the part that is missing, unknown, or of another shape or dtype."""
        expected = {part.name: part for part in self.actions}
        for name in [*expected, *action]:
            if name not in expected or name not in action:
                raise ValueError(f"action has parts {', '.join(action)}; expected {', '.join(expected)}")
            check_array(f"action {name!r}", action[name], expected[name].shape, expected[name].dtype)

    def flat_action(self, action: Mapping[str, np.ndarray]) -> np.ndarray:
        """{part: float32 [size]} -> float32 [A], parts in order."""
        return np.concatenate([action[part.name] for part in self.actions], dtype=np.float32)

    def split_action(self, flat: np.ndarray) -> dict[str, np.ndarray]:
        """float32 [..., A] -> {part: float32 [..., size]}: the inverse of `flat_action`."""
        parts, at = {}, 0
        for part in self.actions:
            parts[part.name] = flat[..., at : at + part.size]
            at += part.size
        return parts

    def difference(self, expected: Spaces) -> str:
        """The differences from `expected`, by name, in one line; "" if there are none."""
        found = []
        for kind in ("images", "vectors", "actions"):
            ours, theirs = ({part.name: asdict(part) for part in getattr(spaces, kind)} for spaces in (self, expected))
            for name in sorted({*ours, *theirs}):
                if name not in ours or name not in theirs:
                    found.append(f"{kind[:-1]} {name!r} is {'missing' if name in theirs else 'not expected'}")
                    continue
                fields = [field for field, value in theirs[name].items() if ours[name][field] != value]
                if kind == "actions" and not (ours[name]["low"] and theirs[name]["low"]):  # one did not declare them
                    fields = [field for field in fields if field not in ("low", "high")]
                found += [f"{kind[:-1]} {name!r}: {f} is {ours[name][f]!r}, expected {theirs[name][f]!r}" for f in fields]
        if self.sources != expected.sources:
            found.append(f"sources are {', '.join(self.sources)}; expected {', '.join(expected.sources)}")
        return "; ".join(found)

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` reads back."""
        return {kind: [asdict(part) for part in getattr(self, kind)] for kind in ("images", "vectors", "actions")} | {
            "sources": list(self.sources)
        }

    @classmethod
    def from_json(cls, data: Any) -> Spaces:
        """Raises ValueError with one line if the data do not describe spaces."""
        try:
            kinds: dict[str, Callable[..., Any]] = {"images": ImageSpace, "vectors": VectorSpace, "actions": _action_of}
            parts = {kind: [make(**_tuples(part)) for part in data[kind]] for kind, make in kinds.items()}
            return cls.of(**parts, sources=data["sources"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"spaces cannot be read: {' '.join(str(error).split())}") from None


def _action_of(unit: str = "", **part: Any) -> ActionSpace:
    """Also from a document whose unit has the scale of the command in it and which has no bounds."""
    scales = [_SCALED.fullmatch(value) for value in unit.split(", ")]
    if "low" in part or not all(scales):
        return ActionSpace(unit=unit, **part)
    high = tuple(float(scale[2]) for scale in scales)
    low = tuple(0.0 if scale[1] else -value for scale, value in zip(scales, high))
    return ActionSpace(unit=one_unit([scale[3] for scale in scales]), low=low, high=high, **part)


def one_unit(units: Iterable[str]) -> str:
    """The unit of a vector: once if all values have the same."""
    units = list(units)
    return units[0] if len(set(units)) == 1 else ", ".join(units)


def check_array(what: str, given: Any, shape: tuple[int, ...], dtype: Any) -> None:
    """Raises ValueError if `given` is not an array of this shape and dtype."""
    given = np.asarray(given)
    if given.shape != shape or given.dtype != dtype:
        raise ValueError(f"{what} is {given.dtype}{list(given.shape)}; expected {np.dtype(dtype)}{list(shape)}")


def _tuples(part: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in part.items()}


def _check_names(names: list[str], what: str) -> None:
    if len(names) > MOST_PARTS:
        raise ValueError(f"{what} has {len(names)} parts; expected at most {MOST_PARTS}")
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(f"{what} name is {name!r}; expected a-z, then a-z, 0-9 or _, at most 32 characters")
        if names.count(name) > 1:
            raise ValueError(f"{what} {name!r} is declared {names.count(name)} times; expected once")


def _check_image(part: ImageSpace) -> None:
    for field in ("height", "width", "stack"):
        if not _is_count(getattr(part, field)):
            raise ValueError(f"image {part.name!r}: {field} is {getattr(part, field)!r}; expected a whole number, at least 1")
    if part.channels not in (1, 3):
        raise ValueError(f"image {part.name!r}: channels is {part.channels!r}; expected 1 or 3")


def _check_vector(part: VectorSpace | ActionSpace) -> None:
    if not _is_count(part.size):
        raise ValueError(f"{part.name!r}: size is {part.size!r}; expected a whole number, at least 1")
    if isinstance(part, ActionSpace):
        if part.choices and (part.size != 1 or not _is_count(part.choices) or part.choices < 2):
            raise ValueError(
                f"action {part.name!r}: {part.choices!r} choices of size {part.size}; expected two or more of size 1"
            )
    elif part.map and (len(part.map) != 3 or not all(map(_is_count, part.map)) or math.prod(part.map) != part.size):
        raise ValueError(
            f"vector {part.name!r}: map is {list(part.map)}; expected height, width, channels of {part.size} values"
        )
    kind = "action" if isinstance(part, ActionSpace) else "vector"
    for field in ("low", "high"):
        bounds = getattr(part, field)
        if len(bounds) not in (0, part.size) or any(math.isnan(bound) for bound in bounds):
            raise ValueError(f"{kind} {part.name!r}: {field} has {len(bounds)} values; expected {part.size} numbers or none")
    if len(part.low) != len(part.high) or any(low > high for low, high in zip(part.low, part.high)):
        raise ValueError(
            f"{kind} {part.name!r}: low is {list(part.low)}, high {list(part.high)}; expected low <= high, or neither"
        )


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 1
