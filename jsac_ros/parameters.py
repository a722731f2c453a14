"""Configurations as ROS 2 parameters: files, trees and single overrides to the models of `config`, and back.

The YAML is a ROS 2 parameter file (`/**: ros__parameters: {section: {field: value}}`), so `ros2 launch`, `ros2 param`
and this module read the same thing. Only this module maps names in a file to fields in Python.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from jsac_ros import documents, plugins, shipped
from jsac_ros.config import (
    ActionParameters,
    Actions,
    AgentParameters,
    ConfigError,
    RobotParameters,
    Section,
    SimParameters,
    SystemConfig,
    TaskParameters,
)

# Sections that are one plug-in each -> the base of its parameters; every part of `actions` is one as well.
PLUGINS: dict[str, type[Section]] = {
    "robot": RobotParameters, "task": TaskParameters, "agent": AgentParameters, "sim": SimParameters,
}  # fmt: skip
ALL = frozenset({*PLUGINS, "action"})
FORMAT = 2  # of the sections and their fields
_OF_FORMAT_1 = (("camera", None), ("robot", "model"), ("task", "name"))  # section, field
_MOST_INT = 2**63 - 1  # of a ROS parameter
_MOST_LINES = 20  # of one error
_MOST_CHARACTERS, _MOST_SECTIONS = 200, 8  # of a name


# pydantic's words -> ours; the first match counts
_EXPECTED = {
    "Input should be greater than or equal to": "expected at least",
    "Input should be less than or equal to": "expected at most",
    "Input should be greater than": "expected more than",
    "Input should be a valid integer": "expected a whole number",
    "Input should be a valid boolean": "expected true or false",
    "Input should be a valid tuple": "expected a list",
    "Input should be a valid string": "expected text",
    "Input should be a valid": "expected a",
    "String should match pattern": "expected text that matches",
    "Input should be": "expected",
}


class Opaque(BaseModel):
    """The section of a plug-in that this process does not import; its fields are kept as in the file."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: Any = None


def from_parameters(values: dict[str, Any], kinds: Collection[str] = ALL) -> SystemConfig:
    """Checks a tree (or dotted names) of ROS parameters. Raises ConfigError with one line per wrong field.

    kinds: the kinds of plug-ins to import and check; the sections of the others are not checked.
    """
    tree = _tuples(_as_tree(values))
    tree.pop("use_sim_time", None)  # every ROS node has it; rclpy acts on it
    _check_format(tree)
    problems: list[str] = []
    types = {kind: _model_of(kind, kind, base, tree.get(kind), kinds, problems) for kind, base in PLUGINS.items()}
    parts = tree.get("actions", {})
    if isinstance(parts, dict):
        actions = tuple(
            (name, _model_of(f"actions.{name}", "action", ActionParameters, part, kinds, problems))
            for name, part in sorted(parts.items())
        )
    else:
        actions = ()
    model = _system_model(tuple(types.items()), actions)
    try:
        config = model.model_validate(tree)
    except ValidationError as error:
        problems += _lines(error.errors(), model)
    if problems:
        more = [f"and {len(problems) - _MOST_LINES} more"] if len(problems) > _MOST_LINES else []
        raise ConfigError("\n".join(problems[:_MOST_LINES] + more)) from None
    return config


def _check_format(tree: dict[str, Any], what: str = "the configuration") -> None:
    """Raises ConfigError with one line for a tree of the format before this one. what: its name in the line."""
    found = [
        section if field is None else f"{section}.{field}"
        for section, field in _OF_FORMAT_1
        if isinstance(tree.get(section), dict) and (field is None or field in tree[section])
    ]
    if len(found) > 1:  # one alone is a mistake in a new one
        raise ConfigError(
            f"{what} is of format 1 ({', '.join(found)}; jsac_ros 0.1), which is not read; expected "
            f"format {FORMAT} (cameras.NAME, robot.type, task.type)"
        )


