"""The part of a policy's folder that can be read without JAX, so that a starter can check it: `policy.json` and its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from jsac_ros import documents
from jsac_ros.config import ConfigError
from jsac_ros.spaces import Spaces

ABOUT, WEIGHTS = "policy.json", "policy.safetensors"
FORMAT = 2
_LARGEST_JSON = 1 << 20  # bytes


def folder_of(given: Path) -> Path:
    """The folder of a policy, or of a run with one. Raises ConfigError."""
    for folder in (given, given / "policy"):
        if (folder / ABOUT).is_file():
            return folder.resolve()
    raise ConfigError(f"policy {given}: has no {ABOUT}; expected the folder of a policy or of a run")


def about_of(folder: Path) -> dict[str, Any]:
    """The content of policy.json. Raises ValueError with one line if it cannot be read or has another format."""
    try:
        about = documents.json_of(documents.read(folder / ABOUT, _LARGEST_JSON))
    except ValueError as error:
        raise ValueError(f"{ABOUT} cannot be read: {error}") from None
    found = about.get("format") if isinstance(about, dict) else type(about).__name__
    if found != FORMAT:
        raise ValueError(f"format {found}; expected {FORMAT}")
    return about


def check(folder: Path, spaces: Spaces) -> None:
    """Raises ValueError with one line if the files are inconsistent, or if the policy was learned in other spaces."""
    about = about_of(folder)
    try:
        with safe_open(folder / WEIGHTS, framework="numpy") as file:
            found = {name: list(file.get_slice(name).get_shape()) for name in file.keys()}
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{WEIGHTS} cannot be read: {documents.one_line(error)}") from None
    if found != about.get("tensors"):
        raise ValueError(f"{WEIGHTS} has other arrays than {ABOUT} names; expected the two of one policy")
    try:
        learned_in = Spaces.from_json(about["spaces"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{ABOUT}: spaces: {documents.one_line(error)}") from None
    if difference := learned_in.difference(spaces):
        raise ValueError(f"it was learned on another rig: {difference}")
