"""From a person's device to an action: what its axes and buttons stand for, and whether the person is in control.

A mapping is a YAML file (three are in config/teleop/). It names directions as the parts of the action do ("x", "yaw", a
joint); a part none of whose directions it names takes x, y, z, roll, pitch, yaw in order.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field, ValidationError, model_validator

from jsac_ros import documents, shipped
from jsac_ros.config import Between, ConfigError, NonNegative, Section
from jsac_ros.control.actions import ActionPart, Actions
from jsac_ros.control.actions.twist import AXES
from jsac_ros.types import Action

Button = Annotated[int, Field(ge=0, le=255)] | Annotated[str, Field(min_length=1, max_length=1)]  # its place, or a key
Use = Literal["enable", "take_over", "open", "close", "success", "failure", "discard", "pause", "emergency_stop"]
VERBS = ("success", "failure", "discard", "pause", "emergency_stop")
Buttons = frozenset[int | str]


class AxisMapping(Section):
    """What moves one direction: an axis of the device, or two of its buttons."""

    axis: Annotated[int, Field(ge=-1, le=255)] = -1  # its place in the message; of a twist: x, y, z, roll, pitch, yaw
    plus: Button | None = None
    minus: Button | None = None
    scale: Between(-1000.0, 1000.0) = 1.0  # the action at an axis of 1, or at a button
    dead_zone: Between(0.0, 0.9) = 0.1  # of the axis

    @model_validator(mode="after")
    def _check(self):
        if (self.axis >= 0) == (self.plus is not None or self.minus is not None):
            raise ValueError("expected either an axis, or plus and minus")
        return self


class Mapping(Section):
    source: Literal["joy", "twist", "twist_stamped", "keys"]
    topic: str
    axes: Annotated[dict[str, AxisMapping], Field(min_length=1)]
    # enable: nothing moves unless it is held; take_over: takes over, and hands back; the others as their names say
    buttons: dict[Use, Button] = {}
    hand_back_s: NonNegative = 0.3  # without a take_over button: not moving for so long hands back
    silent_s: Between(0.02, 2.0) = 0.25  # not heard for so long: what is held then counts once it was let go


class Reading(NamedTuple):
    """One message of a device."""

    axes: np.ndarray  # float64 [n], usually in [-1, 1]
    buttons: Buttons  # that are held


class Said(NamedTuple):
    """What a person means by it."""

    holds: bool  # the person acts; else the policy
    action: Action  # some of its parts
    verbs: tuple[str, ...]  # of VERBS: their buttons that went down with this reading


class Teleop:
    """The state of one device. Not thread-safe."""

    def __init__(self, mapping: Mapping, actions: Actions):
        """Raises ConfigError where the mapping moves no part of the action."""
        self._mapping, self._parts = mapping, actions.parts
        self._buttons: dict[str, int | str] = dict(mapping.buttons.items())
        for part in actions.moving:
            if part.space.choices:
                raise ConfigError(f"person.by is 'device'; actions.{part.space.name} chooses from a table: expected velocities")
        if not any(direction in mapping.axes for part in actions.moving for direction in self._directions(part)):
            known = ", ".join(direction for part in actions.moving for direction in part.directions)
            raise ConfigError(f"person.mapping: axes holds {', '.join(mapping.axes)}; expected some of {known}")
        self._heard_s = self._wanted_s = -math.inf
        self._held: Buttons = frozenset()
        self._stuck: set[int | str] = set()  # held since before the device was heard
        self._off_centre: set[str] = set()  # directions that have not been at rest since then
        self._taken = False
        self._grip = 0.0  # 1 open, -1 closed; 0: as it is

    def hear(self, reading: Reading, now_s: float) -> Said:
        """Raises ValueError where the device lacks an axis of the mapping, or one is not finite."""
        values = {name: self._value(name, axis, reading) for name, axis in self._mapping.axes.items()}
        if now_s - self._heard_s > self._mapping.silent_s:
            self._stuck = set(reading.buttons) - {self._buttons.get("emergency_stop")}
            self._off_centre = set(values)
        self._heard_s = now_s
        self._stuck &= reading.buttons
        self._off_centre = {name for name in self._off_centre if values[name]}
        values = {name: 0.0 if name in self._off_centre else value for name, value in values.items()}
        held = reading.buttons - self._stuck
        down, self._held = held - self._held, held
        moves = self._take_over(values, held, down, now_s)
        return Said(self._taken, self._action(values if moves else {}, down), self._verbs(down))

    def _take_over(self, values: dict[str, float], held: Buttons, down: Buttons, now_s: float) -> bool:
        """Whether the person takes over or hands back; -> whether anything may move."""
        buttons = self._buttons
        by_button, enable = "take_over" in buttons, buttons.get("enable")
        enabled = enable is None or enable in held
        if enable is None:
            wants = any(values.values()) or bool(down & self._grips)
        else:
            wants = enable in down if by_button else enabled
        if wants:
            self._wanted_s = now_s
        if buttons.get("take_over") in down:
            self._taken = not self._taken
        elif by_button:
            self._taken |= wants
        else:
            self._taken = now_s - self._wanted_s <= self._mapping.hand_back_s
        return self._taken and enabled

    @property
    def _grips(self) -> Buttons:
        return frozenset(button for name, button in self._buttons.items() if name in ("open", "close"))

    def _action(self, values: dict[str, float], down: Buttons) -> Action:
        """Parts that move always, devices from the first press on: what they did before the takeover they continue to do."""
        for name, grip in (("open", 1.0), ("close", -1.0)):
            if self._buttons.get(name) in down:
                self._grip = grip
        if not self._taken:
            self._grip = 0.0
            return {}
        action = {}
        for name, part in self._parts.items():
            if not part.device:
                moved = [values.get(direction, 0.0) for direction in self._directions(part)]
                action[name] = np.clip(np.array(moved, np.float32), -1.0, 1.0)
            elif self._grip:
                action[name] = np.full(part.space.size, self._grip, np.float32)
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

    def _verbs(self, down: Buttons) -> tuple[str, ...]:
        """Success and failure at once mean neither."""
        said = [verb for verb in VERBS if self._buttons.get(verb) in down]
        both = {"success", "failure"} <= set(said)
        return tuple(verb for verb in said if not (both and verb in ("success", "failure")))


class Keys:
    """Keys of a terminal, which says when one is pressed and repeats it while it is held, never when it is let go."""

    _HELD_S = 0.3

    def __init__(self):
        self._pressed_s: dict[str, float] = {}

    def press(self, key: str, now_s: float) -> None:
        self._pressed_s[key] = now_s

    def reading(self, now_s: float) -> Reading:
        self._pressed_s = {key: at_s for key, at_s in self._pressed_s.items() if now_s - at_s <= self._HELD_S}
        return Reading(np.empty(0), frozenset(self._pressed_s))


def load(name: str) -> Mapping:
    """A mapping that is shipped, by its name, or a file. Raises ConfigError with one line a finding."""
    try:
        path = _find(name)
        return Mapping.model_validate(documents.yaml_of(documents.read(path, documents.YAML_BYTES)))
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        raise ConfigError("\n".join(f"person.mapping {path}: {line}" for line in lines)) from None
    except ValueError as error:
        raise ConfigError(f"person.mapping is {name!r}: {documents.one_line(error)}") from None


def _find(name: str) -> Path:
    """Raises ValueError where a bare name is none of those that are shipped."""
    path, folder = Path(name).expanduser(), shipped.folder()
    known = sorted(file.stem for file in (folder / "teleop").glob("*.yaml")) if folder else []
    if path.is_file() or len(path.parts) != 1 or path.suffix:
        return path
    if name in known:
        return folder / "teleop" / f"{name}.yaml"
    raise ValueError(f"unknown{documents.did_you_mean(name, known)}; expected a file or one of {', '.join(known)}")
