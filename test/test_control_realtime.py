"""Real-time measures are applied or refused, and never raise."""

import os
import subprocess
import sys

from jsac_ros.control import realtime
from jsac_ros.xla_settings import learner_environment


def test_off_is_said():
    assert not realtime.thread_fifo(0).ok and "off" in str(realtime.thread_fifo(0))
    assert not realtime.pin(-1).ok


def test_what_the_system_refuses_is_reported_and_does_not_raise():
    assert not realtime.pin(100_000).ok and "refused" in str(realtime.pin(100_000))
    assert not realtime.thread_fifo(1, thread_id=2**22 - 3).ok


def test_fifo_is_in_force_or_refused_with_the_remedy():
    code = (
        "import os\n"
        "from jsac_ros.control import realtime\n"
        "applied = realtime.process_fifo(5)\n"
        "assert applied.ok == (os.sched_getscheduler(0) == os.SCHED_FIFO), applied\n"
        "assert applied.ok or 'rtprio' in str(applied), applied\n"
        "assert realtime.fine_timers().ok and realtime.freeze_garbage().ok and realtime.short_switch_interval().ok\n"
    )
    # In a process of its own: a test runner under SCHED_FIFO would starve its machine.
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    assert result.returncode == 0, result.stderr


def test_without_fifo_turns_are_short_for_every_thread_and_those_to_come():
    code = (
        "import os, threading\n"
        "from jsac_ros.control import realtime\n"
        "wait = threading.Event()\n"
        "start = lambda: threading.Thread(target=wait.wait).start()\n"
        "start()\n"
        "fifo, short = realtime.process_first(0)\n"
        "start()\n"
        "assert not fifo.ok and os.sched_getscheduler(0) == os.SCHED_OTHER\n"
        "for task in os.listdir('/proc/self/task'):\n"
        "    lines = open(f'/proc/self/task/{task}/sched').read().splitlines()\n"
        "    slices = [int(line.split(':')[1]) for line in lines if line.startswith('se.slice')]\n"
        "    assert slices in ([], [100_000]) if short.ok else 'Linux 6.12' in str(short) or 'system call' in str(short)\n"
        "wait.set()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_only_the_nicest_runs_when_idle_with_all_its_threads():
    code = (
        "import os, threading\n"
        "from jsac_ros.control import realtime\n"
        "wait = threading.Event()\n"
        "thread = threading.Thread(target=wait.wait)\n"
        "thread.start()\n"
        "policies = lambda: {os.sched_getscheduler(int(task)) for task in os.listdir('/proc/self/task')}\n"
        "assert not realtime.process_idle(18).ok and policies() == {os.SCHED_OTHER}, policies()\n"
        "assert realtime.process_idle(19).ok and policies() == {os.SCHED_IDLE}, policies()\n"
        "wait.set()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nice_ranks_speaks_of_autogroups():
    assert "autogroups" in realtime.nice_ranks().detail


def test_huge_pages_need_a_willing_kernel_and_a_glibc_that_asks(tmp_path, monkeypatch):
    kernel = tmp_path / "enabled"
    monkeypatch.setattr(realtime, "_HUGE_PAGES", kernel)
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
    assert "not in this kernel" in str(realtime.huge_pages())
    kernel.write_text("always madvise [never]\n")
    assert not realtime.huge_pages().ok and "expected 'madvise'" in str(realtime.huge_pages())
    kernel.write_text("always [madvise] never\n")
    assert realtime.huge_pages().ok
    monkeypatch.delenv("GLIBC_TUNABLES")
    assert "hugetlb=1" in str(realtime.huge_pages())
    kernel.write_text("[always] madvise never\n")
    assert realtime.huge_pages().ok


def test_kept_memory_is_what_the_learner_is_started_with(monkeypatch):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    assert not realtime.kept_memory().ok
    monkeypatch.setenv("GLIBC_TUNABLES", learner_environment()["GLIBC_TUNABLES"])
    assert realtime.kept_memory().ok
