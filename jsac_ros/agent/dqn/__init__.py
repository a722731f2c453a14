"""DQN (Mnih et al., 2015) for discrete actions. Imports JAX only when an agent is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jsac_ros.agent.dqn.parameters import DqnParameters
from jsac_ros.spaces import Spaces

if TYPE_CHECKING:
    from jsac_ros.agent.agent import Agent


class Dqn:
    Parameters = DqnParameters

    @staticmethod
    def build(parameters: DqnParameters, spaces: Spaces) -> Agent:
        """Raises ConfigError with a line for each unsuitable part of `spaces`."""
        from jsac_ros.agent.dqn.agent import DqnAgent

        return DqnAgent(parameters, spaces)
