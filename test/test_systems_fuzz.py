"""Random input to a running system ends none of its processes, and the robot learns on afterwards.

An hour of it: `python test/fuzz.py --hours 1`.
"""

import math
import os
import random
import re
import time
from pathlib import Path

import fuzz
import pytest
from live_system import DEMO, TINY, System, leftovers, tiny_config
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Bool, String

pytestmark = pytest.mark.timeout(300)
SECONDS = float(os.environ.get("JSAC_FUZZ_S", "20"))
BASE = {name: TINY[name] for name in TINY if name.startswith(("run", "agent", "replay", "learner", "realtime"))}
SYSTEMS = {  # name -> what is set beside the tiny configuration; only the first one in the test
    "arm": {"learner__policy_topic": True, "bag__record": True},
    "base": {"base": DEMO.with_name("create_reacher.yaml"), "values": BASE, "task__episode_s": 1.0},
    "velocity": {"robot__interface": "velocity"},
}


def fuzz_system(folder: Path, changes: dict, seconds: float, seed: int) -> int:
    """Sends random input to a whole system, then checks that it works; -> messages sent."""
    system = System(tiny_config(folder, run__max_restarts=0, **changes))
    try:
        system.wait_until("acting", lambda: system.latest["control_status"].state == "acting")
        system.wait_until("learning", lambda: system.latest["training_status"].updates > 0)
        stranger = fuzz.Stranger(system.node, random.Random(seed))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            stranger.send()
            for _ in range(3):
                system.executor.spin_once(timeout_sec=0.005)
            assert system.popen.poll() is None, f"seed {seed}\n{system.words()}"
        stranger.leave()
        _recovers(system)
        assert system.end() == 0, f"seed {seed}\n{system.words()}"
        words = system.words()
        raised = re.findall(r"^(?:Traceback.*|[\w.]*Error: .*)", words, re.MULTILINE)
        assert raised == [], f"seed {seed}\n{words}"
        assert leftovers() == []
        return sum(stranger.sent.values())
    finally:
        system.close()


def _recovers(system: System) -> None:
    """A person ends what the stranger began; then everything works as before."""
    fault = system.node.create_publisher(String, "sim_fault", 10)
    # The driver says it where it changes, and for the driver it has not.
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    running = system.node.create_publisher(Bool, "io_and_status_controller/robot_program_running", latched)
    fault.publish(String(data="none"))
    running.publish(Bool(data=True))
    time.sleep(1.0)
    assert system.call("safety/release").success
    system.call("actor/start")
    system.forget()
    system.wait_until("acting", lambda: system.latest["control_status"].state == "acting")
    system.wait_until("steps stored", _growing(system, "replay_status", "received"))
    system.wait_until("updates", _growing(system, "training_status", "updates"))
    system.wait_until("that no step was dropped", lambda: system.latest["control_status"].dropped == 0, 20.0)


def _growing(system: System, topic: str, field: str):
    """Whether it has grown since the least that was seen: what is heard first may still be the stranger's."""
    least = math.inf

    def condition() -> bool:
        nonlocal least
        value = getattr(system.latest[topic], field)
        least = min(least, value)
        return value > least

    return condition


def test_a_running_system_survives_random_input(tmp_path):
    sent = fuzz_system(tmp_path, SYSTEMS["arm"], SECONDS, seed=fuzz.SEED)
    assert sent > 50
