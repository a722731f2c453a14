"""Real-time settings on an ordinary Linux: each is tried, applied if allowed, and reported if refused."""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import platform
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_PR_SET_TIMERSLACK = 29
_SWITCH_INTERVAL_S = 0.0005
_SLICE_NS = 100_000  # the shortest possible
_SCHED_CALLS = {"x86_64": (314, 315), "aarch64": (274, 275)}  # sched_setattr, sched_getattr: without wrappers in glibc
_SCHED_ATTR = struct.Struct("=IIQiIQQQ")  # size, policy, flags, nice, priority, runtime (for SCHED_OTHER: the time slice), ...
_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_AUTOGROUP = Path("/proc/sys/kernel/sched_autogroup_enabled")


class Applied(NamedTuple):
    """One setting: its name, whether it is in force, and the answer of the system."""

    name: str
    ok: bool
    detail: str

    def __str__(self) -> str:
        return f"{self.name}: {self.detail}" if self.ok else f"{self.name}: refused ({self.detail})"


def thread_fifo(priority: int, thread_id: int = 0) -> Applied:
    """SCHED_FIFO for one thread (0: the calling one), which then runs before everything that is not real-time.

    The system allows it to root, with CAP_SYS_NICE, or if `ulimit -r` is at least `priority`
    (/etc/security/limits.conf: `@realtime - rtprio 90`).
    """
    name = f"SCHED_FIFO {priority}"
    if priority == 0:
        return Applied("SCHED_FIFO", False, "off in the configuration")
    try:
        os.sched_setscheduler(thread_id, os.SCHED_FIFO, os.sched_param(priority))
    except OSError as error:
        return Applied(name, False, f"{error.strerror}; needs an rtprio limit of {priority} or CAP_SYS_NICE")
    return Applied(name, True, "on")


def process_fifo(priority: int) -> Applied:
    """SCHED_FIFO for all current threads of the process (middleware included): only for a light process.

    Measured with a learner on both cores: the gate's p99 falls from 0.8 to 0.3 ms against its control thread alone,
    because a command also waits for the middleware's threads, and for the interpreter lock.
    """
    results = [thread_fifo(priority, int(thread)) for thread in os.listdir("/proc/self/task")]
    refused = [result for result in results if not result.ok]
    return refused[0] if refused else Applied(results[0].name, True, f"on, {len(results)} threads")


def process_first(priority: int) -> tuple[Applied, ...]:
    """`process_fifo`; if that is refused or off, `process_short_turns`."""
    fifo = process_fifo(priority)
    if os.sched_getscheduler(0) == os.SCHED_FIFO:  # also if it was only refused for a thread that ended meanwhile
        return (fifo,)
    return fifo, process_short_turns()


def process_short_turns() -> Applied:
    """Short time slices for all current threads of the process, and those they start, under the ordinary scheduler.

    Needs no rights. A thread that wakes runs before those with longer time slices (EEVDF, Linux 6.12 or later). Measured
    without real-time rights: the p99 of the actor's command falls by a tenth, that of the start of its tick by a fifth.
    """
    name = f"turns of {_SLICE_NS / 1e6:g} ms"
    calls = _SCHED_CALLS.get(platform.machine())
    if calls is None:
        return Applied(name, False, f"the system call is not known on {platform.machine()}")
    set_attr, get_attr = calls
    libc = ctypes.CDLL(None, use_errno=True)
    wanted = (_SCHED_ATTR.size, os.SCHED_OTHER, 0, os.getpriority(os.PRIO_PROCESS, 0), 0, _SLICE_NS, 0, 0)
    said = ctypes.create_string_buffer(_SCHED_ATTR.pack(*wanted), _SCHED_ATTR.size)
    for thread in os.listdir("/proc/self/task"):
        if libc.syscall(set_attr, int(thread), said, 0) != 0 and ctypes.get_errno() != errno.ESRCH:  # it has ended
            return Applied(name, False, os.strerror(ctypes.get_errno()))
    libc.syscall(get_attr, 0, said, _SCHED_ATTR.size, 0)
    if _SCHED_ATTR.unpack(said.raw[: _SCHED_ATTR.size])[5] != _SLICE_NS:
        return Applied(name, False, "not known to this kernel; needs Linux 6.12")
    return Applied(name, True, "on")


