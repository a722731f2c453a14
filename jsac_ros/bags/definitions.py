"""Message definitions for reading and writing bags without ROS: Jazzy's, ours and those a bag carries itself."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from rosbags.interfaces import Connection, MessageDefinitionFormat
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore


@lru_cache
def known() -> Typestore:
    """ROS 2 Jazzy's standard messages and those of this package."""
    store = get_typestore(Stores.ROS2_JAZZY)
    ours = {}
    for path in sorted(_message_folder().glob("*.msg")):
        ours.update(get_types_from_msg(path.read_text(), f"jsac_ros/msg/{path.stem}"))
    store.register(ours)
    return store


def _message_folder() -> Path:
    """`msg/` of the source tree, or share/jsac_ros/msg of an installed package."""
    source = Path(__file__).resolve().parents[2] / "msg"
    if source.is_dir():
        return source
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        installed = Path(prefix) / "share" / "jsac_ros" / "msg"
        if installed.is_dir():
            return installed
    raise FileNotFoundError("message definitions of jsac_ros: neither msg/ nor share/jsac_ros/msg on AMENT_PREFIX_PATH")


def with_bag(connections: Iterable[Connection]) -> Typestore:
    """`known`, and what the bag itself defines: its own definitions win, they are what its bytes were written with.

    A definition that cannot be read is left out; messages of that type are then unknown.
    """
    types = dict(known().fielddefs)
    for connection in connections:
        try:
            if connection.msgdef.format == MessageDefinitionFormat.MSG:
                types.update(get_types_from_msg(connection.msgdef.data, connection.msgtype))
            elif connection.msgdef.format == MessageDefinitionFormat.IDL:
                types.update(get_types_from_idl(connection.msgdef.data))
        except Exception:  # a parser's many ways to stumble over what somebody else wrote
            continue
    store = get_typestore(Stores.EMPTY)
    store.register(types)
    return store
