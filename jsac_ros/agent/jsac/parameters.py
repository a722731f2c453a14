"""Parameters of JSAC; every deviation from the write-up is an option and off by default."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from jsac_ros.agent.parameters import ActorCriticParameters


class JsacParameters(ActorCriticParameters):
    type: str = "jsac"
    q_subset: Annotated[int, Field(ge=0)] = 0  # REDQ: the target takes the minimum over this many random Qs; 0: over all

    @model_validator(mode="after")
    def _check_subset(self):
        if self.q_subset > self.q_count:
            raise ValueError(f"q_subset is {self.q_subset}; expected at most q_count {self.q_count}")
        return self
