"""The launch file, where ROS 2's launch is installed: its arguments, and that it starts what the command starts."""

import importlib.util
import json
import os
import re
import signal
import subprocess
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
    started = system.processes(wanted)
    assert [node.node_executable for node in nodes] == [sys.executable] * len(started)
    for node, process in zip(nodes, started, strict=True):
        node.process_description.prepare(context, node)
        assert node.process_description.final_name.startswith(f"{process.name}-")
        assert process.module in node.process_description.final_cmd
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


def described(folder, *processes, max_restarts=1):
    """As `jsac-ros describe` describes a system: of processes, as dictionaries, that end in this order."""
    names = [process["name"] for process in processes]
    return {
        "run_folder": str(folder), "namespace": "/", "environment": {}, "processes": processes, "max_restarts": max_restarts,
        "commands": dict.fromkeys(names, [sys.executable, "-c", ENDS_WHEN_ASKED]), "arguments": dict.fromkeys(names, []),
        "stop_order": [[name] for name in names], "clean_up": [sys.executable, "-c", "print('cleaned')"],
    }  # fmt: skip


def test_stops_group_after_group(launch_file, tmp_path):
    names = ("player", "actor", "learner", "safety")
    started = launch_file.System(described(tmp_path, *({"name": name} for name in names)), use_sim_time=False)
    for name in names[1:]:
        started.start(name)
        started.pids[name] = 1
    assert len(started.stop_next()) == 2 and started.asked == ["actor"]  # the signal, and the timer of the other one
    assert started.stop_next() == []  # the actor has not ended yet
    assert len(started.on_exit("actor", 0, is_shutdown=True)) == 2 and started.asked == ["learner"]
    started.on_exit("learner", 0, is_shutdown=True)
    assert started.asked == ["safety"]


def test_restarts_a_bounded_number_of_times(launch_file, tmp_path, context):
    started = launch_file.System(described(tmp_path, {"name": "replay", "nice": 5}), use_sim_time=False)
    started.start("replay")
    assert isinstance(started.on_exit("replay", -9, is_shutdown=False)[-1], launch.actions.TimerAction)
    started.start("replay")
    (failure,) = started.on_exit("replay", -9, is_shutdown=False)
    with pytest.raises(RuntimeError, match="^replay: "):  # launch then ends everything in order, with status 1
        failure.execute(context)


@pytest.mark.parametrize("status, found", [(0, 0), (1, 1), (2, 1)])
def test_launch_ends_with_a_status_that_tells_whether_the_system_failed(launch_file, tmp_path, status, found):
    description = described(tmp_path, {"name": "actor", "ends_system": True}, max_restarts=0)
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
    started = launch_file.System(described(tmp_path, {"name": "actor", "ends_system": True}), use_sim_time=False)
    started.start("actor")
    assert isinstance(started.on_exit("actor", -15, is_shutdown=False)[-1], launch.actions.TimerAction)
    started.start("actor")
    assert isinstance(started.on_exit("actor", 0, is_shutdown=False)[-1], launch.actions.Shutdown)


