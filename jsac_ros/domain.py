"""The location of a system: a namespace in a ROS domain. Resources that are unique there on a host are named by both."""

from __future__ import annotations

import os
import re
from importlib.util import find_spec

from jsac_ros.config import ConfigError

LAST_DOMAIN = 232  # Fast DDS has no ports for larger ids
ROOT = "/"


def missing_ros() -> list[str]:
    """The modules of ROS 2 and of this package that a run needs and that are not installed."""
    return [name for name in ("jsac_ros.nodes", "jsac_ros.msg", "rclpy") if find_spec(name) is None]


def expect_ros() -> None:
    """Raises ConfigError if ROS 2 or the nodes of this package are not installed: `pip install` installs neither."""
    if missing := missing_ros():
        raise ConfigError(
            f"not installed: {', '.join(missing)}; expected ROS 2 Jazzy and all of jsac_ros (`make setup` in a clone of it)"
        )


def domain_id() -> int:
    """The domain id from ROS_DOMAIN_ID. Raises ConfigError."""
    text = os.environ.get("ROS_DOMAIN_ID") or "0"
    if not re.fullmatch(r"[0-9]+", text) or int(text) > LAST_DOMAIN:
        raise ConfigError(f"ROS_DOMAIN_ID is {text!r}; expected a whole number from 0 to {LAST_DOMAIN}")
    return int(text)


def absolute(namespace: str) -> str:
    """'left' -> '/left', '' -> '/'. Raises ConfigError if it is not a ROS namespace."""
    inner = namespace.strip("/")
    if inner and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*", inner):
        raise ConfigError(f"namespace is {namespace!r}; expected names of letters, digits and _, such as left or lab/left")
    return ROOT + inner


def key(namespace: str = ROOT, number: int | None = None) -> str:
    """'jsac_0_' for the root, 'jsac_0.left.' for /left: the prefix of names of shared memory and of claims.

    number: of the domain, default the user's.
    """
    inner = absolute(namespace).strip("/").replace("/", ".")
    return f"jsac_{domain_id() if number is None else number}" + (f".{inner}." if inner else "_")
