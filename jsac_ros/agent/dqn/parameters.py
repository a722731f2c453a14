"""Parameters of DQN. The hard copy of the target is `tau` 1 with `target_period` N."""

from __future__ import annotations

from jsac_ros.agent.parameters import NetworkParameters, OptimiserParameters
from jsac_ros.config import Count, Share
from jsac_ros.spaces import Spaces


class DqnParameters(NetworkParameters, OptimiserParameters):
    type: str = "dqn"
    epsilon_final: Share = 0.05  # final share of random actions, which decreases from 1
    epsilon_updates: Count = 10_000  # updates over which the share of random actions decreases

    def misfits(self, spaces: Spaces) -> list[str]:
        problems = super().misfits(spaces)
        if not spaces.choices:
            parts = ", ".join(
                f"{part.name} of {part.choices} choices" if part.choices else f"{part.name} continuous"
                for part in spaces.actions
            )
            problems.append(f"action has {parts or 'no part'}; expected one part of choices with agent.type {self.type!r}")
        return problems
