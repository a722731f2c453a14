"""Classes of messages, services and actions by name: 'geometry_msgs/msg/WrenchStamped'."""

from __future__ import annotations

import importlib
from typing import Any

from jsac_ros.config import ConfigError
from jsac_ros.robots.gripper import REQUESTS, Gripper


def message_class(type_name: str, field: str = "type") -> Any:
    """The class of an installed type: PACKAGE/msg/NAME, or srv or action.

    Raises ConfigError naming `field` if the type is not installed.
    """
    package, _, kind_and_name = type_name.partition("/")
    kind, _, name = kind_and_name.partition("/")
    try:
        return getattr(importlib.import_module(f"{package}.{kind}"), name)
    except ImportError:
        raise ConfigError(
            f"{field} is {type_name!r}: package {package} is not installed; expected an installed message type"
        ) from None
    except AttributeError:
        raise ConfigError(f"{field} is {type_name!r}: package {package} has no {kind} {name}") from None


def request_class(gripper: Gripper) -> Any | None:
    """The action or service type of a gripper's interface; None if the interface is a topic.

    Raises ConfigError if the type is not installed.
    """
    type_name = REQUESTS.get(gripper.config.interface)
    return message_class(type_name, f"what grippers.{gripper.name}.interface needs") if type_name else None
