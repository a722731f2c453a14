"""Converts a person's device to an action: the meaning of its axes and buttons, and whether the person is in control.

A mapping is a YAML file (config/teleop/ has some; `leader.py` has those of a leader arm). It names directions as the parts of
the action do ("x", "yaw", a joint); if it names no direction of a part, that part takes x, y, z, roll, pitch, yaw in order.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from jsac_ros import documents, shipped
from jsac_ros.config import Between, ConfigError, NonNegative, Section
from jsac_ros.control.actions import ActionPart, Actions
from jsac_ros.control.actions.twist import AXES
from jsac_ros.control.leader import Leader, LeaderMapping
from jsac_ros.control.takeover import Button, Buttons, Said, Takeover, Use
from jsac_ros.rig import Rig
from jsac_ros.types import Action


class AxisMapping(Section):
    """The control of one direction: an axis of the device, or two buttons."""

    axis: Annotated[int, Field(ge=-1, le=255)] = -1  # its index in the message; of a twist: x, y, z, roll, pitch, yaw
    plus: Button | None = None
    minus: Button | None = None
    scale: Between(-1000.0, 1000.0) = 1.0  # the action for an axis value of 1, or for a pressed button
    dead_zone: Between(0.0, 0.9) = 0.1  # of the axis

    @model_validator(mode="after")
    def _check(self):
        if (self.axis >= 0) == (self.plus is not None or self.minus is not None):
            raise ValueError("expected either an axis, or plus and minus")
        return self


class Mapping(Section):
    source: Literal["joy", "twist", "twist_stamped", "keys"]
    topic: str
    reader: Literal["", "evdev", "pyspacemouse"] = ""  # library that reads the device with person.direct
    axes: Annotated[dict[str, AxisMapping], Field(min_length=1)]
    # enable: nothing moves unless it is held; take_over: takes over and hands back; the others act as their names
    buttons: dict[Use, Button] = {}
    hand_back_s: NonNegative = 0.3  # without a take_over button: this time without motion hands back
    silent_s: Between(0.02, 2.0) = 0.25  # after this time without a message, held buttons count only after their release


class Reading(NamedTuple):
    """One message of a device."""

    axes: np.ndarray  # float64 [n], usually in [-1, 1]
    buttons: Buttons  # that are held


class Teleop:
    """The state of one device. Not thread-safe."""

    def __init__(self, mapping: Mapping, actions: Actions):
        """Raises ConfigError if the mapping moves no part of the action."""
        self._mapping, self._parts = mapping, actions.parts
        for part in actions.moving:
            if part.space.choices:
                raise ConfigError(f"person.by is 'device'; actions.{part.space.name} chooses from a table; expected velocities")
        if not any(direction in mapping.axes for part in actions.moving for direction in self._directions(part)):
            known = ", ".join(direction for part in actions.moving for direction in part.directions)
            raise ConfigError(f"person.mapping: axes holds {', '.join(mapping.axes)}; expected some of {known}")
        self._takeover = Takeover(mapping.buttons, mapping.hand_back_s, mapping.silent_s)
        self._off_centre: set[str] = set()  # directions not at rest since the first message of the device

    def hear(self, reading: Reading, now_s: float) -> Said:
        """Raises ValueError if the device lacks an axis of the mapping, or one is not finite."""
        values = {name: self._value(name, axis, reading) for name, axis in self._mapping.axes.items()}
        if self._takeover.hear(reading.buttons, now_s):
            self._off_centre = set(values)
        self._off_centre = {name for name in self._off_centre if values[name]}
        values = {name: 0.0 if name in self._off_centre else value for name, value in values.items()}
        moves = self._takeover.decide(any(values.values()), now_s)
        action = self._action(values if moves else {}) if self._takeover.taken else {}
        return Said(self._takeover.taken, action, self._takeover.verbs())

    def _action(self, values: dict[str, float]) -> Action:
        """The action: moving parts always, grippers from the first press on."""
        action: Action = {}
        for name, part in self._parts.items():
            if part.device:
                action |= self._takeover.gripped(part)
            else:
                moved = [values.get(direction, 0.0) for direction in self._directions(part)]
                action[name] = np.clip(np.array(moved, np.float32), -1.0, 1.0)
        return action

    def _directions(self, part: ActionPart) -> tuple[str, ...]:
        if any(direction in self._mapping.axes for direction in part.directions):
            return part.directions
        return AXES[: part.space.size]

    def _value(self, name: str, axis: AxisMapping, reading: Reading) -> float:
        if axis.axis < 0:
            return axis.scale * ((axis.plus in reading.buttons) - (axis.minus in reading.buttons))
        if axis.axis >= len(reading.axes):
            raise ValueError(f"device has {len(reading.axes)} axes; expected axis {axis.axis} for {name}")
        value = float(reading.axes[axis.axis])
        if not math.isfinite(value):
            raise ValueError(f"axis {axis.axis} is {value}; expected a finite number")
        beyond = max(abs(value) - axis.dead_zone, 0.0) / (1.0 - axis.dead_zone)
        return axis.scale * math.copysign(beyond, value)


class Keys:
    """Keys of a terminal, which reports a press and repeats it while the key is held, but never reports its release."""

    _HELD_S = 0.3

    def __init__(self):
        self._pressed_s: dict[str, float] = {}

    def press(self, key: str, now_s: float) -> None:
        self._pressed_s[key] = now_s

    def reading(self, now_s: float) -> Reading:
        self._pressed_s = {key: at_s for key, at_s in self._pressed_s.items() if now_s - at_s <= self._HELD_S}
        return Reading(np.empty(0), frozenset(self._pressed_s))


_ANY: TypeAdapter[Mapping | LeaderMapping] = TypeAdapter(Annotated[Mapping | LeaderMapping, Field(discriminator="source")])


def load(name: str) -> Mapping | LeaderMapping:
    """A mapping from a file, or a shipped one by its name. Raises ConfigError with one line per error."""
    try:
        path = _find(name)
        return _ANY.validate_python(documents.yaml_of(documents.read(path, documents.YAML_BYTES)))
    except ValidationError as error:
        lines = (": ".join((".".join(map(str, problem["loc"][1:])), problem["msg"])) for problem in error.errors())
        raise ConfigError("\n".join(f"person.mapping {path}: {line.removeprefix(': ')}" for line in lines)) from None
    except ValueError as error:
        raise ConfigError(f"person.mapping is {name!r}: {documents.one_line(error)}") from None


def device_of(mapping: Mapping | LeaderMapping, rig: Rig) -> Teleop | Leader:
    """The converter for the mapping's device and the actions of a rig. Raises ConfigError."""
    return Leader(mapping, rig) if isinstance(mapping, LeaderMapping) else Teleop(mapping, rig.actions)


def _find(name: str) -> Path:
    """Raises ValueError if a bare name is not that of a shipped mapping."""
    path, folder = Path(name).expanduser(), shipped.folder()
    known = sorted(file.stem for file in (folder / "teleop").glob("*.yaml")) if folder else []
    if path.is_file() or len(path.parts) != 1 or path.suffix:
        return path
    if name in known:
        return folder / "teleop" / f"{name}.yaml"
    raise ValueError(f"unknown{documents.did_you_mean(name, known)}; expected a file or one of {', '.join(known)}")
