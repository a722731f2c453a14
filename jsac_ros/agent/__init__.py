"""What learns: pure functions of JAX. Importing this package imports no JAX; `build` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jsac_ros import plugins
from jsac_ros.config import AgentParameters
from jsac_ros.spaces import Spaces

if TYPE_CHECKING:
    from jsac_ros.agent.agent import Agent


def build(parameters: AgentParameters, spaces: Spaces) -> Agent:
    """The agent of the algorithm that `parameters.type` names.

    Raises PluginError where there is no such algorithm, ConfigError where it cannot learn in these spaces.
    """
    return plugins.load("agent", parameters.type).build(parameters, spaces)
