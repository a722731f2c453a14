"""When replay may hand out a batch and accept a transition: warm-up and the update-to-data ratio, as pure functions.

Updates are counted as batches handed to the learner, steps as transitions stored since the store was created; both survive
a restart. Only the side that is ahead of its limit waits; between the two limits actor and learner run freely.
"""

from __future__ import annotations

from jsac_ros.config import ReplayConfig


def sampling_waits_for(config: ReplayConfig, steps: int, batches: int) -> str:
    """The reason why the next batch may not be handed out yet; '' if it may."""
    if steps < config.warmup_steps:
        return f"warm-up {steps}/{config.warmup_steps}"
    if config.max_updates_per_step and batches >= config.max_updates_per_step * (steps - config.warmup_steps):
        return "data (update-to-data limit)"
    return ""


def ingest_waits_for(config: ReplayConfig, steps: int, batches: int) -> str:
    """The reason why the next transition may not be accepted yet; '' if it may.

    A transition that is not accepted is not acknowledged: its actor keeps it and sends it again.
    """
    if batches < config.min_updates_per_step * (steps - config.warmup_steps):
        return "learner (update-to-data limit)"
    return ""
