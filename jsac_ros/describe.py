"""Checks a configuration, makes its run folder and prints as JSON which processes to start.

  jsac-ros describe ur5_reacher_demo

The launch file calls it: `ros2 launch` runs under the system's Python, which may lack the package's dependencies.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from jsac_ros import domain, system
from jsac_ros.run import add_arguments, prepare, resolve  # noqa: F401  the same command line


def main(arguments: argparse.Namespace) -> int:
    config, namespace = resolve(arguments), domain.absolute(arguments.namespace)
    processes = system.processes(config)
    folder = prepare(config)
    description = {
        "run_folder": str(folder),
        "namespace": namespace,
        "commands": {process.name: system.command(process) for process in processes},
        "arguments": {process.name: system.ros_arguments(folder, namespace, process.name) for process in processes},
        "environment": system.shared_environment(folder),
        "processes": [asdict(process) for process in processes],
        "stop_order": [[process.name for process in group] for group in system.stop_order(processes)],
        "max_restarts": config.run.max_restarts,
        "clean_up": [sys.executable, "-m", "jsac_ros.leftovers", config.run.name, namespace],
    }
    print(json.dumps(description))
    return 0
