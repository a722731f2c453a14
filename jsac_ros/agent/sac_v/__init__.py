"""SAC with a value function (Haarnoja et al., 2018a). Imports JAX only when an agent is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jsac_ros.agent.sac_v.parameters import SacVParameters
from jsac_ros.spaces import Spaces

if TYPE_CHECKING:
    from jsac_ros.agent.agent import Agent


class SacV:
    Parameters = SacVParameters

    @staticmethod
    def build(parameters: SacVParameters, spaces: Spaces) -> Agent:
        """Raises ConfigError with a line for each unsuitable part of `spaces`."""
        from jsac_ros.agent.sac_v.agent import SacVAgent

        return SacVAgent(parameters, spaces)