def _model_of(
    where: str, kind: str, base: type[Section], section: Any, kinds: Collection[str], problems: list[str]
) -> type[BaseModel]:
    """The model of a plug-in's section; if the plug-in cannot be loaded, a problem is added and the section passes."""
    if kind not in kinds:
        return Opaque
    default = base.model_fields["type"].get_default()  # PydanticUndefined where a type must be given
    name = section.get("type", default) if isinstance(section, dict) else default
    if not isinstance(name, str) or len(name) > _MOST_CHARACTERS:
        problems.append(
            f"{where}.type is {'missing' if name is default else documents.shown(name)}; expected the name of a plug-in"
        )
        return Opaque
    try:
        model = plugins.load(kind, name).Parameters
    except plugins.PluginError as error:
        problems.append(f"{where}.type is {error}")
        return Opaque
    if not issubclass(model, base):
        problems.append(f"{where}.type is {name!r}: its Parameters do not extend {base.__name__}; expected a subclass")
        return Opaque
    return model


@lru_cache
def _system_model(types: tuple[tuple[str, type], ...], actions: tuple[tuple[str, type], ...]) -> type[SystemConfig]:
    """`SystemConfig` with the models of these plug-ins in it."""
    parts: dict[str, Any] = {name: (model, ...) for name, model in actions}
    fields: dict[str, Any] = {"actions": (create_model("Actions", __base__=Actions, **parts), ... if parts else Actions())}
    for kind, model in types:
        default = PLUGINS[kind].model_fields["type"].default
        fields[kind] = (model, Field(default_factory=lambda model=model, default=default: model(type=default)))
    return create_model("SystemConfig", __base__=SystemConfig, **fields)


def _lines(problems: list[Any], model: type[BaseModel]) -> list[str]:
    """One line for each problem; the known keys of a section only once."""
    lines, listed = [], set()
    for problem in problems:
        line, section = _line(problem, model), problem["loc"][:-1]
        head, known, _ = line.partition("; known are ")
        lines.append(head if known and section in listed else line)
        if known:
            listed.add(section)
    return lines


def _line(problem: Any, model: type[BaseModel]) -> str:
    where = documents.cut(".".join(str(part) for part in problem["loc"])) or "config"
    if problem["type"] == "extra_forbidden":
        known = _known(problem["loc"][:-1], model)
        close = documents.closest(str(problem["loc"][-1]), known)
        return f"{where}: unknown key; " + (f"did you mean {close}?" if close else f"known are {', '.join(known)}")
    if problem["type"] == "missing":
        return f"{where} is missing; expected a value"
    value = "" if isinstance(problem["input"], dict) else f" is {documents.shown(problem['input'])}"
    message = problem["msg"].removeprefix("Value error, ")
    for theirs, ours in _EXPECTED.items():
        message = message.replace(theirs, ours)
    return f"{where}{value}: {message}"


def _known(path: tuple, model: Any) -> list[str]:
    """Names of the fields of the section at `path`."""
    for part in path:
        if isinstance(model, type) and issubclass(model, BaseModel):
            model = model.model_fields[part].annotation
        elif get_origin(model) is dict:  # a section by name, as `cameras.wrist`
            model = get_args(model)[1]
    return list(model.model_fields)


def to_parameters(config: BaseModel) -> dict[str, Any]:
    """The tree that `from_parameters` reads; empty values are left out (ROS cannot type them)."""
    return {name: section for name, section in _plain(config.model_dump()).items() if section}


def _plain(tree: dict[str, Any]) -> dict[str, Any]:
    plain = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            value = _plain(value)
        elif isinstance(value, tuple):
            value = [list(row) if isinstance(row, tuple) else row for row in value]
        if value not in ([], {}, None):
            plain[name] = value
    return plain


def _as_tree(values: dict[str, Any]) -> dict[str, Any]:
    """{"a.b": 1, "c": {"d": 2}} -> {"a": {"b": 1}, "c": {"d": 2}}."""
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *sections, field = str(name).split(".")
        if len(sections) > _MOST_SECTIONS:
            raise ConfigError(f"{documents.cut(str(name))}: {len(sections)} sections in one name; expected section.field")
        at = tree
        for section in sections:
            at = at.setdefault(section, {})
            if not isinstance(at, dict):
                raise ConfigError(f"{documents.cut(str(name))}: {documents.cut(section)} is a value, not a section")
        if isinstance(value, dict):
            value = _as_tree(value)
            if isinstance(at.get(field), dict):
                at[field].update(value)
                continue
        at[field] = value
    return tree


