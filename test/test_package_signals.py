"""A signal reaches a main thread that waits for it, whatever it does at that moment."""

import subprocess
import sys

import pytest

# The main thread waits as briefly and as often as it can, so that a signal meets it anywhere in the waiting.
WAITS = """
import os, signal, threading
from jsac_ros.signals import on_signals

asked = threading.Event()
on_signals([signal.SIGTERM], asked.set)
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
