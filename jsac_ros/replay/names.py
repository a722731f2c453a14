"""Names of shared memory: a batch ring and a policy mailbox for every (ROS domain, namespace, run name) on a host."""

from __future__ import annotations

from jsac_ros import domain
from jsac_ros.replay.segment import remove


def batches(run_name: str, namespace: str = domain.ROOT) -> str:
    """Of the batch ring, replay to learner."""
    return f"/{domain.key(namespace)}{run_name}_batches"


def policy(run_name: str, namespace: str = domain.ROOT) -> str:
    """Of the policy mailbox, learner to actor."""
    return f"/{domain.key(namespace)}{run_name}_policy"


def remove_leftovers(run_name: str, namespace: str = domain.ROOT) -> None:
    """Unlinks the shared memory that a run of this name left behind, except what a living process holds."""
    for name in (batches(run_name, namespace), policy(run_name, namespace)):
        remove(name)