def _tuples(value: Any, where: str = "") -> Any:
    """Converts lists, the only sequences in YAML and ROS, to tuples, the only ones in the models.

    Raises ConfigError for an integer that no ROS parameter can hold.
    """
    if isinstance(value, dict):
        return {name: _tuples(part, f"{where}.{name}" if where else str(name)) for name, part in value.items()}
    if isinstance(value, list):
        return tuple(_tuples(part, where) for part in value)
    if isinstance(value, int) and not -_MOST_INT <= value <= _MOST_INT:
        raise ConfigError(f"{documents.cut(where)} is {documents.shown(value)}; expected a number of 64 bits")
    return value


def load(path: str | Path, overrides: dict[str, Any] | None = None, kinds: Collection[str] = ALL) -> SystemConfig:
    """Reads a ROS 2 parameter file, or a shipped one by its bare name. `overrides` are dotted names: {"run.seed": 3}.

    Raises ConfigError if the file is missing, is not a parameter file, or a field is wrong.
    """
    try:
        document = documents.yaml_of(documents.read(shipped.find(path), documents.YAML_BYTES))
    except ValueError as error:
        raise ConfigError(f"config {path}: {error}") from None
    try:
        (node,) = document.values()
        tree = node["ros__parameters"]
    except (AttributeError, TypeError, KeyError, ValueError):
        tree = None
    if not isinstance(tree, dict):
        raise ConfigError(f"config {path}: expected one ROS parameter block '/**: ros__parameters: ...'")
    _check_format(tree, f"config {path}")
    return from_parameters(with_overrides(tree, overrides or {}), kinds)


def with_overrides(tree: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """A tree of parameters with some replaced: {"cameras.wrist.height": 64}. Raises ConfigError."""
    tree = _as_tree(tree)
    for name, value in overrides.items():
        *sections, field = name.split(".")
        at: Any = tree
        for section in sections:
            at = at.setdefault(section, {}) if isinstance(at, dict) else None
        if not sections or not isinstance(at, dict):
            raise ConfigError(f"{documents.cut(name)}: expected section.field=value")
        at[field] = value
    return tree


def dump(config: BaseModel, path: str | Path, sections: Collection[str] = ()) -> None:
    """Writes the resolved configuration as a ROS 2 parameter file; only `sections`, if any are named."""
    import yaml

    tree = {name: section for name, section in to_parameters(config).items() if not sections or name in sections}
    document = {"/**": {"ros__parameters": tree}}

    class Dumper(yaml.SafeDumper):
        """Quotes words that rcl's parser, unlike PyYAML, does not read as strings: y, n and numbers such as 1e3."""

    def represent(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if _ambiguous(text) else None)

    Dumper.add_representer(str, represent)
    Path(path).write_text(yaml.dump(document, Dumper=Dumper, sort_keys=False, default_flow_style=None, width=100))


def _ambiguous(text: str) -> bool:
    """Whether rcl_yaml_param_parser reads the bare word as a bool or a number (its src/parse.c: words, strtol, strtod)."""
    if text.lower() in ("y", "n", "yes", "no", "on", "off", "true", "false", "nan", ".nan", "inf", "+inf", "-inf", ".inf"):
        return True
    for read in (float, lambda word: int(word, 0)):
        with contextlib.suppress(ValueError):
            read(text)
            return True
    return False


def parse_override(text: str) -> tuple[str, Any]:
    """'run.seed=3' -> ("run.seed", 3), the value read as YAML. Raises ConfigError."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigError(f"{documents.shown(text)}: expected section.field=value")
    if not value:  # after shell quoting of robot.program_running_topic=''
        return name, ""
    try:
        read = documents.yaml_of(value)
    except ValueError as error:
        raise ConfigError(f"{documents.cut(name)} is {documents.shown(value)}: {error}; expected YAML") from None
    if isinstance(read, str):  # YAML 1.1 reads 1.0e-3 as a number, but not 1e-3
        with contextlib.suppress(ValueError):
            return name, float(read)
    return name, read
