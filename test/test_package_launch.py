"""The launch file, where ROS 2's launch is installed: its arguments, and that it starts what the command starts."""

import importlib.util
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("launch_ros", reason="ROS 2's launch and launch_ros are not installed here (there are no wheels)")

import launch
from full_disk import files_of_at_most

from jsac_ros import parameters, system

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "config" / "ur5_reacher_demo.yaml"


@pytest.fixture(scope="module")
def launch_file():
    spec = importlib.util.spec_from_file_location("launch_file", ROOT / "launch" / "system.launch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def context(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # run folders are made here
    context = launch.LaunchContext()
    context.launch_configurations.update(
        config=str(DEMO), sim="true", interface="velocity", record="true", dashboard="true", use_sim_time="true", namespace=""
    )
    return context


def test_every_argument_is_described(launch_file):
    arguments = {argument.name: argument for argument in launch_file.generate_launch_description().get_launch_arguments()}
    assert set(arguments) == {"config", "sim", "interface", "record", "dashboard", "namespace", "use_sim_time"}
    assert all(argument.description for argument in arguments.values())


@pytest.mark.parametrize("name", ["ur5_reacher", "create_reacher"])
def test_a_launch_file_of_a_robot_is_the_whole_system_with_its_configuration(name):
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    context = launch.LaunchContext()
    source = PythonLaunchDescriptionSource(str(ROOT / "launch" / f"{name}.launch.py"))
    description = source.get_launch_description(context)
    arguments = {argument.name: argument for argument in description.get_launch_arguments()}
    assert set(arguments) == {"config", "sim", "interface", "record", "dashboard", "namespace", "use_sim_time"}
    (default,) = arguments["config"].default_value
    assert Path(default.text).name == f"{name}.yaml" and Path(default.text).exists()


def test_starts_the_processes_of_the_one_description(launch_file, context):
    from launch_ros.actions import Node

    nodes = [action for action in launch_file.start_system(context) if isinstance(action, Node)]
    wanted = parameters.load(DEMO, {"bag.record": True, "robot.interface": "velocity", "dashboard.enabled": True})
    assert [node.node_executable for node in nodes] == [process.name for process in system.processes(wanted)]
    resolved = parameters.load(next(Path("runs").iterdir()) / "config.yaml")
    assert (
        resolved.bag.record
        and resolved.dashboard.enabled
        and resolved.robot.interface == "velocity"
        and resolved.robot.driver == "sim"
    )


@pytest.mark.parametrize("pushed, asked, found", [(None, "left", "/left"), ("lab", "left", "/lab/left"), ("lab", "", "/lab")])
def test_a_namespace_holds_for_a_process_that_is_started_again_too(launch_file, context, monkeypatch, pushed, asked, found):
    kept = []
    made = launch_file.System
    monkeypatch.setattr(launch_file, "System", lambda *arguments: kept.append(made(*arguments)) or kept[-1])
    context.launch_configurations["namespace"] = asked
    context.launch_configurations.update({"ros_namespace": pushed} if pushed else {})
    launch_file.start_system(context)
    context.launch_configurations.pop("ros_namespace", None)  # as outside of the group of actions that pushed it
    node = kept[0].start("actor")
    node._perform_substitutions(context)
    assert node.expanded_node_namespace == found


def test_ros2_bag_records_where_it_is_asked_for(launch_file, context):
    context.launch_configurations["record"] = "ros2bag"
    actions = launch_file.start_system(context)
    (recorder,) = [action for action in actions if type(action) is launch.actions.ExecuteProcess]
    words = ["".join(part.perform(context) for part in word) for word in recorder.cmd]
    assert words[:4] == ["ros2", "bag", "record", "--all"] and Path(words[-1]).name == "record_qos.yaml"
    assert not parameters.load(next(Path("runs").iterdir()) / "config.yaml").bag.record


def test_a_wrong_configuration_is_one_line(launch_file, context):
    context.launch_configurations["config"] = "/nowhere.yaml"
    with pytest.raises(RuntimeError, match="config /nowhere.yaml") as error:
        launch_file.start_system(context)
    assert "\n" not in str(error.value)


def test_stops_group_after_group(launch_file, tmp_path):
    description = {
        "run_folder": str(tmp_path),
        "namespace": "/",
        "arguments": {"safety": [], "learner": [], "actor": []},
        "environment": {},
        "processes": [
            {"name": name, "nice": 0, "restart": True, "environment": {}, "ends_system": False, "stop_timeout_s": 1.0}
            for name in ("safety", "learner", "actor")
        ],
        "stop_order": [["player"], ["actor"], ["learner"], ["safety"]],
        "max_restarts": 1,
    }
    started = launch_file.System(description, use_sim_time=False)
    for name in ("safety", "learner", "actor"):
        started.start(name)
    assert len(started.stop_next()) == 1 and started.asked == ["actor"]
    assert started.stop_next() == []  # the actor has not ended yet
    assert len(started.on_exit("actor", 0, is_shutdown=True)) == 1 and started.asked == ["learner"]
    started.on_exit("learner", 0, is_shutdown=True)
    assert started.asked == ["safety"]


def test_restarts_a_bounded_number_of_times(launch_file, tmp_path, context):
    process = {"name": "replay", "nice": 5, "restart": True, "environment": {}, "ends_system": False, "stop_timeout_s": 1.0}
    description = {
        "run_folder": str(tmp_path), "namespace": "/", "arguments": {"replay": []}, "environment": {},
        "processes": [process], "stop_order": [["replay"]], "max_restarts": 1,
    }  # fmt: skip
    started = launch_file.System(description, use_sim_time=False)
    started.start("replay")
    assert isinstance(started.on_exit("replay", -9, is_shutdown=False)[-1], launch.actions.TimerAction)
    started.start("replay")
    (failure,) = started.on_exit("replay", -9, is_shutdown=False)
    with pytest.raises(RuntimeError, match="^replay: "):  # launch then ends everything in order, with status 1
        failure.execute(context)


@pytest.mark.parametrize("status, found", [(0, 0), (1, 1), (2, 1)])
def test_launch_ends_with_a_status_that_tells_whether_the_system_failed(launch_file, tmp_path, status, found):
    description = {
        "run_folder": str(tmp_path), "namespace": "/", "arguments": {"actor": []}, "environment": {}, "stop_order": [["actor"]],
        "processes": [{"name": "actor", "ends_system": True}], "max_restarts": 0,
    }  # fmt: skip
    started = launch_file.System(description, use_sim_time=False)
    ends = launch.actions.ExecuteProcess(
        cmd=[sys.executable, "-c", f"import sys; sys.exit({status})"],
        on_exit=lambda event, context: started.on_exit("actor", event.returncode, context.is_shutdown),
    )
    started.running["actor"] = ends
    started.supervision.started("actor", time.monotonic())
    service = launch.LaunchService(noninteractive=True)
    service.include_launch_description(launch.LaunchDescription([ends]))
    assert service.run() == found


def test_a_process_that_somebody_else_asked_to_end_is_started_again(launch_file, tmp_path):
    process = {"name": "actor", "ends_system": True}
    description = {
        "run_folder": str(tmp_path), "namespace": "/", "arguments": {"actor": []}, "environment": {}, "processes": [process],
        "stop_order": [["actor"]], "max_restarts": 1,
    }  # fmt: skip
    started = launch_file.System(description, use_sim_time=False)
    started.start("actor")
    assert isinstance(started.on_exit("actor", -15, is_shutdown=False)[-1], launch.actions.TimerAction)
    started.start("actor")
    assert isinstance(started.on_exit("actor", 0, is_shutdown=False)[-1], launch.actions.Shutdown)


def test_a_line_of_the_log_begins_with_the_name_of_its_process(launch_file, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(launch_file, "Node", lambda **options: made.append(options))
    description = {
        "run_folder": str(tmp_path), "namespace": "/", "arguments": {"actor": []}, "environment": {}, "stop_order": [],
        "processes": [{"name": "actor"}], "max_restarts": 0,
    }  # fmt: skip
    launch_file.System(description, use_sim_time=False).start("actor")
    assert made[0]["exec_name"] == "actor"


def test_a_full_disk_does_not_end_the_launch(launch_file, tmp_path):
    description = {
        "run_folder": str(tmp_path), "namespace": "/", "arguments": {"actor": []}, "environment": {}, "stop_order": [],
        "processes": [{"name": "actor"}], "max_restarts": 0,
    }  # fmt: skip
    started = launch_file.System(description, use_sim_time=False)
    begun = SimpleNamespace(action=started.start("actor"), pid=7)
    with files_of_at_most(1):
        started.on_start(begun, None)
    assert not list(tmp_path.iterdir())
    started.on_start(begun, None)
    assert json.loads((tmp_path / "processes.json").read_text()) == {"actor": 7}
