"""Reads the system's configuration from the ROS parameters of a node, once."""

from __future__ import annotations

import array
from collections.abc import Collection

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter_service import ParameterService

from jsac_ros.config import SystemConfig
from jsac_ros.nodes.polled import Polled
from jsac_ros.parameters import from_parameters

READ_ONLY = (
    "parameters are read when a process starts and are not changed while it runs; "
    "give section.field=value to jsac-ros run, or change the configuration file, and start the system again"
)


def load_config(node: Node, kinds: Collection[str]) -> SystemConfig:
    """Reads all parameters that the node was started with (`automatically_declare_parameters_from_overrides`).

    kinds: plug-ins whose sections are checked, as for `parameters.from_parameters`. Raises ConfigError.
    """
    values = {name: parameter.value for name, parameter in node.get_parameters_by_prefix("").items()}
    sections = {name: list(v) if isinstance(v, array.array) else v for name, v in values.items()}
    ours = {name: v for name, v in sections.items() if "." in name and not name.startswith("qos_overrides.")}
    return from_parameters(ours, kinds)


def refuse_changes(_) -> SetParametersResult:
    """For `add_on_set_parameters_callback`; runs before rclpy's own callback, which would act on `use_sim_time`."""
    return SetParametersResult(successful=False, reason=READ_ONLY)


class PolledParameters:
    """The parameter services of a node, polled, as an executor would check them at every message. Call `answer` regularly."""

    def __init__(self, node: Node):
        self._node, self._group = node, Polled()
        self._polled = []
        self._parameters = ParameterService(self)

    def create_service(self, *arguments, **options):
        self._polled.append(self._node.create_service(*arguments, callback_group=self._group, **options))

    def __getattr__(self, name: str):
        return getattr(self._node, name)  # this object replaces the node for ParameterService

    def answer(self) -> None:
        """Answers all waiting requests."""
        for service in self._polled:
            with service.handle:
                request, header = service.handle.service_take_request(service.srv_type.Request)
            if header is not None:
                service.send_response(service.callback(request, service.srv_type.Response()), header)
