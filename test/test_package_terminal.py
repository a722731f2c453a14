"""The keys of a terminal, handed on one by one: a child with a terminal of ours for its own."""

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios

import pytest

from jsac_ros.config import SystemConfig
from jsac_ros.run import Supervisor

CHILD = """
import sys, threading
from jsac_ros import terminal
pressed, ended = [], threading.Event()
def on_key(key):
    print(f"key {key!r}", flush=True)
    if key == "q":
        ended.set()
with terminal.Terminal(on_key):
    try:
        print("ours" if terminal.is_ours() else "not ours", flush=True)
        ended.wait()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def take_terminal():
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def ends():
    """Both ends of a terminal: ours, and the child's."""
    ends = pty.openpty()
    yield ends
    for end in ends:
        os.close(end)


def start(stdin, preexec_fn=take_terminal):
    command = [sys.executable, "-c", CHILD]
    return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, preexec_fn=preexec_fn, text=True)


def test_keys_come_one_by_one_and_the_terminal_is_given_back_as_it_was(ends):
    ours, theirs = ends
    before = termios.tcgetattr(theirs)
    child = start(theirs)
    assert child.stdout.readline() == "ours\n"
    assert termios.tcgetattr(theirs) != before
    os.write(ours, " pé".encode())
    assert [child.stdout.readline() for _ in range(3)] == ["key ' '\n", "key 'p'\n", "key 'é'\n"]
    os.write(ours, b"q")
    assert child.communicate(timeout=20)[0] == "key 'q'\n" and child.returncode == 0
    assert termios.tcgetattr(theirs) == before


def test_ctrl_c_stays_what_it_is(ends):
    ours, theirs = ends
    before = termios.tcgetattr(theirs)
    child = start(theirs)
    assert child.stdout.readline() == "ours\n"
    os.write(ours, b"\x03")
    assert child.communicate(timeout=20)[0] == "interrupted\n" and termios.tcgetattr(theirs) == before


def test_a_terminal_in_whose_background_the_process_is_stays_untouched(ends):
    ours, theirs = ends
    before = termios.tcgetattr(theirs)
    child = start(theirs, preexec_fn=os.setsid)  # it is no terminal of this session
    assert child.stdout.readline() == "not ours\n"
    assert termios.tcgetattr(theirs) == before
    child.send_signal(signal.SIGINT)
    assert child.communicate(timeout=20)[0] == "interrupted\n"


def test_without_a_terminal_there_are_no_keys():
    child = start(subprocess.DEVNULL, preexec_fn=None)
    assert child.stdout.readline() == "not ours\n"
    child.send_signal(signal.SIGINT)
    assert child.communicate(timeout=20)[0] == "interrupted\n"


def test_q_ends_the_run_as_ctrl_c_does(tmp_path):
    supervisor = Supervisor(SystemConfig(), tmp_path, [], "/")
    supervisor._on_key("p")  # without a keyboard's process
    assert supervisor.asked == []
    supervisor._on_key("q")
    assert supervisor.asked == [signal.SIGINT]
