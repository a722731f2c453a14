"""A gripper commanded by actions, as ros2_control's controllers serve them: the cube is lifted.

The two actions come from a package of the tests' own, built once, where control_msgs is not installed.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

from live_system import System, leftovers, tiny_config

HERE = Path(__file__).parent
LIFT = HERE.parent / "config" / "lift.yaml"
DEMO = (sys.executable, "-m", "jsac_ros", "demo")
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def messages(tmp_path_factory):
    """{variable: value} of the environment in which control_msgs is found."""
    if importlib.util.find_spec("control_msgs"):
        return {}
    workspace = tmp_path_factory.mktemp("workspace")
    shutil.copytree(HERE / "gripper_messages", workspace / "src" / "control_msgs")
    python = Path(sys.executable)
    prefixes = os.pathsep.join(filter(None, [os.environ.get("AMENT_PREFIX_PATH"), sys.prefix]))
    paths = dict.fromkeys(("AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH"), prefixes)
    path = {"PATH": os.pathsep.join([str(python.parent), os.environ["PATH"]])}
    command = [python, "-m", "colcon", "build", "--cmake-args", f"-DPython3_EXECUTABLE={python}"]
    built = subprocess.run(command, cwd=workspace, env=os.environ | paths | path, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    prefix = workspace / "install" / "control_msgs"
    (site,) = prefix.glob("lib/python3*/site-packages")
    before = {name: os.environ.get(name, "") for name in ("PYTHONPATH", "LD_LIBRARY_PATH")}
    after = {"PYTHONPATH": site, "LD_LIBRARY_PATH": prefix / "lib"}
    return {name: os.pathsep.join(filter(None, [str(after[name]), value])) for name, value in before.items()}


@pytest.mark.parametrize("interface", ["parallel_gripper_command", "gripper_command", "float64_multi_array"])
def test_a_cube_is_lifted_by_a_gripper_of_this_interface(tmp_path, monkeypatch, messages, interface):
    for name, value in messages.items():
        monkeypatch.setenv(name, value)
    fields = {
        "run.name": "live", "sim.joint_rate_hz": 125.0, "task.reset_s": 0.5, "grippers.gripper.interface": "joint_trajectory",
    }  # fmt: skip
    config = tiny_config(tmp_path, LIFT, fields)
    given = (f"grippers.gripper.interface={interface}", "grippers.gripper.topic=gripper_controller/command")
    system = System(config, *given, "--expert", "--episodes", "1", command=DEMO)
    try:
        assert system.join(120) == 0, system.words()
        assert system.table("episodes.csv")[-1]["reason"] == "goal", system.words()
        assert "gripper" not in (system.folder / "logs" / "safety.log").read_text(), system.words()
    finally:
        system.close()
    assert leftovers() == []
