"""Message definitions for reading and writing bags without ROS: from Jazzy, this package, installed packages and bags."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat, Nodetype
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from jsac_ros import shipped


@lru_cache
def known() -> Typestore:
    """ROS 2 Jazzy's standard messages and those of this package."""
    store = get_typestore(Stores.ROS2_JAZZY)
    ours = {}
    for path in sorted(shipped.folder("msg").glob("*.msg")):
        ours.update(get_types_from_msg(path.read_text(), f"jsac_ros/msg/{path.stem}"))
    store.register(ours)
    return store


@lru_cache
def with_installed(type_name: str) -> Typestore | None:
    """`known` plus this message type and all nested types, read from installed packages; None if one is not installed."""
    if type_name in known().fielddefs:
        return known()
    types, missing = dict(known().fielddefs), [type_name]
    while missing:
        name = missing.pop()
        package, _, kind = name.partition("/msg/")
        path = _installed(f"{package}/msg/{kind}.msg")
        if path is None:
            return None
        types.update(get_types_from_msg(path.read_text(), name))
        missing += [inner for inner in _inner_types(types[name]) if inner not in types and inner not in missing]
    store = get_typestore(Stores.EMPTY)
    store.register(types)
    return store


def _inner_types(definition) -> list[str]:
    """Names of the message types of a message's fields."""
    found, todo = [], [field for _, field in definition[1]]
    while todo:
        node, about = todo.pop()
        if node == Nodetype.NAME:
            found.append(about)
        elif node in (Nodetype.ARRAY, Nodetype.SEQUENCE):
            todo.append(about[0])
    return found


def _installed(path: str) -> Path | None:
    """The path below share/ of an installed package; None if there is none."""
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    return next((found for prefix in prefixes if (found := Path(prefix) / "share" / path).exists()), None)


def with_bag(defined: Iterable[tuple[str, MessageDefinition]]) -> Typestore:
    """`known` plus the definitions in a bag. Those of the bag take precedence, as its messages were written with them.

    A definition that cannot be parsed is skipped; messages of its type are then unknown.
    """
    return _store_of(tuple(dict.fromkeys(d for d in defined if d[1].format != MessageDefinitionFormat.NONE)))


@lru_cache(8)
def _store_of(defined: tuple[tuple[str, MessageDefinition], ...]) -> Typestore:
    types = dict(known().fielddefs)
    for name, definition in defined:
        try:
            if definition.format == MessageDefinitionFormat.MSG:
                types.update(get_types_from_msg(definition.data, name))
            else:
                types.update(get_types_from_idl(definition.data))
        except Exception:  # the parser raises various types for definitions that it does not understand
            continue
    store = get_typestore(Stores.EMPTY)
    store.register(types)
    return store
