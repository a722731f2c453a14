"""A whole system in a terminal: its keys do what the verbs do, and when it closes the system ends in order."""

import importlib.util
import sys
from pathlib import Path

import pytest
from live_system import RUN, System, leftovers, tiny_config
from std_msgs.msg import Float64MultiArray

from jsac_ros import agent as algorithms
from jsac_ros.agent.checkpoint import Checkpoints
from jsac_ros.parameters import load
from jsac_ros.replay.store import FrameStore
from jsac_ros.rig import read_spaces

pytestmark = pytest.mark.timeout(300)


# `ros2 launch FILE config:=...`, without its command line.
LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

file, config = sys.argv[1:]
included = IncludeLaunchDescription(PythonLaunchDescriptionSource(file), launch_arguments=[("config", config)])
service = LaunchService()
service.include_launch_description(LaunchDescription([included]))
sys.exit(service.run())
"""
FILE = Path(__file__).resolve().parent.parent / "launch" / "system.launch.py"
LAUNCHED = pytest.mark.skipif(importlib.util.find_spec("launch_ros") is None, reason="launch_ros is not installed here")


@pytest.mark.parametrize(
    "starter",
    [RUN, pytest.param((sys.executable, "-c", LAUNCH, str(FILE)), marks=LAUNCHED)],
    ids=["jsac-ros run", "ros2 launch"],
)
def test_a_terminal_that_closes_ends_the_system_in_order(tmp_path, starter):
    config = tiny_config(tmp_path, robot__interface="velocity", learner__checkpoint_period_s=3600.0, run__report=True)
    system = System(config, terminal=True, command=starter)
    commands = []
    system.node.create_subscription(
        Float64MultiArray, "forward_velocity_controller/commands", lambda m: commands.append(list(m.data)), 100
    )
    try:
        system.wait_until("learning", lambda: system.latest["training_status"].updates > 20)
        if starter is RUN:
            press_keys(system)
        system.wait_until("moving", lambda: system.latest["control_status"].state == "acting" and system.speed > 0.05)
        system.hang_up()
        assert system.join(90) == 0, system.words()
        assert commands[-1] == [0.0] * 6 and system.speed < 1e-3, "at rest, although nothing stops a velocity but zeros"
        assert leftovers() == []
        for name in ("learning_curve.png", "report.html", "control_histograms.json", "safety_histograms.json", "policy"):
            assert (system.folder / name).exists(), name
        updates = system.summary()["updates"]
        settings, spaces = load(system.folder / "config.yaml"), read_spaces(system.folder)
        with Checkpoints(system.folder / "checkpoints", algorithms.build(settings.agent, spaces)) as checkpoints:
            assert checkpoints.latest() == updates > 0
        store, sent = FrameStore.read(system.folder / "replay"), system.summary()["transitions"]
        assert store.count == sent["sent"] == sent["received"] and store.damaged() == []
    finally:
        system.close()


def press_keys(system):
    """In the run's terminal; at the end the robot moves again."""
    status = lambda: system.latest["control_status"].state
    for key, state in (("p", "paused"), ("r", "acting")):
        system.press(key)
        system.wait_until(state, lambda state=state: status() == state)
    system.press(" ")
    system.wait_until("stopped", lambda: system.latest["safety_status"].emergency_stop)
    assert system.call("safety/release").success
    system.press("?")
    system.wait_until("the keys", lambda: system.output.read_text().count("space emergency stop") == 2)
    for answer in ("robot rests until jsac-ros resume", "emergency stop; jsac-ros release"):
        system.wait_until(answer, lambda answer=answer: answer in system.output.read_text())
