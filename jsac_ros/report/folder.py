"""Configuration and store of a run folder, even if it is incomplete or damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsac_ros import documents
from jsac_ros.config import ConfigError, SystemConfig
from jsac_ros.parameters import load


def config_of(folder: Path) -> SystemConfig:
    """The configuration, without importing plug-ins; the defaults if it cannot be read."""
    try:
        return load(folder / "config.yaml", kinds=())
    except ConfigError:
        return SystemConfig()


def store_of(folder: Path, config: SystemConfig) -> Path:
    """The folder of the run's replay store, which may no longer exist."""
    return Path(config.replay.folder).expanduser() if config.replay.folder else folder / "replay"


def tree_of(folder: Path) -> dict[str, Any]:
    """The configuration as in its file, {section: {field: value}}; {} if it cannot be read."""
    try:
        (node,) = documents.yaml_of(documents.read(folder / "config.yaml", documents.YAML_BYTES)).values()
        tree = node["ros__parameters"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    return tree if isinstance(tree, dict) else {}


def title_of(folder: Path) -> str:
    """The name of the environment or task; the folder's name if there is no configuration."""
    tree = tree_of(folder)
    try:
        return str(tree.get("train", {}).get("environment") or tree["task"]["type"])
    except (KeyError, TypeError, AttributeError):
        return folder.name
