"""Configuration and store of a run folder, whatever has become of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsac_ros import documents
from jsac_ros.config import ConfigError, SystemConfig
from jsac_ros.parameters import load


def config_of(folder: Path) -> SystemConfig:
    """No plug-in is imported. The defaults where there is no configuration that can be read."""
    try:
        return load(folder / "config.yaml", kinds=())
    except ConfigError:
        return SystemConfig()


def store_of(folder: Path, config: SystemConfig) -> Path:
    """Where its replay store is, or was."""
    return Path(config.replay.folder).expanduser() if config.replay.folder else folder / "replay"


def tree_of(folder: Path) -> dict[str, Any]:
    """The configuration as its file has it, {section: {field: value}}; {} where there is none that can be read."""
    try:
        (node,) = documents.yaml_of(documents.read(folder / "config.yaml", documents.YAML_BYTES)).values()
        tree = node["ros__parameters"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    return tree if isinstance(tree, dict) else {}


def title_of(folder: Path) -> str:
    """The name of the environment or of the task, or the folder's where there is no configuration."""
    tree = tree_of(folder)
    try:
        return str(tree.get("train", {}).get("environment") or tree["task"]["type"])
    except (KeyError, TypeError, AttributeError):
        return folder.name
