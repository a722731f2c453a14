"""The learning algorithms: pure JAX functions. Importing this package imports no JAX; `build` does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from jsac_ros import plugins
from jsac_ros.config import AgentParameters
from jsac_ros.spaces import Spaces

if TYPE_CHECKING:
    from jsac_ros.agent.agent import Agent


class Algorithm(ABC):
    """What an agent's plug-in is (entry points of group `jsac_ros.agents`): importing it imports no JAX, `build` does."""

    Parameters: type[AgentParameters] = AgentParameters

    @staticmethod
    @abstractmethod
    def build(parameters: AgentParameters, spaces: Spaces) -> Agent:
        """Raises ConfigError with a line for each part of `spaces` that does not fit."""


def build(parameters: AgentParameters, spaces: Spaces) -> Agent:
    """The agent of the algorithm that `parameters.type` names.

    Raises PluginError if there is no such algorithm, ConfigError if it cannot learn in these spaces.
    """
    plugin = plugins.load("agent", parameters.type)
    with plugins.named(f"agent.type {parameters.type!r}"):
        agent = plugin.build(parameters, spaces)
        from jsac_ros.agent.agent import Agent  # only here: it imports JAX

        if not isinstance(agent, Agent):
            raise TypeError(f"build() returned {type(agent).__name__}; expected a jsac_ros.agent.agent.Agent")
        return agent
