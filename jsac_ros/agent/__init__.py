"""The learning algorithms: pure JAX functions. Importing this package imports no JAX; `build` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jsac_ros import plugins
from jsac_ros.config import AgentParameters
from jsac_ros.spaces import Spaces

if TYPE_CHECKING:
    from jsac_ros.agent.agent import Agent


def build(parameters: AgentParameters, spaces: Spaces) -> Agent:
    """The agent of the algorithm that `parameters.type` names.

    Raises PluginError if there is no such algorithm, ConfigError if it cannot learn in these spaces.
    """
    return plugins.load("agent", parameters.type).build(parameters, spaces)
