"""A gripper commanded as its real driver's interface asks for, with the types of its messages: the cube is lifted."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

import driver_types
from live_system import System, leftovers, tiny_config

LIFT = Path(__file__).parent.parent / "config" / "lift.yaml"
DEMO = (sys.executable, "-m", "jsac_ros", "demo")
INTERFACES = {
    "parallel_gripper_command": "gripper_controller/command",
    "gripper_command": "gripper_controller/command",
    "float64_multi_array": "gripper_controller/command",
    "set_io": "io_and_status_controller/set_io",
}
pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("interface", INTERFACES)
def test_a_cube_is_lifted_by_a_gripper_of_this_interface(tmp_path, monkeypatch, interface):
    for name, value in driver_types.environment("control_msgs", "ur_msgs").items():
        monkeypatch.setenv(name, value)
    fields = {
        "run.name": "live", "sim.joint_rate_hz": 125.0, "task.reset_s": 0.5, "grippers.gripper.interface": "joint_trajectory",
    }  # fmt: skip
    config = tiny_config(tmp_path, LIFT, fields)
    given = (f"grippers.gripper.interface={interface}", f"grippers.gripper.topic={INTERFACES[interface]}")
    system = System(config, *given, "--expert", "--episodes", "1", command=DEMO)
    try:
        assert system.join(120) == 0, system.words()
        assert system.table("episodes.csv")[-1]["reason"] == "goal", system.words()
        moved = (system.folder / "logs" / "safety.log").read_text().partition("safety: moving")[2]
        assert moved and "gripper" not in moved, system.words()  # before, its driver may still have been starting
    finally:
        system.close()
    assert leftovers() == []
