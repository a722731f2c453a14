"""Messages and table rows as JSON values. Non-finite numbers become null, and a session id becomes text because JavaScript
has integers only up to 2^53."""

from __future__ import annotations

import math
from typing import Any


def of_message(message: Any) -> dict[str, Any]:
    """The fields of a status message, without its header."""
    values = {}
    for name in message.get_fields_and_field_types():
        value = getattr(message, name)
        if name == "header":
            continue
        if isinstance(value, (bool, str, int)):
            values[name] = str(value) if name == "session" else value
        elif isinstance(value, float):
            values[name] = _number(value)
        else:
            values[name] = [v if isinstance(v, str) else _number(float(v)) for v in value]
    return values


def of_row(row: dict[str, str]) -> dict[str, Any]:
    """The values of a row of episodes.csv."""
    return {name: text if name == "session" else _value(text) for name, text in row.items()}


def _value(text: str) -> Any:
    try:
        return _number(float(text))
    except ValueError:
        return text


def _number(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
