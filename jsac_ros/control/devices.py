"""Reads a person's device without ROS: the same axes and buttons that its ROS driver would publish as sensor_msgs/Joy.

`evdev` reads gamepads, numbered as `joy`'s game_controller_node numbers them; `pyspacemouse` reads a SpaceMouse, with
the axes of spacenav_node. Both are imported when they are used (`pip install jsac_ros[teleop]`).
"""

from __future__ import annotations

import glob
import importlib.util
import math
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from jsac_ros.config import ConfigError, Section
from jsac_ros.control.takeover import Buttons
from jsac_ros.control.teleop import Mapping, Reading

RETRY_S = 1.0
_MOST_REPORTS = 64  # of a SpaceMouse per reading
# Codes of linux/input-event-codes.h. Buttons in game_controller_node's order: A, B, X, Y, back, guide, start, the sticks, the
# shoulders; the directional pad follows as four buttons.
_SOUTH, _NORTH, _WEST = 0x130, 0x133, 0x134
_BUTTONS = [_SOUTH, 0x131, _NORTH, _WEST, 0x13A, 0x13C, 0x13B, 0x13D, 0x13E, 0x136, 0x137]
_CROSS = [0x220, 0x221, 0x222, 0x223]  # up, down, left, right, of gamepads that report it as buttons
_STICKS, _TRIGGERS, _HAT = [0x00, 0x01, 0x03, 0x04], [0x02, 0x05], [0x10, 0x11]
_KEY_EVENT, _ABSOLUTE_EVENT = 1, 3
# Sony's and Nintendo's drivers report buttons by position; others, such as Microsoft's, report X as the kernel's north.
_BY_PLACE = (0x054C, 0x057E)


class Device(Protocol):
    def read(self) -> Reading:
        """The present state. Raises OSError if the device is gone."""

    def close(self) -> None: ...


class Gamepad:
    """An evdev device; `device` is one of evdev.InputDevice."""

    def __init__(self, device: Any):
        self._device = device
        axes = {code for code, _ in device.capabilities().get(_ABSOLUTE_EVENT, [])}
        self._axes = [code if code in axes else None for code in (*_STICKS, *_TRIGGERS)]
        self._hat = [code if code in axes else None for code in _HAT]
        by_place = device.info.vendor in _BY_PLACE
        swapped = {_NORTH: _WEST, _WEST: _NORTH} if by_place else {}
        self._buttons = [swapped.get(code, code) for code in _BUTTONS]

    def read(self) -> Reading:
        keys = {event.code for event in self._events() if event.type == _KEY_EVENT and event.value}  # a short press counts
        keys |= set(self._device.active_keys())
        values = [self._at(code) for code in self._axes]
        across, down = (self._at(code) for code in self._hat)
        cross = [down < -0.5, down > 0.5, across < -0.5, across > 0.5]
        held = {k for k, code in enumerate(self._buttons) if code in keys}
        held |= {len(_BUTTONS) + k for k, code in enumerate(_CROSS) if code in keys or cross[k]}
        sticks = [0.0 - value for value in values[: len(_STICKS)]]  # to the left and up are positive
        return Reading(np.array([*sticks, *((1.0 + value) / 2 for value in values[len(_STICKS) :])]), frozenset(held))

    def _events(self) -> Iterator[Any]:
        while (event := self._device.read_one()) is not None:
            yield event

    def _at(self, code: int | None) -> float:
        """-1 to 1; 0 for an axis that the device lacks."""
        if code is None:
            return 0.0
        info = self._device.absinfo(code)
        middle, half = (info.max + info.min) / 2, (info.max - info.min) / 2
        return min(max((info.value - middle) / half, -1.0), 1.0) if half > 0 else 0.0

    def close(self) -> None:
        self._device.close()


class SpaceMouse:
    """`device` is returned by pyspacemouse.open: x to the right, y forward, z up, and rotations about them."""

    def __init__(self, device: Any):
        self._device = device

    def read(self) -> Reading:
        try:
            state = self._newest()
        except Exception as error:  # the type depends on the version of the library
            raise OSError(" ".join(str(error).split())) from None
        axes = (state.y, -state.x, state.z, state.roll, state.pitch, -state.yaw)
        buttons: Buttons = frozenset(np.flatnonzero(state.buttons).tolist())
        return Reading(np.array(axes, np.float64), buttons)

    def _newest(self) -> Any:
        """The state after all waiting reports: axes, rotations and buttons come in separate reports, one per read."""
        state, before_s = self._device.read(), math.nan
        for _ in range(_MOST_REPORTS):
            if state.t == before_s:
                break
            before_s = state.t
            state = self._device.read()
        return state

    def close(self) -> None:
        self._device.close()


def opener_of(mapping: Section) -> Callable[[], Device]:
    """A function that opens the mapping's device; it raises OSError with one line if it cannot.

    Raises ConfigError if the mapping names no library that reads the device, or if that library is not installed.
    """
    reader = mapping.reader if isinstance(mapping, Mapping) else ""
    openers = {"evdev": _open_gamepad, "pyspacemouse": _open_spacemouse}
    if reader not in openers:
        raise ConfigError(f"person.direct is true; the mapping has no reader; expected {' or '.join(openers)}")
    if importlib.util.find_spec(reader) is None:
        raise ConfigError(f"person.direct is true; {reader} is not installed; expected `pip install {reader}`")
    return openers[reader]


def _open_gamepad() -> Device:
    import evdev

    allowed = evdev.list_devices()
    for path in allowed:
        device = evdev.InputDevice(path)
        keys = device.capabilities().get(_KEY_EVENT, [])
        if _SOUTH in keys and _ABSOLUTE_EVENT in device.capabilities():
            return Gamepad(device)
        device.close()
    if not allowed and (there := glob.glob("/dev/input/event*")):
        raise OSError(f"no permission to read {sorted(there)[0]}; expected a user in group input: sudo usermod -aG input $USER")
    raise OSError(f"no gamepad among the {len(allowed)} readable devices in /dev/input; expected one to be plugged in")


def _open_spacemouse() -> Device:
    import pyspacemouse

    try:
        return SpaceMouse(pyspacemouse.open())
    except Exception as error:  # the type depends on the version of the library
        said = " ".join(str(error).split()) or type(error).__name__
        raise OSError(f"no SpaceMouse: {said}; expected one that is plugged in, and permission to read /dev/hidraw*") from None


class Reconnecting:
    """A device that may be plugged in later, unplugged and plugged in again."""

    def __init__(self, opener: Callable[[], Device]):
        self._opener = opener
        self._device: Device | None = None
        self._due_s = -math.inf
        self._news: list[str] = []
        self._said = ""

    def read(self, now_s: float) -> Reading | None:
        """None while the device is missing."""
        try:
            if self._device is None:
                if now_s < self._due_s:
                    return None
                self._due_s = now_s + RETRY_S
                self._device = self._opener()
                self._say("the device is connected")
            return self._device.read()
        except OSError as error:
            self._say(f"the device cannot be read: {error.strerror or error}")
            self._let_go()
            return None

    def _say(self, line: str) -> None:
        if line != self._said:
            self._news.append(line)
        self._said = line

    def _let_go(self) -> None:
        device, self._device = self._device, None
        if device is not None:
            try:
                device.close()
            except OSError:  # the device is gone
                pass

    def take_news(self) -> list[str]:
        """The log lines since the last call."""
        news, self._news = self._news, []
        return news
