"""Discovery and transport of the processes over DDS.

They communicate over UDP, not through Fast DDS' shared memory. A process that is killed while it holds the lock of a
shared-memory port leaves it locked: every process that sends to it or listens there blocks, so one `kill -9` can silence all
others. Only raw images too large for one datagram use shared memory. Hosts do not discover each other unless
ROS_AUTOMATIC_DISCOVERY_RANGE requests it. A profile of the user, or another middleware, is left unchanged.
"""

from __future__ import annotations

import os
from pathlib import Path

_RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"
PROFILE = "FASTRTPS_DEFAULT_PROFILES_FILE"
_FOLDER = Path(__file__).resolve().parent
DATAGRAM_BYTES = 60_000  # largest image that fits into one datagram, with room for the header


def discovery() -> dict[str, str]:
    """The environment variables of discovery, the same for every process of a system."""
    asked = os.environ.get(_RANGE, "LOCALHOST")
    # With LOCALHOST rmw_fastrtps adds a shared-memory transport to any profile; ours limit discovery to this host themselves.
    return {_RANGE: "SYSTEM_DEFAULT" if asked == "LOCALHOST" and _ours() else asked}


def profile(shared_memory: bool = False) -> dict[str, str]:
    """The environment variables of one process's transport. shared_memory: for large images too."""
    if not _ours():
        return {}
    where = "localhost" if os.environ.get(_RANGE, "LOCALHOST") == "LOCALHOST" else "network"
    name = f"{where}_shared_memory.xml" if shared_memory else f"{where}.xml"
    return {PROFILE: str(_FOLDER / name)}


def driver_profile() -> str:
    """The profile with which a camera's driver sends large images without loss; "" if another one is in use."""
    if not _ours():
        return ""
    ours = Path(os.environ.get(PROFILE, "")).name  # in a process of the system, whose range may differ from the user's
    on_this_host = ours.startswith("localhost") or (not ours and os.environ.get(_RANGE, "LOCALHOST") == "LOCALHOST")
    folder = next((folder for folder in _installed() if folder.is_dir()), _FOLDER)
    return str(folder / f"{'localhost' if on_this_host else 'network'}_shared_memory.xml")


def _installed() -> list[Path]:
    """Folders of the installed profiles, for processes of other packages."""
    return [Path(prefix) / "share/jsac_ros/dds" for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(":") if prefix]


def enclave(process: str) -> list[str]:
    """ROS arguments that name the SROS2 enclave of a process; without effect unless ROS_SECURITY_ENABLE is true."""
    return ["--enclave", f"/jsac_ros/{process}"]


def _ours() -> bool:
    """Whether neither another middleware nor a profile of the user is in use."""
    middleware = os.environ.get("RMW_IMPLEMENTATION") or "rmw_fastrtps_cpp"
    profiles = [os.environ[name] for name in (PROFILE, "FASTDDS_DEFAULT_PROFILES_FILE") if name in os.environ]
    folders = {_FOLDER, *(folder.resolve() for folder in _installed())}
    return middleware.startswith("rmw_fastrtps") and all(Path(file).resolve().parent in folders for file in profiles)
