"""Names of shared memory: one batch ring and one policy mailbox for every (ROS domain, run name) on a host."""

from __future__ import annotations

import os

from jsac_ros.replay.segment import remove


def _name(run_name: str, what: str) -> str:
    domain = int(os.environ.get("ROS_DOMAIN_ID") or 0)
    return f"/jsac_{domain}_{run_name}_{what}"


def system(run_name: str) -> str:
    """Of everything that may exist once for a run of this name on a host."""
    return _name(run_name, "")[1:-1]


def batches(run_name: str) -> str:
    """Of the batch ring, replay to learner."""
    return _name(run_name, "batches")


def policy(run_name: str) -> str:
    """Of the policy mailbox, learner to actor."""
    return _name(run_name, "policy")


def remove_leftovers(run_name: str) -> None:
    """Unlinks what a run of this name left behind; what a living process holds stays."""
    for name in (batches(run_name), policy(run_name)):
        remove(name)
