"""Plug-ins: classes of this and other packages, found by `module:Class` or by the name of an entry point.

Another package gives a task a name with an entry point of the group `jsac_ros.tasks`; it needs none if the configuration
names `module:Class`. The plug-ins of this package are found in the same way (pyproject.toml).

A plug-in is a class with `Parameters`, a pydantic model of its section of the configuration.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from functools import lru_cache
from importlib.metadata import entry_points
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


class PluginError(ConfigError):
    """One line: the plug-in, its error, and where."""


@lru_cache
def names(kind: str) -> tuple[str, ...]:
    """Entry-point names of a kind, sorted."""
    return tuple(sorted(entry_points(group=GROUPS[kind]).names))


@lru_cache
def load(kind: str, name: str) -> Any:
    """The class of a plug-in. kind: of GROUPS; name: `module:Class`, or the name of an entry point.

    Raises PluginError if it cannot be found or imported, or is not a class with a pydantic model `Parameters`.
    """
    target = name if ":" in name else _entry(kind, name)
    module, _, attribute = target.partition(":")
    try:
        plugin: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and module.startswith(error.name):
            raise PluginError(
                f"{name!r}: no module {error.name!r} on PYTHONPATH; expected an importable module:Class"
            ) from None
        raise PluginError(f"{name!r}: {where(error)}") from None
    except Exception as error:  # anything that user code raises
        raise PluginError(f"{name!r}: {where(error)}") from None
    for part in attribute.split("."):
        if not hasattr(plugin, part):
            raise PluginError(f"{name!r}: module {module} has no {attribute!r}{did_you_mean(attribute, dir(plugin))}")
        plugin = getattr(plugin, part)
    if not isinstance(plugin, type):
        raise PluginError(f"{name!r}: {attribute} is {type(plugin).__name__}; expected a class")
    parameters = getattr(plugin, "Parameters", None)
    if not (isinstance(parameters, type) and issubclass(parameters, BaseModel)):
        raise PluginError(f"{name!r}: {attribute} has no Parameters; expected a pydantic model of its configuration")
    return plugin


def make(kind: str, name: str, *arguments: Any) -> Any:
    """An object of a plug-in. Raises the ConfigError of its constructor, and one line for any other exception."""
    plugin = load(kind, name)
    if missing := ", ".join(sorted(getattr(plugin, "__abstractmethods__", ()))):
        raise PluginError(f"{kind}.type {name!r}: {plugin.__name__} in {_file(plugin)} lacks {missing}")
    try:
        return plugin(*arguments)
    except ConfigError:
        raise
    except Exception as error:  # whatever the code of others raises
        raise ConfigError(f"{kind}.type {name!r}: {where(error)}") from None


def check_instance(kind: str, name: str, plugin: Any, base: type) -> None:
    """Raises PluginError if an object of a plug-in is not a `base`."""
    if not isinstance(plugin, base):
        found = f"{type(plugin).__name__} in {_file(type(plugin))}"
        raise PluginError(f"{kind}.type {name!r}: {found} is no {base.__name__}; expected a subclass")


def _file(plugin: type) -> str:
    return getattr(sys.modules.get(plugin.__module__), "__file__", plugin.__module__)


def _entry(kind: str, name: str) -> str:
    for entry in entry_points(group=GROUPS[kind], name=name):
        return entry.value
    known = ", ".join(names(kind)) or "(none is installed)"
    raise PluginError(f"{name!r}: unknown{did_you_mean(name, names(kind))}; expected module:Class or one of {known}")


def where(error: BaseException) -> str:
    """An exception in one line, with its file and line."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {' '.join(str(error).split())} ({last.filename}:{last.lineno})"
