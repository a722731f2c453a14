"""From a node's ROS parameters to the one configuration that all of them share."""

from __future__ import annotations

import array

from rclpy.node import Node

from jsac_ros.config import SystemConfig, from_parameters


def load_config(node: Node) -> SystemConfig:
    """Reads every parameter the node was started with (`automatically_declare_parameters_from_overrides`).

    Raises jsac_ros.config.ConfigError.
    """
    values = {name: parameter.value for name, parameter in node.get_parameters_by_prefix("").items()}
    sections = {name: list(v) if isinstance(v, array.array) else v for name, v in values.items()}
    ours = {name: v for name, v in sections.items() if "." in name and not name.startswith("qos_overrides.")}
    return from_parameters(ours)
