"""Message classes by their names: 'geometry_msgs/msg/WrenchStamped'."""

from __future__ import annotations

import importlib
from typing import Any

from jsac_ros.config import ConfigError


def message_class(type_name: str, field: str = "type") -> Any:
    """The class of an installed message type. Raises ConfigError naming `field` where the type is not installed."""
    package, _, name = type_name.partition("/msg/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except ImportError:
        raise ConfigError(
            f"{field} is {type_name!r}: package {package} is not installed; expected an installed message type"
        ) from None
    except AttributeError:
        raise ConfigError(f"{field} is {type_name!r}: package {package} has no message {name}") from None
