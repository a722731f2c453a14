"""When replay may hand out a batch and when it may take a transition: warm-up and the update-to-data ratio, pure.

Updates are counted as batches handed to the learner, steps as transitions stored since the store was made; both survive
a restart. Only what is over the ratio waits, so that the actor and the learner run free between the two limits.
"""

from __future__ import annotations

from jsac_ros.config import ReplayConfig


def sampling_waits_for(config: ReplayConfig, steps: int, batches: int) -> str:
    """What is missing before the next batch may be handed out; '' when nothing is."""
    if steps < config.warmup_steps:
        return f"warm-up {steps}/{config.warmup_steps}"
    if config.max_updates_per_step and batches >= config.max_updates_per_step * (steps - config.warmup_steps):
        return "data (update-to-data limit)"
    return ""


def ingest_waits_for(config: ReplayConfig, steps: int, batches: int) -> str:
    """What is missing before the next transition may be taken; '' when nothing is.

    A transition that is not taken is not acknowledged: its actor keeps it and sends it again.
    """
    if batches < config.min_updates_per_step * (steps - config.warmup_steps):
        return "learner (update-to-data limit)"
    return ""
