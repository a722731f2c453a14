"""Plug-ins: classes of this and other packages, found by `module:Class` or by the name of an entry point.

Another package gives a task a name with an entry point of the group `jsac_ros.tasks`; it needs none if the configuration
names `module:Class`. The plug-ins of this package are found in the same way (pyproject.toml).

A plug-in is a class with `Parameters`, a pydantic model of its section of the configuration.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import distributions
from typing import Any

from pydantic import BaseModel

from jsac_ros.config import ConfigError
from jsac_ros.documents import did_you_mean

GROUPS = {
    "agent": "jsac_ros.agents",
    "robot": "jsac_ros.robots",
    "task": "jsac_ros.tasks",
    "sim": "jsac_ros.sims",
    "action": "jsac_ros.actions",
}
# What a plug-in of a kind is a subclass of; imported only with a plug-in of that kind.
BASES = {
    "agent": "jsac_ros.agent:Algorithm",
    "robot": "jsac_ros.robots.robot:Robot",
    "task": "jsac_ros.tasks.task:Task",
    "sim": "jsac_ros.sim.sim:Sim",
    "action": "jsac_ros.control.actions.part:ActionPart",
}


# What code of others may raise, sys.exit() too; a KeyboardInterrupt is a person's.
FAULTS = (Exception, SystemExit)


class PluginError(ConfigError):
    """One line: the plug-in, its error, and where."""


@lru_cache
def names(kind: str) -> tuple[str, ...]:
    """Entry-point names of a kind, sorted."""
    return tuple(sorted(_entries(GROUPS[kind])))


@lru_cache
def load(kind: str, name: str) -> Any:
    """The class of a plug-in. kind: of GROUPS; name: `module:Class`, or the name of an entry point.

    Raises PluginError if it cannot be found or imported, is not a class of its kind with a pydantic model `Parameters`, or
    lacks a method.
    """
    plugin, attribute = imported(name, name if ":" in name else _entry(kind, name))
    if not isinstance(plugin, type):
        raise PluginError(f"{name!r}: {attribute} is {type(plugin).__name__}; expected a class")
    parameters = getattr(plugin, "Parameters", None)
    if not (isinstance(parameters, type) and issubclass(parameters, BaseModel)):
        raise PluginError(f"{name!r}: {attribute} has no Parameters; expected a pydantic model of its configuration")
    _check_class(kind, name, plugin)
    return plugin


def imported(name: str, target: str) -> tuple[Any, str]:
    """What `target`, `module:Name`, is, and its name in that module. name: in errors. Raises PluginError."""
    module, _, attribute = target.partition(":")
    try:
        plugin: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and module.startswith(error.name):
            raise PluginError(
                f"{name!r}: no module {error.name!r} on PYTHONPATH; expected an importable module:Class"
            ) from None
        raise PluginError(f"{name!r}: {where(error)}") from None
    except FAULTS as error:
        raise PluginError(f"{name!r}: {where(error)}") from None
    for part in attribute.split("."):
        if not hasattr(plugin, part):
            raise PluginError(f"{name!r}: module {module} has no {attribute!r}{did_you_mean(attribute, dir(plugin))}")
        plugin = getattr(plugin, part)
    return plugin, attribute


def _check_class(kind: str, name: str, plugin: type) -> None:
    """Raises PluginError if a class is not a plug-in of its kind, or lacks a method."""
    module, _, base_name = BASES[kind].partition(":")
    found = f"{plugin.__name__} in {getattr(sys.modules.get(plugin.__module__), '__file__', plugin.__module__)}"
    if not issubclass(plugin, getattr(importlib.import_module(module), base_name)):
        raise PluginError(f"{name!r}: {found} is not a {base_name}; expected a subclass of {BASES[kind]}")
    if missing := ", ".join(sorted(getattr(plugin, "__abstractmethods__", ()))):
        raise PluginError(f"{name!r}: {found} lacks {missing}")


def make(kind: str, name: str, *arguments: Any, field: str = "") -> Any:
    """An object of a plug-in. Raises the ConfigError of its constructor, and one line for any other exception.

    field: where `name` is configured, by default `kind.type`.
    """
    plugin = load(kind, name)
    with named(f"{field or f'{kind}.type'} {name!r}"):
        return plugin(*arguments)


@contextmanager
def named(what: str) -> Iterator[None]:
    """Makes an exception of a plug-in's code a PluginError: `what`, the exception, its file and line."""
    try:
        yield
    except ConfigError:
        raise
    except FAULTS as error:
        raise PluginError(f"{what}: {where(error)}") from None


def _entry(kind: str, name: str) -> str:
    if value := _entries(GROUPS[kind]).get(name):
        return value
    known = ", ".join(names(kind)) or "(none is installed)"
    raise PluginError(f"{name!r}: unknown{did_you_mean(name, names(kind))}; expected module:Class or one of {known}")


@lru_cache
def _entries(group: str) -> dict[str, str]:
    """The entry points of a group: name -> value. The first one on the path counts.

    Not `importlib.metadata.entry_points`, which reads one description of each package: colcon leaves two of ours in one folder,
    ours and that of the messages, which has no entry points, and the file system decides which is listed first.
    """
    found: dict[str, str] = {}
    for entry in (entry for distribution in distributions() for entry in distribution.entry_points):
        if entry.group == group:
            found.setdefault(entry.name, entry.value)
    return found


def where(error: BaseException) -> str:
    """An exception in one line, with its file and line."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    text, file, line = str(error), last.filename, last.lineno
    if isinstance(error, SyntaxError) and error.filename:  # raised by the import system, of a line that never ran
        text, file, line = error.msg, error.filename, error.lineno
    return f"{type(error).__name__}: {' '.join(text.split())} ({file}:{line})"
