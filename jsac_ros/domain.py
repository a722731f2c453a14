"""Where a system is: a namespace of a ROS domain. What may exist once there on a host is named by both."""

from __future__ import annotations

import os
import re

from jsac_ros.config import ConfigError

LAST_DOMAIN = 232  # Fast DDS has no ports for more
ROOT = "/"


def domain_id() -> int:
    """Of ROS_DOMAIN_ID. Raises ConfigError."""
    text = os.environ.get("ROS_DOMAIN_ID") or "0"
    if not re.fullmatch(r"[0-9]+", text) or int(text) > LAST_DOMAIN:
        raise ConfigError(f"ROS_DOMAIN_ID is {text!r}; expected a whole number from 0 to {LAST_DOMAIN}")
    return int(text)


def absolute(namespace: str) -> str:
    """'left' -> '/left', '' -> '/'. Raises ConfigError where it is no ROS namespace."""
    inner = namespace.strip("/")
    if inner and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*", inner):
        raise ConfigError(f"namespace is {namespace!r}; expected names of letters, digits and _, such as left or lab/left")
    return ROOT + inner


def key(namespace: str = ROOT, number: int | None = None) -> str:
    """'jsac_0_' for the root, 'jsac_0.left.' for /left: how names of shared memory and of claims begin.

    number: of the domain, default the user's.
    """
    inner = absolute(namespace).strip("/").replace("/", ".")
    return f"jsac_{domain_id() if number is None else number}" + (f".{inner}." if inner else "_")
