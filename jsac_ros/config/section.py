"""What every section of a configuration is made of: its model, the types of its fields, its errors."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(gt=0)]
Floats = tuple[float, ...]
Pixels = Annotated[int, Field(ge=0, le=16_384)]
Stamps = Literal["header", "arrival"]  # from what ages count: control/stamps.py
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]


_ROS_NAME = re.compile(r"(~?/)?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*")


def _ros_name(name: str) -> str:
    if not _ROS_NAME.fullmatch(name):
        raise ValueError("expected names of letters, digits and _, joined by /, such as camera/image_raw")
    return name


Topic = Annotated[str, AfterValidator(_ros_name)]  # or a service
OptionalTopic = Annotated[str, AfterValidator(lambda name: name and _ros_name(name))]  # or ''


def Between(low: float, high: float, off: bool = False):
    """A number in [low, high]. With `off`, 0 is allowed too and disables the limit; no other value does."""

    def check(value: float) -> float:
        if not (low <= value <= high or (off and value == 0)):
            raise ValueError(f"expected {'0 (off) or ' if off else ''}{low:g} to {high:g}")
        return value

    return Annotated[float, AfterValidator(check)]


class ConfigError(ValueError):
    """One line with the field, its value and what was expected; one line per error."""


class NoRoom(ConfigError):
    """The disk, or /dev/shm, is full: the configuration is correct, but space has to be freed."""


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