def process_idle(nice: int) -> Applied:
    """SCHED_IDLE for all current threads of the process, and those they start, if its `nice` is the highest, 19.

    Needs no rights. A process with only a high nice value may finish its time slice; this one yields at once. Measured
    without real-time rights: the p99 of the gate falls by a tenth to a fifth, that of the actor's command by a tenth.
    """
    if nice < 19:
        return Applied("SCHED_IDLE", False, "off in the configuration")
    try:
        for thread in os.listdir("/proc/self/task"):
            with suppress(ProcessLookupError):  # it has ended
                os.sched_setscheduler(int(thread), os.SCHED_IDLE, os.sched_param(0))
    except OSError as error:
        return Applied("SCHED_IDLE", False, error.strerror)
    return Applied("SCHED_IDLE", True, "on")


def pin(cpu: int, thread_id: int = 0) -> Applied:
    """Keeps one thread (0: the calling one) on one core, so that its caches stay warm."""
    if cpu < 0:
        return Applied("CPU affinity", False, "off in the configuration")
    try:
        os.sched_setaffinity(thread_id, {cpu})
    except OSError as error:
        return Applied(f"CPU affinity {cpu}", False, error.strerror)
    return Applied(f"CPU affinity {cpu}", True, "on")


def fine_timers() -> Applied:
    """Makes the calling thread's sleeps end on time: Linux may round them up by 50 us to save power."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0) != 0:
        return Applied("timer slack 1 ns", False, os.strerror(ctypes.get_errno()))
    return Applied("timer slack 1 ns", True, "on")


def short_switch_interval() -> Applied:
    """A thread that wakes waits at most this long for the interpreter, instead of 5 ms, while another one computes."""
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    return Applied("thread switch interval", True, f"{_SWITCH_INTERVAL_S * 1000:g} ms")


def freeze_garbage() -> Applied:
    """Call after warm-up: objects that exist now are never scanned again, so a collection in the loop stays short."""
    gc.collect()
    gc.freeze()
    return Applied("gc.freeze", True, f"{gc.get_freeze_count()} objects")


def nice_ranks() -> Applied:
    """Whether `nice` works as expected. With autogroups it ranks processes only within one session (setsid)."""
    try:
        on = _AUTOGROUP.read_text().strip() == "1"
    except OSError:
        return Applied("nice", True, "no autogroups in this kernel")
    detail = "autogroups are on: it ranks processes of one session only" if on else "autogroups are off"
    return Applied("nice", True, detail)


def huge_pages() -> Applied:
    """Whether large allocations get huge pages: glibc must request them and the kernel must allow them.

    They help if much memory is allocated repeatedly, as in a learner on a CPU; no other process requests them.
    """
    try:
        kernel = _HUGE_PAGES.read_text()
    except OSError:
        return Applied("huge pages", False, "not in this kernel")
    if "[never]" in kernel:
        return Applied("huge pages", False, f"{_HUGE_PAGES} is 'never'; expected 'madvise' or 'always'")
    if "[always]" not in kernel and "glibc.malloc.hugetlb=1" not in os.environ.get("GLIBC_TUNABLES", ""):
        return Applied("huge pages", False, "not requested: GLIBC_TUNABLES lacks glibc.malloc.hugetlb=1")
    return Applied("huge pages", True, "on")


def kept_memory() -> Applied:
    """Whether glibc keeps allocated memory, as the starter of a learner requests (xla_settings.py).

    When it returned memory after every update, control threads on every core stalled.
    """
    if "glibc.malloc.trim_threshold=" not in os.environ.get("GLIBC_TUNABLES", ""):
        return Applied("kept memory", False, "not requested: GLIBC_TUNABLES lacks glibc.malloc.trim_threshold")
    return Applied("kept memory", True, "on")
