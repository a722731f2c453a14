"""Signals that ask to end reach every process, whatever it does at that moment, and a lost terminal ends none."""

import os
import pty
import signal
import subprocess
import sys
from contextlib import contextmanager

import domains
import pytest

from jsac_ros.supervision import STOP

# The main thread waits as briefly and as often as it can, so that a signal meets it anywhere in the waiting.
WAITS = """
import os, signal, threading
from jsac_ros.signals import on_signals

asked = threading.Event()
on_signals([signal.SIGTERM], lambda _: asked.set())
os.write(1, b".")
while True:
    while not asked.wait(1e-6):
        pass
    asked.clear()
    os.write(1, b".")
"""


@pytest.mark.timeout(60)
def test_every_signal_is_heard_by_a_main_thread_that_waits_for_it():
    waits = subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE, bufsize=0)
    try:
        assert waits.stdout.read(1) == b"."
        for _ in range(5000):
            waits.terminate()
            assert waits.stdout.read(1) == b"."
    finally:
        waits.kill()
        waits.wait()
        waits.stdout.close()


# A node that waits to be asked to end, and says what it does.
NODE = """
import os, sys
from jsac_ros.nodes.process import JsacNode, run_node

class Waits(JsacNode):
    def run(self):
        os.write(1, b"up\\n")
        super().run()

    def close(self):
        os.write(1, b"closed\\n")

sys.exit(run_node(lambda: Waits("waits")))
"""
ENVIRONMENT = os.environ | {"ROS_DOMAIN_ID": str(domains.take()), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}


@contextmanager
def node(ignores=()):
    """A process that runs NODE, and is up."""
    ignore = lambda: [signal.signal(number, signal.SIG_IGN) for number in ignores]
    process = subprocess.Popen(
        [sys.executable, "-c", NODE], stdout=subprocess.PIPE, bufsize=0, env=ENVIRONMENT, preexec_fn=ignore
    )
    try:
        assert process.stdout.readline() == b"up\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("number", "status"),
    [(STOP, 0), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, -signal.SIGINT), (signal.SIGHUP, -signal.SIGHUP)],
)
def test_every_signal_that_asks_ends_a_node_in_order_and_its_starter_can_tell_its_own(number, status):
    with node() as process:
        process.send_signal(number)
        assert process.stdout.read() == b"closed\n" and process.wait() == status


@pytest.mark.timeout(60)
def test_under_nohup_a_terminal_may_close():
    with node(ignores=[signal.SIGHUP]) as process:
        process.send_signal(signal.SIGHUP)
        process.send_signal(STOP)
        assert process.stdout.read() == b"closed\n" and process.wait() == 0


@pytest.mark.timeout(60)
def test_a_process_of_a_launch_file_waits_for_its_turn():
    with node(ignores=[signal.SIGINT, signal.SIGHUP]) as process:
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGHUP)
        process.send_signal(STOP)
        assert process.stdout.read() == b"closed\n" and process.wait() == 0


# Prints until it is told to end, after its output has been taken away.
PRINTS = """
import os, signal, sys
from jsac_ros.output import drop_what_is_lost
drop_what_is_lost()
print("up", flush=True)
sys.stdin.readline()
for _ in range(100):
    print("a line " * 777)
    print("another", file=sys.stderr, flush=True)
sys.exit(7)
"""


@pytest.mark.timeout(60)
def test_output_that_is_lost_ends_nobody():
    master, slave = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", PRINTS], stdin=subprocess.PIPE, stdout=slave, stderr=slave, text=True)
    os.close(slave)
    assert os.read(master, 2) == b"up"
    os.close(master)
    process.communicate("\n")
    assert process.returncode == 7
    piped = subprocess.Popen([sys.executable, "-c", PRINTS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert piped.stdout.readline() == "up\n"
    piped.stdout.close()
    piped.stdin.write("\n")
    piped.stdin.close()
    assert piped.wait() == 7
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", PRINTS], input="\n", stdout=full, stderr=full, text=True)
    assert done.returncode in (7, 120), "120: Python's, for what was still buffered at exit"


# Prints more than a pipe holds, and waits for nobody who reads it.
PAUSED = PRINTS.replace("import drop_what_is_lost", "import drop_what_is_lost, drop_what_is_not_read").replace(
    "drop_what_is_lost()\n", "drop_what_is_lost()\ndrop_what_is_not_read(is_ours=IS_OURS)\n"
)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("is_ours", [False, True])
def test_a_reader_that_pauses_holds_no_process_up(is_ours):
    """A terminal with Ctrl-S, and a pipe that nobody reads for the moment."""
    command = [sys.executable, "-c", PAUSED.replace("IS_OURS", str(is_ours))]
    master, slave = pty.openpty()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=slave, stderr=slave, text=True)
    assert os.read(master, 2) == b"up"
    os.write(master, b"\x13")
    process.communicate("\n", timeout=20)
    assert process.returncode == 7
    os.close(slave)
    os.close(master)
    piped = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert piped.stdout.readline() == "up\n"
    piped.stdin.write("\n")
    piped.stdin.close()
    assert piped.wait(20) == 7
    assert piped.stdout.readline().startswith("a line a line")
    piped.stdout.close()


INTERRUPTED = """
import os, signal, sys, time
import jsac_ros.__main__ as command
from types import SimpleNamespace

class Verb:
    __doc__ = ""
    @staticmethod
    def add_arguments(parser): pass
    @staticmethod
    def main(arguments):
        try:
            os.write(1, b"up\\n")
            while True:
                time.sleep(0.01)
        finally:
            os.write(1, b"asked\\n")
            time.sleep(0.5)
            os.write(1, b"closed\\n")

command.VERBS["wait"] = ("", "")
command.importlib = SimpleNamespace(import_module=lambda name: Verb)
sys.argv = ["jsac-ros", "wait"]
sys.exit(command.main())
"""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_command_is_interrupted_by_each_and_finishes_what_it_must(number):
    """A closing terminal sends SIGHUP more than once: the second one interrupts nothing."""
    process = subprocess.Popen([sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, bufsize=0)
    with process:
        assert process.stdout.readline() == b"up\n"
        process.send_signal(number)
        assert process.stdout.readline() == b"asked\n"
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == b"closed\n" and process.wait() == 128 + number
