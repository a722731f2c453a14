"""Checks of the computer. Each reads one property and grades it; none changes anything."""

from __future__ import annotations

import ctypes
import os
import shutil
import threading
from pathlib import Path

from jsac_ros import dds
from jsac_ros.config import SystemConfig
from jsac_ros.control.realtime import Applied, thread_fifo
from jsac_ros.doctor.finding import Finding, graded

GIB = float(1 << 30)
_UNSYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)
_TIMEX_BYTES = 512  # struct timex has 208 on 64 bits
_ROW_BYTES = 512  # of a transition without its frames, about


def check_machine(config: SystemConfig) -> list[Finding]:
    """All checks of this computer; takes milliseconds."""
    folder = Path(config.run.folder).expanduser().resolve()
    return [
        realtime(_tried_fifo(config.realtime.fifo_priority)),
        cores(_cores(), os.getloadavg()[0]),
        memory(_available_gib()),
        shared_memory(shutil.disk_usage("/dev/shm").free / GIB if Path("/dev/shm").is_dir() else 0.0),
        disk(folder, _free_gib(folder), store_gib(config)),
        clock(_clock_state()),
        middleware(dds.profile(), os.environ.get("RMW_IMPLEMENTATION", "")),
    ]


def realtime(fifo: Applied) -> Finding:
    return graded(
        "real-time rights",
        str(fifo),
        f"add `{os.environ.get('USER', 'USER')} - rtprio 90` to /etc/security/limits.conf and log in again; in a container "
        "`--cap-add SYS_NICE`. Without them ticks are later, but none is lost.",
        amber=not fifo.ok,
    )


def cores(count: float, load: float) -> Finding:
    """load: load average of one minute."""
    return graded(
        "cores",
        f"{count:g}, of which {load:.1f} are in use",
        "end other programs or use a computer with more cores: learning uses all cores that control leaves",
        amber=count < 2 or load > 0.7 * count,
    )


def memory(available_gib: float) -> Finding:
    said = f"{available_gib:.1f} GiB are free"
    return graded(
        "memory", said, "end other programs; the demo needs 1.7 GiB", red=available_gib < 1.5, amber=available_gib < 3
    )


def shared_memory(free_gib: float) -> Finding:
    return graded(
        "/dev/shm",
        f"{1024 * free_gib:,.0f} MiB are free",
        "batches and large images pass through it: `sudo mount -o remount,size=2G /dev/shm`; in a container `--shm-size=2g`",
        red=free_gib < 1 / 16,
        amber=free_gib < 1 / 2,
    )


def disk(folder: Path, free_gib: float | None, needed_gib: float) -> Finding:
    """free_gib: None if the folder is not writable."""
    if free_gib is None:
        return Finding("disk", "red", f"{folder} is not writable", "set run.folder to a folder that you can write")
    return graded(
        "disk",
        f"{free_gib:,.0f} GiB are free for {folder}; a full store takes {needed_gib:.1f} GiB",
        "make room, set `run.folder` to another disk, or lower `replay.capacity`",
        red=free_gib < 1,
        amber=free_gib < needed_gib + 2,
    )


def store_gib(config: SystemConfig) -> float:
    frames = sum(camera.height * camera.width * camera.channels for camera in config.cameras.values())
    return config.replay.capacity * (frames + _ROW_BYTES) / GIB


def clock(state: int) -> Finding:
    """state: returned by adjtimex(2); negative if the call is not permitted."""
    if state < 0:
        return Finding("clock", "green", "the kernel does not report whether it is synchronised")
    return graded(
        "clock",
        "not synchronised" if state == _UNSYNCHRONISED else "synchronised",
        "stamps from other computers are then wrong: run `sudo timedatectl set-ntp true` on each computer, or use PTP",
        amber=state == _UNSYNCHRONISED,
    )


def middleware(profile: dict[str, str], chosen: str) -> Finding:
    """profile: of jsac_ros; {} if the user has another one."""
    if profile:
        return Finding("DDS profile", "green", Path(next(iter(profile.values()))).name)
    return Finding(
        "DDS profile",
        "amber",
        f"not that of jsac_ros, or another middleware ({chosen or 'rmw_fastrtps_cpp'})",
        "unset RMW_IMPLEMENTATION, FASTRTPS_DEFAULT_PROFILES_FILE and FASTDDS_DEFAULT_PROFILES_FILE unless you need them: the "
        "profile of jsac_ros tolerates killed processes",
    )


def _tried_fifo(priority: int) -> Applied:
    """Tries real-time priority in a short-lived thread."""
    tried: list[Applied] = []
    thread = threading.Thread(target=lambda: tried.append(thread_fifo(priority)))
    thread.start()
    thread.join()
    return tried[0]


def _cores() -> float:
    """The number of cores that this process may use, including a container's quota."""
    count = float(len(os.sched_getaffinity(0)))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return count if quota == "max" else min(count, int(quota) / int(period))
    except (OSError, ValueError):
        return count


def _available_gib() -> float:
    """Available memory, limited by that of a container."""
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    available = int(fields["MemAvailable"].split()[0]) * 1024 / GIB
    try:
        limit, used = (Path(f"/sys/fs/cgroup/memory.{name}").read_text().strip() for name in ("max", "current"))
        return available if limit == "max" else min(available, (int(limit) - int(used)) / GIB)
    except (OSError, ValueError):
        return available


def _free_gib(folder: Path) -> float | None:
    """Free space where the folder is or will be created; None if it is not writable."""
    there = next(path for path in (folder, *folder.parents) if path.is_dir())
    return shutil.disk_usage(there).free / GIB if os.access(there, os.W_OK | os.X_OK) else None


def _clock_state() -> int:
    return ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
