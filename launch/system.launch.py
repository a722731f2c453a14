"""`ros2 launch jsac_ros system.launch.py config:=FILE`: a whole system with the processes that `jsac_ros/system.py` lists.

Ctrl-C, SIGTERM and a terminal that closes end them group by group: first the processes that command, then learner and replay,
then safety when the robot is at rest. Therefore the processes ignore SIGINT and SIGHUP (which reach all of them at once),
and this file requests their end. If `ros2 launch` is killed, the kernel sends SIGTERM to every process of ours, and they stop
concurrently.
"""

import json
import os
import re
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from ament_index_python.packages import get_package_prefix, get_package_share_directory
from launch import LaunchDescription
from launch.actions import (
    EmitEvent,
    ExecuteProcess,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
    TimerAction,
)
from launch.event_handlers import OnProcessIO, OnProcessStart, OnShutdown
from launch.events import matches_action
from launch.events.process import SignalProcess
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.utilities import make_namespace_absolute, prefix_namespace

from jsac_ros import logs
from jsac_ros.files import write_text
from jsac_ros.launching import ARGUMENTS, end_on_signals, expect_known
from jsac_ros.supervision import STOP, End, GiveUp, Process, Restart, Supervision

PACKAGE = "jsac_ros"
ROS2_BAG = "ros2bag"
DRIVER = {"true": "sim", "false": "external"}
IGNORING = "env --ignore-signal=INT --ignore-signal=HUP"  # from a process's first instruction on


class System:
    """The processes of one run while they run."""

    def __init__(self, description, use_sim_time, prefix="", prefix_filter=""):
        self.description = description
        self.folder = Path(description["run_folder"])
        self.parameters = [{"use_sim_time": use_sim_time}]
        self.prefix, self.prefix_filter = prefix, prefix_filter
        # By this variable a process notices that its starter has died; with a prefix, such as a debugger, that is its parent.
        # Each process writes to a pipe of its own.
        self.starter = {} if prefix else {"JSAC_STARTER_PID": str(os.getpid()), "JSAC_OWN_OUTPUT": "1"}
        self.processes = {entry["name"]: Process(**entry) for entry in description["processes"]}
        self.supervision = Supervision(self.processes.values(), description["max_restarts"])
        self.running = {}  # name -> its Node action
        self.names = {}  # Node action -> name, of every start
        self.pids = {}  # name -> process id, of those that have started and not ended
        self.kills = {}  # name -> the timer that kills it if it does not end when asked
        self.at_end = lambda: None
        self.stop_order = list(description["stop_order"])  # groups of names still to be asked to end
        self.asked = []  # the group that was asked last

    def start(self, name):
        """The action that starts a process, for the first time or again."""
        process = self.processes[name]
        executable, *arguments = self.description["commands"][name]
        prefixes = [self.prefix] if re.match(self.prefix_filter, name) else []
        own = {key: value for key, value in self.supervision.environment(name).items() if key not in os.environ}
        self.supervision.started(name, time.monotonic())
        node = Node(
            executable=executable,
            arguments=arguments,
            exec_name=name,
            namespace=self.description["namespace"],  # absolute: a start again is outside of any group of actions
            ros_arguments=self.description["arguments"][name],
            parameters=self.parameters,
            additional_env=own | self.description["environment"] | self.starter,
            prefix=" ".join([*prefixes, IGNORING, *([f"nice -n {process.nice}"] if process.nice else [])]),
            output="screen",
            sigterm_timeout="600",  # never reached while `stop_next` works
            on_exit=lambda event, context: self.on_exit(name, event.returncode, context.is_shutdown),
        )
        self.running[name] = node
        self.names[node] = name
        return node

    def on_start(self, event, context):
        """Writes the process ids for the reporter, and asks a process to end that started while the system ended."""
        if name := self.names.get(event.action):
            self.pids[name] = event.pid
            with suppress(OSError):  # on a full disk; nothing depends on it
                write_text(self.folder / "processes.json", json.dumps(self.pids))
            return self.ask(name) if context.is_shutdown else []
        return []

    def on_output(self, event, is_error):
        """Keeps the output of a process in its log."""
        name = self.names.get(event.action)
        if name and (is_error or name not in logs.AT_TERMINAL):
            logs.append(self.folder, name, event.text)

    def on_exit(self, name, status, is_shutdown):
        """What follows the exit of a process: its restart, or the end of the system."""
        del self.running[name]
        self.pids.pop(name, None)
        if kill := self.kills.pop(name, None):
            kill.cancel()
        decision = self.supervision.ended(name, status, time.monotonic())
        if is_shutdown:
            failure = decision.failure if isinstance(decision, End) else ""
            lines = [] if decision is None or isinstance(decision, End) else [decision.line]
            return [*(LogInfo(msg=line) for line in lines), *self.stop_next(), *([fail(failure)] if failure else [])]
        if isinstance(decision, Restart):
            again = OpaqueFunction(function=lambda _: [self.start(name)])
            return [LogInfo(msg=decision.line), TimerAction(period=decision.delay_s, actions=[again])]
        if isinstance(decision, GiveUp):
            return [LogInfo(msg=decision.line)]
        end = fail(decision.failure) if decision.failure else Shutdown(reason=f"{name} has finished")
        return [TimerAction(period=decision.delay_s, actions=[end])] if decision.delay_s else [end]

    def stop_next(self, *_):
        """Asks the next group to end once the previous one has ended; after the last one, cleans up after killed processes."""
        self.supervision.stopping()
        if any(name in self.pids for name in self.asked):
            return []
        while self.stop_order:
            self.asked = [name for name in self.stop_order.pop(0) if name in self.pids]
            if self.asked:
                return [action for name in self.asked for action in self.ask(name)]
        subprocess.run(self.description["clean_up"], stdin=subprocess.DEVNULL)
        self.at_end()
        return []

    def ask(self, name):
        """The actions that ask a process to end, and kill it if it takes too long."""
        signal = lambda number: EmitEvent(
            event=SignalProcess(signal_number=number, process_matcher=matches_action(self.running[name]))
        )
        late = [LogInfo(msg=f"{name} did not end; killed"), signal("SIGKILL")]
        limit_s = self.processes[name].stop_timeout_s
        self.kills[name] = TimerAction(period=limit_s, actions=late, cancel_on_shutdown=False)
        return [signal(STOP), self.kills[name]]


