"""Settings of a process that learns on a CPU. XLA and glibc read them once, so they must be set when it starts.

Two account for most of the speed (docs/algorithm.md, "Speed"), one keeps the control loops undisturbed:
- huge pages for XLA's large temporaries, which are otherwise faulted in 4 KiB at a time at every update;
- allocated memory is kept. glibc otherwise returns hundreds of megabytes after every update and requests them again. On
  a virtual machine that reports free pages to its host, all control threads then slowed down for 50 to 100 ms at a time;
- matrix products and convolutions through YNNPACK. Experimental in XLA, where an unknown flag ends the
  process: each is tried in a separate process first and left out if it fails.

Imports nothing of ours and no JAX, because the starter of a system uses it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

HUGE_PAGES = "glibc.malloc.hugetlb=1"
# All memory in the one heap that is never trimmed; the arena of a thread is trimmed whatever the threshold.
_KEPT_MEMORY = ("glibc.malloc.mmap_max=0", f"glibc.malloc.trim_threshold={1 << 40}", "glibc.malloc.arena_max=1")
DOT_FUSION = "--xla_cpu_experimental_ynn_fusion_type=LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"
_PROBE = "from jaxlib import xla_client; xla_client.make_cpu_client()"
_PROBE_TIMEOUT_S = 30.0


def learner_environment() -> dict[str, str]:
    """Environment variables for a learner; values that the user has set in the same variables are kept in front."""
    environment = {"GLIBC_TUNABLES": _joined("GLIBC_TUNABLES", ":", HUGE_PAGES, *_KEPT_MEMORY)}
    flags = _joined("XLA_FLAGS", " ", DOT_FUSION)
    if accepted(flags):
        environment["XLA_FLAGS"] = flags
    return environment


def compilation_cache() -> dict[str, str]:
    """JAX caches compiled code, so the second start of a system or a training takes seconds less."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return {
        "JAX_COMPILATION_CACHE_DIR": str(base / "jsac_ros" / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
    }


def restart_with_them() -> None:
    """Restarts this process's own command with the settings; returns if it has them already."""
    environment = os.environ | learner_environment()
    if environment != os.environ:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


@cache
def accepted(flags: str) -> bool:
    """Whether this machine's XLA starts with these flags; takes a fifth of a second, once."""
    try:
        probe = subprocess.run(
            [sys.executable, "-c", _PROBE],
            env=os.environ | {"XLA_FLAGS": flags},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PROBE_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return False
    return probe.returncode == 0


def _joined(variable: str, separator: str, *settings: str) -> str:
    """`settings` appended to the variable's value, except those whose name it contains already."""
    present = os.environ.get(variable, "")
    missing = [setting for setting in settings if setting.split("=")[0] not in present]
    return separator.join(filter(None, (present, *missing)))
