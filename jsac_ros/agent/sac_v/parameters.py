"""Parameters of SAC with a value function."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from jsac_ros.agent.parameters import ActorCriticParameters


class SacVParameters(ActorCriticParameters):
    type: str = "sac_v"
    q_count: Annotated[int, Field(ge=1, le=100)] = 2
