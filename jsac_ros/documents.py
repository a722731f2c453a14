"""YAML and JSON from outside: bounded in size, depth and time, every error is a ValueError of one line.

A YAML alias (`*name`) may stand for large content, and aliases of aliases grow without bound when the result is walked
or printed; they are refused. ROS 2's own reader of parameter files has no aliases either.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

YAML_BYTES = 100_000  # our longest configuration has 3,000; PyYAML reads 100 kB a second
JSON_BYTES = 1 << 24
MOST_DEPTH = 32
_SHOWN = 100  # characters of a value in an error


def read(path: str | Path, most_bytes: int) -> str:
    """The text of a file. Raises ValueError if it is too long, is not UTF-8 or cannot be read."""
    try:
        with open(path, "rb") as file:
            content = file.read(most_bytes + 1)
        if len(content) > most_bytes:
            raise ValueError(f"longer than {most_bytes} bytes")
        return content.decode()
    except OSError as error:
        raise ValueError(error.strerror) from None


def yaml_of(text: str) -> Any:
    """Raises ValueError."""
    import yaml  # not at the top: nodes read ROS parameters and do not need it (1 MB of the safety node's 80)

    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise ValueError(f"line {event.start_mark.line + 1}: an alias (*{event.anchor}); expected values written out")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MOST_DEPTH:
                raise ValueError(f"line {event.start_mark.line + 1}: nested deeper than {MOST_DEPTH}")
        return yaml.safe_load(text)
    except Exception as error:  # impossible dates, wrong tags: PyYAML's constructors raise various exceptions
        raise ValueError(one_line(error)) from None


def json_of(text: str | bytes) -> Any:
    """Raises ValueError."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:1000] or type(error).__name__


def shown(value: Any) -> str:
    """A value for an error line, truncated if long."""
    try:
        text = repr(value)
    except ValueError:  # an integer with more digits than Python prints
        return f"a number of {value.bit_length()} bits"
    return cut(text)


def cut(text: str) -> str:
    """Text from outside as one line of readable length."""
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def closest(name: str, known: Iterable[str]) -> str:
    """The known name that is close to a name; "" if none is."""
    import difflib  # only after an error: it would take memory of the safety process

    return next(iter(difflib.get_close_matches(name, list(known), n=1)), "")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """ " (did you mean 'run'?)" if one of the known names is close to `name`, else ""."""
    close = closest(name, known)
    return f" (did you mean {close!r}?)" if close else ""
