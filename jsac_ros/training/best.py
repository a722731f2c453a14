"""The best of a run's last checkpoints: consecutive policies differ by more than they learn in between."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from jsac_ros.agent import export
from jsac_ros.agent.checkpoint import Checkpoints
from jsac_ros.config import ConfigError


def of_checkpoints(run: Path, count: int) -> dict[int, export.Policy]:
    """{updates: policy} of the newest `count` checkpoints of a run. Raises ConfigError if there are fewer than two."""
    policy = export.load(run / "policy")
    folder = run / "checkpoints"
    steps = sorted(int(path.name) for path in folder.glob("*") if path.name.isdigit())[-count:]
    if len(steps) < 2:
        raise ConfigError(
            f"{folder} holds {len(steps)} checkpoints; expected at least two to choose from (learner.keep_checkpoints)"
        )
    with Checkpoints(folder, policy.agent, keep=None) as checkpoints:
        params = {step: policy.agent.policy_params(checkpoints.restore(step)[0]) for step in steps}
    return {step: replace(policy, params=kept) for step, kept in params.items()}


def keep(run: Path, policy: export.Policy, chosen: dict[str, Any]) -> None:
    """Makes it the run's policy, and notes on its card how it was chosen."""
    export.save(run / "policy", policy.params, policy.agent, policy.about["card"] | {"chosen": chosen})
