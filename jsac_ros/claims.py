"""One process of each kind per namespace, ROS domain and host: a second one is refused with a line about the first.

A claim is a listening abstract Unix socket. The kernel removes it with its process, however that ends, so there is
nothing to clean up; and it identifies that process to any other that connects.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import time
from pathlib import Path
from typing import NamedTuple

from jsac_ros import domain
from jsac_ros.config import ConfigError

_CREDENTIALS = "3i"  # struct ucred: pid, uid, gid
_HELD = re.compile(r"@jsac_(\d+)(?:_|\.([\w.]+)\.)([a-z]\w*)")  # as `_address`, in /proc/net/unix
_PENDING = 4096  # connections that are never accepted: each query of a claim leaves one


class Holder(NamedTuple):
    """The process that holds a claim; of a whole system, its starter."""

    pid: int  # 0: not known
    since_unix_s: float
    run_folder: str  # "": not known

    def __str__(self) -> str:
        began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since_unix_s))
        where = f", run folder {self.run_folder}" if self.run_folder else ""
        return f"process {self.pid} since {began}{where}" if self.pid else "another process"


def claim(namespace: str, process: str) -> socket.socket:
    """Claims the place of `process` ("actor") for this process until it ends. Raises ConfigError."""
    held = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        held.bind(_address(namespace, process))
    except OSError:
        held.close()
        raise ConfigError(refusal(namespace, [process], holder(namespace, process))) from None
    held.listen(_PENDING)
    return held


def expect_free(namespace: str, processes: list[str]) -> None:
    """Raises ConfigError if any of these processes runs there already, so that no part of a second system is started."""
    here = (domain.domain_id(), namespace)
    taken = {claim.process for claim in held() if (claim.domain_id, claim.namespace) == here}
    if running := [process for process in processes if process in taken]:
        raise ConfigError(refusal(namespace, running, holder(namespace, running[0])))


class Claim(NamedTuple):
    """A claimed place."""

    domain_id: int
    namespace: str
    process: str


def held() -> set[Claim]:
    """Every claim on this host, of all users and domains."""
    names = [line.rpartition(" ")[2] for line in Path("/proc/net/unix").read_text().splitlines()]
    found = [match.groups() for name in names if (match := _HELD.fullmatch(name))]
    return {Claim(int(number), domain.absolute((inner or "").replace(".", "/")), process) for number, inner, process in found}


def holder(namespace: str, process: str, domain_id: int | None = None) -> Holder | None:
    """The process that holds the place; None if it is free. domain_id: default the user's."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
        asking.setblocking(False)
        try:
            asking.connect(_address(namespace, process, domain_id))
        except ConnectionRefusedError:
            return None
        except OSError:  # held by a process that was queried too often
            return Holder(0, 0.0, "")
        credentials = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize(_CREDENTIALS))
    return _described(struct.unpack(_CREDENTIALS, credentials)[0])


def refusal(namespace: str, processes: list[str], held_by: Holder | None) -> str:
    """One line for the user."""
    return (
        f"ROS_DOMAIN_ID is {domain.domain_id()}, namespace {domain.absolute(namespace)}: "
        f"{', '.join(processes)} of {held_by or 'another process'} there; "
        "expected another namespace or domain, or the end of that process"
    )


def _address(namespace: str, process: str, domain_id: int | None = None) -> str:
    return f"\0{domain.key(namespace, domain_id)}{process}"


def _described(pid: int) -> Holder:
    """From the kernel's data on a process; less for another user's."""
    environment = _environment(pid)
    pid = int(environment.get("JSAC_STARTER_PID") or pid)
    return Holder(pid, began_unix_s(pid), environment.get("JSAC_RUN_FOLDER", ""))


def _environment(pid: int) -> dict[str, str]:
    try:
        pairs = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return {}
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def began_unix_s(pid: int) -> float:
    """When a process started; now if it has just ended."""
    try:
        after_boot = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        up_s = float(Path("/proc/uptime").read_text().split()[0])
    except (OSError, IndexError, ValueError):
        return time.time()
    return time.time() - up_s + int(after_boot) / os.sysconf("SC_CLK_TCK")
