"""JSAC: soft actor-critic from images, as in the write-up. Imports JAX only when an agent is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jsac_ros.agent.jsac.parameters import JsacParameters
from jsac_ros.spaces import Spaces

if TYPE_CHECKING:
    from jsac_ros.agent.agent import Agent


class Jsac:
    Parameters = JsacParameters

    @staticmethod
    def build(parameters: JsacParameters, spaces: Spaces) -> Agent:
        """Raises ConfigError with a line for each unsuitable part of `spaces`."""
        from jsac_ros.agent.jsac.agent import JsacAgent

        return JsacAgent(parameters, spaces)
