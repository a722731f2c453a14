"""Replaces fields in the text of a configuration file; comments, order and everything else are kept."""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from jsac_ros import documents, shipped
from jsac_ros.config import ConfigError
from jsac_ros.files import replaced

_INDENT = "  "
Values = Mapping[str, Sequence[float]]  # dotted name of a field -> its new list


def target_of(config: str, out: Path | None) -> tuple[Path, Path]:
    """The file to read and the file to write: the same, or `out`; for a shipped configuration a copy in this folder.

    Raises ConfigError if the file does not exist, or the copy already does.
    """
    try:
        source = shipped.find(config)
    except ValueError as error:
        raise ConfigError(f"config {config}: {error}") from None
    is_ours = source.parent == shipped.folder() and not Path(config).is_file()
    target = out or (Path(source.name) if is_ours else source)
    if is_ours and not out and target.exists():
        raise ConfigError(f"{target} exists already; expected its name, or --out FILE for a copy of {config}")
    return source, target.resolve() if target.is_symlink() else target


def edited(text: str, values: Values) -> str:
    """The text of a parameter file with these fields set. Raises ConfigError if it is not a parameter file."""
    for name, value in values.items():
        text = _with(text, name, f"[{', '.join(f'{part:g}' if isinstance(part, int) else repr(part) for part in value)}]")
    tree = documents.yaml_of(text)
    for name, value in values.items():
        if _value(tree, name) != list(value):
            raise ConfigError(f"{name}: cannot be written into this file; expected a block of sections and fields")
    return text


def difference(before: str, after: str, name: str) -> str:
    """The difference as `diff -u` shows it; '' if there is none."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), name, name, lineterm="", n=1)
    return "\n".join(lines)


def write(path: Path, text: str) -> None:
    """Writes atomically and keeps the file's permissions. Raises ConfigError."""
    try:
        with replaced(path) as beside:
            beside.write_text(text)
            if path.exists():
                shutil.copymode(path, beside)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; expected a file that this user can write") from None


def read(path: Path) -> str:
    """Raises ConfigError."""
    try:
        return documents.read(path, documents.YAML_BYTES)
    except ValueError as error:
        raise ConfigError(f"config {path}: {error}") from None


def _with(text: str, name: str, value: str) -> str:
    """The text with one field replaced, or added below the last one of its section."""
    node, left = _root(text), name.split(".")
    while True:
        key, child, taken = _child(node, left)
        if key is None:
            return _added(text, node, left, value)
        if taken == len(left):
            return text[: child.start_mark.index] + value + text[child.end_mark.index :]
        if not isinstance(child, yaml.MappingNode):
            raise ConfigError(f"{name}: {key.value} is a value, not a section")
        node, left = child, left[taken:]


def _root(text: str) -> yaml.MappingNode:
    """The node below `/**: ros__parameters:`. Raises ConfigError."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        ((_, block),) = root.value
        (parameters,) = [value for key, value in block.value if key.value == "ros__parameters"]
    except (yaml.YAMLError, AttributeError, ValueError, TypeError):
        parameters = None
    if not isinstance(parameters, yaml.MappingNode) or not parameters.value:
        raise ConfigError("expected one ROS parameter block '/**: ros__parameters: ...'")
    return parameters


def _child(node: yaml.MappingNode, names: list[str]) -> tuple[yaml.Node | None, yaml.Node | None, int]:
    """Key and value of the entry that leads to a field, and how many of its names it covers, as keys may be dotted."""
    for key, value in node.value:
        parts = str(key.value).split(".")
        if parts == names[: len(parts)]:
            return key, value, len(parts)
    return None, None, 0


def _added(text: str, node: yaml.MappingNode, names: list[str], value: str) -> str:
    if node.flow_style:
        place = text.rindex("}", node.start_mark.index, node.end_mark.index)
        comma = ", " if node.value else ""
        return f"{text[:place].rstrip()}{comma}{'.'.join(names)}: {value}{text[place:]}"
    indent = " " * node.value[0][0].start_mark.column
    lines = [f"{indent}{_INDENT * depth}{name}:" for depth, name in enumerate(names)]
    place = text.find("\n", _end(node))
    place = len(text) if place < 0 else place
    return text[:place] + "\n" + "\n".join(lines) + f" {value}" + text[place:]


def _end(node: yaml.Node) -> int:
    """The end of a section's last value. (The end mark of a block is the start of the next token.)"""
    while isinstance(node, (yaml.MappingNode, yaml.SequenceNode)) and node.value and not node.flow_style:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    return node.end_mark.index


def _value(tree: object, name: str) -> object:
    """The value of a field in a document with any dotted keys."""
    (block,) = tree.values()
    at, left = block["ros__parameters"], name.split(".")
    while left:
        taken = next((n for n in range(1, len(left) + 1) if isinstance(at, dict) and ".".join(left[:n]) in at), 0)
        if not taken:
            return None
        at, left = at[".".join(left[:taken])], left[taken:]
    return at
