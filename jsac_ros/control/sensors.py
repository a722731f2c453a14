"""Numbers from any message as a vector: the field paths, scale and bounds of a configured sensor."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from jsac_ros.config import ConfigError, SensorConfig
from jsac_ros.spaces import VectorSpace
from jsac_ros.types import LARGEST

_MOST_VALUES = 100_000
_STEP = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:\[(\d+)(?::(\d+))?\])?")


class FieldPath:
    """`wrench.force.x`, `data`, `data[2]` or `data[0:6]` in a message."""

    def __init__(self, text: str):
        """Raises ValueError if the text is not a path."""
        self.text = text
        self._steps: list[tuple[str, slice | int | None]] = []
        self.size = 1
        for step in text.split("."):
            match = _STEP.fullmatch(step)
            if match is None or self.size > 1:
                raise ValueError(f"{text!r}; expected names joined by dots, such as wrench.force.x or data[0:6]")
            name, first, end = match.groups()
            if end is not None:
                self.size = int(end) - int(first)
                if not 1 <= self.size <= _MOST_VALUES:
                    raise ValueError(f"{text!r}; expected [first:end] with end above first, at most {_MOST_VALUES} values")
                self._steps.append((name, slice(int(first), int(end))))
            else:
                self._steps.append((name, None if first is None else int(first)))

    def _check_sequence(self, name: str, value: Any) -> None:
        if not hasattr(value, "__getitem__"):
            raise ValueError(f"{self.text}: {name} is {type(value).__name__}; expected a sequence")

    def write(self, message: Any, values: np.ndarray) -> None:
        """The inverse of `read`, for a simulated sensor; values: [size]."""
        *steps, (name, place) = self._steps
        for inner, inner_place in steps:
            message = getattr(message, inner)
            message = message if inner_place is None else message[inner_place]
        if place is None:
            kind = type(getattr(message, name))
            setattr(message, name, kind(values[0]))
        else:
            first, end = (place, place + 1) if isinstance(place, int) else (place.start, place.stop)
            whole = list(getattr(message, name)) + [0.0] * end
            whole[first:end] = values.tolist()
            setattr(message, name, whole[: max(end, len(getattr(message, name)))])

    def check(self, message: Any) -> None:
        """Raises ValueError if the type of this new message has no such field."""
        value = message
        for name, place in self._steps:
            if not hasattr(value, name):
                known = ", ".join(getattr(value, "get_fields_and_field_types", dict)()) or "no fields"
                raise ValueError(f"{self.text}: {type(value).__name__} has no {name!r}; it has {known}")
            value = getattr(value, name)
            if place is not None:
                self._check_sequence(name, value)
                return  # of variable length
        if not isinstance(value, int | float):
            raise ValueError(f"{self.text} is {type(value).__name__}; expected a number")

    def read(self, message: Any) -> np.ndarray:
        """float64 [size]. Raises ValueError if the message has no such numbers."""
        value = message
        for name, place in self._steps:
            if not hasattr(value, name):
                raise ValueError(f"{self.text}: the message has no {name!r}")
            value = getattr(value, name)
            if place is not None:
                self._check_sequence(name, value)
                try:
                    value = value[place]
                except IndexError:
                    raise ValueError(f"{self.text}: {name} has {len(value)} values") from None
        try:
            numbers = np.asarray(value, np.float64).reshape(-1)
        except (TypeError, ValueError):
            raise ValueError(f"{self.text} is {type(value).__name__}; expected a number") from None
        if numbers.size != self.size:
            raise ValueError(f"{self.text} has {numbers.size} values; expected {self.size} (data[0:{numbers.size}] takes all)")
        return numbers


class Sensor:
    """One configured sensor."""

    def __init__(self, name: str, config: SensorConfig):
        """Raises ConfigError if a path or the number of scales is wrong."""
        self.name, self.config = name, config
        try:
            self._paths = [FieldPath(path) for path in config.fields]
        except ValueError as error:
            raise ConfigError(f"sensors.{name}.fields holds {error}") from None
        size = sum(path.size for path in self._paths)
        if len(config.scale) not in (1, size) or not np.isfinite(config.scale).all():
            raise ConfigError(f"sensors.{name}.scale is {list(config.scale)}; expected 1 or {size} finite values")
        self._scale = np.broadcast_to(np.array(config.scale, np.float64), size)
        bounds = (config.clip,) * size if config.clip else ()
        self.space = VectorSpace(name, size, config.unit, tuple(-bound for bound in bounds), bounds)

    def check(self, message: Any) -> None:
        """Raises ValueError if the type of this new message lacks a configured field."""
        for path in self._paths:
            path.check(message)

    def read(self, message: Any) -> np.ndarray:
        """float64 [size], scaled. Raises ValueError if the message has no such numbers or one is not finite."""
        return self.scaled(np.concatenate([path.read(message) for path in self._paths]))

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """float64 [size] as measured -> in the sensor's unit. Raises ValueError if one is not finite."""
        values = values * self._scale
        if self.config.nan_as:
            values = np.where(np.isnan(values), self.config.nan_as[0], values)
        if not (np.abs(values) <= LARGEST).all():  # NaN too
            raise ValueError(f"{', '.join(self.config.fields)} is {values.tolist()}; expected finite numbers of float32")
        return values

    def written(self, message: Any, values: np.ndarray) -> Any:
        """`message` filled with simulated values, float64 [size] before the scale."""
        at = 0
        for path in self._paths:
            path.write(message, values[at : at + path.size])
            at += path.size
        return message

    def bounded(self, values: np.ndarray) -> np.ndarray:
        """Clipped as configured."""
        return np.clip(values, -self.config.clip, self.config.clip) if self.config.clip else values