def fail(line):
    """The action that ends everything in order, as a Shutdown does; `ros2 launch` then ends with status 1, because launch
    gives that to an action that raises and to nothing else."""

    def raise_it(_):
        raise RuntimeError(line)

    return OpaqueFunction(function=raise_it)


def describe(context):
    """What `jsac-ros describe` says of the system that the launch arguments ask for. Raises RuntimeError with its findings."""
    names = ("config", "sim", "interface", "record", "dashboard", "namespace")
    values = {name: LaunchConfiguration(name).perform(context) for name in names}
    pushed = context.launch_configurations.get("ros_namespace")  # by PushRosNamespace around this file
    namespace = make_namespace_absolute(prefix_namespace(pushed, values["namespace"])) or "/"
    overrides = {
        "robot.driver": DRIVER.get(values["sim"]),
        "robot.interface": values["interface"],
        "bag.record": "" if values["record"] == ROS2_BAG else values["record"],
        "dashboard.enabled": values["dashboard"],
    }
    overrides |= {name: value for name, value in context.launch_configurations.items() if "." in name}
    command = [Path(get_package_prefix(PACKAGE)) / "bin" / "jsac-ros", "describe", values["config"]]
    command += ["--namespace", namespace, *(f"{name}={value}" for name, value in overrides.items() if value)]
    answer = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if answer.returncode:
        raise RuntimeError(answer.stderr.strip())
    return json.loads(answer.stdout)


def start_system(context):
    value_of = lambda name: LaunchConfiguration(name, default="").perform(context)
    system = System(
        describe(context), value_of("use_sim_time") == "true", value_of("launch-prefix"), value_of("launch-prefix-filter")
    )
    system.at_end = end_on_signals(context)
    outputs = OnProcessIO(
        on_stdout=lambda event: system.on_output(event, is_error=False),
        on_stderr=lambda event: system.on_output(event, is_error=True),
    )
    return [
        LogInfo(msg=f"run folder: {system.folder}"),
        RegisterEventHandler(OnProcessStart(on_start=system.on_start)),
        RegisterEventHandler(outputs),
        RegisterEventHandler(OnShutdown(on_shutdown=system.stop_next)),
        *(system.start(name) for name in system.processes),
        *([ros2_bag(system.folder)] if value_of("record") == ROS2_BAG else []),
    ]


def ros2_bag(folder):
    """`ros2 bag record` of everything, with queues that a run needs; it ends with Ctrl-C like the launch itself."""
    profile = Path(get_package_share_directory(PACKAGE)) / "config" / "rosbag2" / "record_qos.yaml"
    command = ["ros2", "bag", "record", "--all", "--storage", "mcap", "--output", str(folder / "bag")]
    ended = lambda event, context: [] if context.is_shutdown else [fail(f"ros2 bag record: exit status {event.returncode}")]
    return ExecuteProcess(
        cmd=[*command, "--qos-profile-overrides-path", str(profile)], name="ros2_bag", output="screen", on_exit=ended
    )


def generate_launch_description():
    return LaunchDescription([expect_known(PACKAGE), *ARGUMENTS, OpaqueFunction(function=start_system)])
