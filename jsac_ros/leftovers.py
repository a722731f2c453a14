"""Removes the shared memory that killed processes left behind, at the end of a system.

`jsac-ros run` calls `remove`; the launch file, which runs under another Python, starts this module:

  python3 -m jsac_ros.leftovers RUN_NAME NAMESPACE
"""

from __future__ import annotations

import sys

from jsac_ros import domain
from jsac_ros.dds.leftovers import remove_leftovers as remove_of_dds
from jsac_ros.replay.names import remove_leftovers as remove_of_run


def remove(run_name: str, namespace: str = domain.ROOT) -> None:
    """Unlinks what no living process holds."""
    remove_of_run(run_name, namespace)
    remove_of_dds()


if __name__ == "__main__":
    remove(*sys.argv[1:])
