"""`jsac-ros describe CONFIG`: checks a configuration, makes its run folder and says as JSON what to start.

The launch file asks for it: `ros2 launch` runs under the system's Python, which need not have what the package needs.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from jsac_ros import system
from jsac_ros.run import add_arguments, resolve  # noqa: F401  the same command line


def main(arguments: argparse.Namespace) -> int:
    config = resolve(arguments)
    folder = system.make_run_folder(config)
    processes = system.processes(config)
    description = {
        "run_folder": str(folder),
        "environment": system.shared_environment(folder),
        "processes": [asdict(process) for process in processes],
        "stop_order": [[process.name for process in group] for group in system.stop_order(processes)],
        "max_restarts": config.run.max_restarts,
        "restart_needs_person": config.safety.restart_needs_person,
    }
    print(json.dumps(description))
    return 0
