"""How our processes find and hear each other over DDS.

Over UDP, not through Fast DDS' shared memory. A process that is killed while it holds the lock of a shared-memory port
leaves it locked: every process that sends to it or listens there blocks, so that one `kill -9` can silence the rest. Only
raw pictures too large for one datagram have no other way. Hosts see nothing of each other unless the user asks for it
with ROS_AUTOMATIC_DISCOVERY_RANGE. A profile of the user's, or another middleware, is left alone.
"""

from __future__ import annotations

import os
from pathlib import Path

_RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"
PROFILE = "FASTRTPS_DEFAULT_PROFILES_FILE"
_FOLDER = Path(__file__).resolve().parent
DATAGRAM_BYTES = 60_000  # of a picture that fits into one, with room for the header


def discovery() -> dict[str, str]:
    """What says who is found, the same for every process of a system."""
    asked = os.environ.get(_RANGE, "LOCALHOST")
    # With LOCALHOST rmw_fastrtps adds a shared-memory transport whatever a profile says; ours says "this host" itself.
    return {_RANGE: "SYSTEM_DEFAULT" if asked == "LOCALHOST" and _ours() else asked}


def profile(shared_memory: bool = False) -> dict[str, str]:
    """What says how one process is reached; `shared_memory`: also so, for large pictures."""
    if not _ours():
        return {}
    where = "localhost" if os.environ.get(_RANGE, "LOCALHOST") == "LOCALHOST" else "network"
    name = f"{where}_shared_memory.xml" if shared_memory else f"{where}.xml"
    return {PROFILE: str(_FOLDER / name)}


def driver_profile() -> str:
    """The profile with which a camera's driver sends large pictures to us without loss; "" where another one is in use."""
    if not _ours():
        return ""
    ours = Path(os.environ.get(PROFILE, "")).name  # a running process of ours has been told another range than the user's
    on_this_host = ours.startswith("localhost") or (not ours and os.environ.get(_RANGE, "LOCALHOST") == "LOCALHOST")
    folder = next((folder for folder in _installed() if folder.is_dir()), _FOLDER)
    return str(folder / f"{'localhost' if on_this_host else 'network'}_shared_memory.xml")


def _installed() -> list[Path]:
    """Where the profiles are for others than our own processes."""
    return [Path(prefix) / "share/jsac_ros/dds" for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(":") if prefix]


def enclave(process: str) -> list[str]:
    """ROS arguments that name the SROS2 enclave of a process; without effect unless ROS_SECURITY_ENABLE is true."""
    return ["--enclave", f"/jsac_ros/{process}"]


def _ours() -> bool:
    """Neither another middleware nor a profile of the user's."""
    middleware = os.environ.get("RMW_IMPLEMENTATION") or "rmw_fastrtps_cpp"
    profiles = [os.environ[name] for name in (PROFILE, "FASTDDS_DEFAULT_PROFILES_FILE") if name in os.environ]
    folders = {_FOLDER, *(folder.resolve() for folder in _installed())}
    return middleware.startswith("rmw_fastrtps") and all(Path(file).resolve().parent in folders for file in profiles)