def test_a_line_of_the_log_begins_with_the_name_of_its_process(launch_file, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(launch_file, "Node", lambda **options: made.append(options) or len(made))
    launch_file.System(described(tmp_path, {"name": "actor"}), use_sim_time=False).start("actor")
    assert made[0]["exec_name"] == "actor"


@pytest.mark.parametrize(
    "prefix, pattern, found", [("", "", []), ("gdb --args", "", ["gdb", "--args"]), ("gdb --args", "learner", [])]
)
def test_a_debugger_comes_before_the_processes_it_is_asked_for(launch_file, tmp_path, context, prefix, pattern, found):
    description = described(tmp_path, {"name": "actor", "nice": 5})
    node = launch_file.System(description, False, prefix, pattern).start("actor")
    node.process_description.prepare(context, node)
    command = node.process_description.final_cmd
    assert command[: len(found) + 2] == [*found, "env", "--ignore-signal=INT"]
    assert command[len(found) + 3 : len(found) + 7] == ["nice", "-n", "5", sys.executable]


# Ends when its starter asks, as our processes do; "hangs" does not.
ENDS_WHEN_ASKED = """
import signal, sys
name = [word for word in sys.argv if word.startswith("__node:=")][0].partition("=")[2]
ask = signal.SIGUSR2 if name == "hangs" else signal.SIGUSR1
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGUSR2])
print(name, "up", flush=True)
signal.sigwait([ask])
print(name, "ends", file=sys.stderr, flush=True)
"""
STARTER = """
import json, sys, importlib.util, launch
spec = importlib.util.spec_from_file_location("launch_file", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.describe = lambda context: json.loads(sys.argv[2])
service = launch.LaunchService(noninteractive=True)
service.include_launch_description(launch.LaunchDescription([launch.actions.OpaqueFunction(function=module.start_system)]))
sys.exit(service.run())
"""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("names, status", [(("actor", "safety"), 0), (("hangs", "safety"), 1)])
def test_every_signal_ends_a_launch_in_order(tmp_path, number, names, status):
    """Sent to all processes, as by a terminal; one that does not end when asked is killed, and the next one still has its turn."""
    (tmp_path / "logs").mkdir()
    description = described(tmp_path, *({"name": name, "stop_timeout_s": 0.5} for name in names))
    description["arguments"] = {name: ["--remap", f"__node:={name}"] for name in names}
    command = [sys.executable, "-c", STARTER, str(ROOT / "launch" / "system.launch.py"), json.dumps(description)]
    starter = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env=os.environ | {"ROS_LOG_DIR": str(tmp_path / "ros")},
    )  # fmt: skip
    log_of = lambda name: (tmp_path / "logs" / f"{name}.log").read_text()
    try:
        while not all((tmp_path / "logs" / f"{name}.log").exists() and "up" in log_of(name) for name in names):
            assert starter.poll() is None, starter.stdout.read()
            time.sleep(0.02)
        (os.kill if number == signal.SIGTERM else os.killpg)(starter.pid, number)
        output = starter.communicate(timeout=30)[0]
    finally:
        starter.kill()
        starter.wait()
    ends = [name for name in names if name != "hangs"]
    assert re.findall(r"(\w+) ends$", output, re.MULTILINE) == ends and "Traceback" not in output, output
    assert ("hangs did not end; killed" in output) == ("hangs" in names)
    assert output.rstrip().endswith("cleaned") and starter.returncode == status, output
    assert [log_of(name) for name in ends] == [f"{name} up\n{name} ends\n" for name in ends]


def test_a_field_of_the_configuration_is_an_argument_too(launch_file, context):
    context.launch_configurations.update({"run.seed": "3", "run.name": "night", "replay.warmup_steps": "20"})
    launch_file.start_system(context)
    resolved = parameters.load(next(Path("runs").iterdir()) / "config.yaml")
    assert (resolved.run.seed, resolved.run.name, resolved.replay.warmup_steps) == (3, "night", 20)
    context.launch_configurations.update({"run.seeed": "3", "replay.batch_size": "-1"})
    with pytest.raises(RuntimeError, match="run.seeed") as error:
        launch_file.start_system(context)
    assert "replay.batch_size is -1" in str(error.value)


@pytest.mark.parametrize(
    "words, is_refused",
    [
        (["jsac_ros", "system.launch.py"], True),
        (["-n", "jsac_ros", "system.launch.py"], True),
        ([str(ROOT / "launch" / "system.launch.py")], True),
        (["my_lab", "system.launch.py"], False),  # includes ours
        (["my_lab", "robots.launch.py"], False),
    ],
)
def test_a_misspelt_argument_starts_nothing(launch_file, monkeypatch, words, is_refused):
    given = ["config:=x.yaml", "run.seed:=3", "launch-prefix:=gdb"]
    monkeypatch.setattr(sys, "argv", ["ros2", "launch", *words, *given, "simm:=true"])
    check = launch_file.generate_launch_description().entities[0]
    for argv, refused in ((given, False), ([*given, "simm:=true"], is_refused)):
        context = launch.LaunchContext(argv=argv)
        context.extend_locals({"current_launch_file_path": str(ROOT / "launch" / "system.launch.py")})
        if refused:
            with pytest.raises(RuntimeError, match="argument simm is unknown; expected config, sim, .*run.seed:=3"):
                check.execute(context)
        else:
            check.execute(context)


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
