"""The launch file, where ROS 2's launch is installed: its arguments, and that it starts what the command starts."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("launch_ros", reason="ROS 2's launch and launch_ros are not installed here (there are no wheels)")

import launch  # noqa: E402

from jsac_ros import config, system  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "config" / "ur5_reacher_demo.yaml"


@pytest.fixture(scope="module")
def launch_file():
    spec = importlib.util.spec_from_file_location("launch_file", ROOT / "launch" / "ur5_reacher.launch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def context(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # run folders are made here
    context = launch.LaunchContext()
    context.launch_configurations.update(
        config=str(DEMO), sim="true", interface="velocity", record="true", use_sim_time="true"
    )
    return context


def test_every_argument_is_described(launch_file):
    arguments = {argument.name: argument for argument in launch_file.generate_launch_description().get_launch_arguments()}
    assert set(arguments) == {"config", "sim", "interface", "record", "use_sim_time"}
    assert all(argument.description for argument in arguments.values())


def test_starts_the_processes_of_the_one_description(launch_file, context):
    from launch_ros.actions import Node

    nodes = [action for action in launch_file.start_system(context) if isinstance(action, Node)]
    wanted = config.load(DEMO, {"bag.record": True, "robot.interface": "velocity"})
    assert [node.node_executable for node in nodes] == [process.name for process in system.processes(wanted)]
    resolved = config.load(next(Path("runs").iterdir()) / "config.yaml")
    assert resolved.bag.record and resolved.robot.interface == "velocity" and resolved.robot.driver == "sim"


def test_ros2_bag_records_where_it_is_asked_for(launch_file, context):
    context.launch_configurations["record"] = "ros2bag"
    actions = launch_file.start_system(context)
    (recorder,) = [action for action in actions if type(action) is launch.actions.ExecuteProcess]
    words = ["".join(part.perform(context) for part in word) for word in recorder.cmd]
    assert words[:4] == ["ros2", "bag", "record", "--all"] and Path(words[-1]).name == "record_qos.yaml"
    assert not config.load(next(Path("runs").iterdir()) / "config.yaml").bag.record


def test_a_wrong_configuration_is_one_line(launch_file, context):
    context.launch_configurations["config"] = "/nowhere.yaml"
    with pytest.raises(RuntimeError, match="config /nowhere.yaml") as error:
        launch_file.start_system(context)
    assert "\n" not in str(error.value)


def test_stops_group_after_group(launch_file, tmp_path):
    description = {
        "run_folder": str(tmp_path),
        "environment": {},
        "processes": [
            {"name": name, "nice": 0, "restart": True, "environment": {}, "ends_system": False, "stop_timeout_s": 1.0}
            for name in ("safety", "learner", "actor")
        ],
        "stop_order": [["player"], ["actor"], ["learner"], ["safety"]],
        "max_restarts": 1,
        "restart_needs_person": True,
    }
    started = launch_file.System(description, use_sim_time=False)
    for name in ("safety", "learner", "actor"):
        started.start(name)
    assert len(started.stop_next()) == 1 and started.asked == ["actor"]
    assert started.stop_next() == []  # the actor has not ended yet
    assert len(started.on_exit("actor", 0, is_shutdown=True)) == 1 and started.asked == ["learner"]
    started.on_exit("learner", 0, is_shutdown=True)
    assert started.asked == ["safety"]


def test_restarts_a_bounded_number_of_times(launch_file, tmp_path):
    process = {"name": "replay", "nice": 5, "restart": True, "environment": {}, "ends_system": False, "stop_timeout_s": 1.0}
    description = {
        "run_folder": str(tmp_path), "environment": {}, "processes": [process], "stop_order": [["replay"]],
        "max_restarts": 1, "restart_needs_person": True,
    }  # fmt: skip
    started = launch_file.System(description, use_sim_time=False)
    started.start("replay")
    assert isinstance(started.on_exit("replay", -9, is_shutdown=False)[-1], launch.actions.TimerAction)
    started.start("replay")
    assert isinstance(started.on_exit("replay", -9, is_shutdown=False)[-1], launch.actions.Shutdown)
