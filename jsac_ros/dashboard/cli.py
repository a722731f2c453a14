"""Serves the dashboard of a system that runs on this computer, until Ctrl-C or the end of the system.

  jsac-ros dashboard --open                 open it in a browser
  jsac-ros dashboard --host 0.0.0.0         make it available to phones and other computers
  jsac-ros dashboard --namespace left       for the system in a namespace

If the system already serves its dashboard (`dashboard.enabled`), the command prints its address.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import threading
import time
from pathlib import Path

from jsac_ros import claims, domain, system
from jsac_ros.config import ConfigError, DashboardConfig
from jsac_ros.dashboard import opening
from jsac_ros.parameters import load
from jsac_ros.supervision import STOP

PROCESS = "dashboard"
_LOOK_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--namespace", default="", metavar="NAME", help="namespace of the system, if it has one")
    parser.add_argument("--host", help="address to listen on (default: dashboard.host of the system)")
    parser.add_argument("--port", type=int, help="port; 0 or a port in use: any free one (default: dashboard.port)")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")


def main(arguments: argparse.Namespace) -> int:
    namespace = domain.absolute(arguments.namespace)
    folder = _run_folder(namespace)
    if url := opening.address(folder) if PROCESS in _processes(namespace) else "":
        print(f"dashboard: {url}", flush=True)
        if arguments.open and not opening.open_page(folder):
            print("no browser could be started; open this address yourself", flush=True)
        return 0
    if arguments.open:
        threading.Thread(target=opening.open_when_served, args=(folder,), name="browser", daemon=True).start()
    page = _start(folder, namespace, {"host": arguments.host, "port": arguments.port})
    try:
        while page.poll() is None and _processes(namespace) - {PROCESS}:
            time.sleep(_LOOK_S)
    finally:
        page.send_signal(STOP)
        status = page.wait()
    return status


def _processes(namespace: str) -> set[str]:
    """Names of the processes of a system that run on this computer."""
    here = (domain.domain_id(), namespace)
    return {claim.process for claim in claims.held() if (claim.domain_id, claim.namespace) == here}


def _run_folder(namespace: str) -> Path:
    """Raises ConfigError if no system of this user is running."""
    holders = [claims.holder(namespace, name) for name in sorted(_processes(namespace) - {PROCESS})]
    folders = [Path(holder.run_folder) for holder in holders if holder and holder.run_folder]
    if not folders:
        raise ConfigError(
            f"namespace is {namespace} on ROS domain {domain.domain_id()}: no system of this user is running there; "
            "expected one that `jsac-ros run` or `ros2 launch` started on this computer"
        )
    return folders[0]


def _start(folder: Path, namespace: str, fields: dict[str, object]) -> subprocess.Popen:
    """Starts the node in a separate process group, so that Ctrl-C reaches only this process, which stops the node."""
    config = load(folder / "config.yaml").model_copy(update={"dashboard": DashboardConfig(enabled=True)})
    (process,) = [process for process in system.processes(config) if process.name == PROCESS]
    given = [word for name, value in fields.items() if value is not None for word in ("-p", f"dashboard.{name}:={value}")]
    return subprocess.Popen(
        [*system.command(process), "--ros-args", *system.ros_arguments(folder, namespace, PROCESS), *given],
        env=os.environ | process.environment | system.shared_environment(folder) | {"JSAC_STARTER_PID": str(os.getpid())},
        stdin=subprocess.DEVNULL,
        process_group=0,
        preexec_fn=lambda: os.nice(process.nice),
    )
