"""Configuration and store of a run folder, whatever has become of it."""

from __future__ import annotations

from pathlib import Path

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
