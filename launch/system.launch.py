"""`ros2 launch jsac_ros system.launch.py config:=FILE`: a whole system with the processes that `jsac_ros/system.py` lists.

Ctrl-C and a terminal that closes end them group by group: first the processes that command, then learner and replay, then
safety when the robot is at rest. Therefore the processes ignore SIGINT and SIGHUP (which reach all of them at once), and this
file requests their end. SIGTERM to `ros2 launch` itself makes it exit at once; the kernel then sends SIGTERM to every
process of ours, and they stop concurrently.
"""

import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from ament_index_python.packages import get_package_prefix, get_package_share_directory
from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
    TimerAction,
)
from launch.event_handlers import OnProcessStart, OnShutdown
from launch.events import Shutdown as ShutdownEvent
from launch.events import matches_action
from launch.events.process import SignalProcess
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.utilities import make_namespace_absolute, prefix_namespace

from jsac_ros.files import write_text
from jsac_ros.supervision import STOP, End, GiveUp, Process, Restart, Supervision

PACKAGE = "jsac_ros"
ROS2_BAG = "ros2bag"
DRIVER = {"true": "sim", "false": "external"}

ARGUMENTS = [
    DeclareLaunchArgument("config", description="ROS parameter file that describes the system"),
    DeclareLaunchArgument(
        "sim",
        default_value="",
        choices=["", *DRIVER],
        description="true: the simulated robot and camera, false: a real robot's drivers, empty: as in the config",
    ),
    DeclareLaunchArgument(
        "interface",
        default_value="",
        choices=["", "trajectory", "velocity", "pose", "twist", "none"],
        description="command interface of the robot driver; none: nothing is commanded (shadow mode), empty: as in the config",
    ),
    DeclareLaunchArgument(
        "record",
        default_value="",
        choices=["", "true", "false", ROS2_BAG],
        description="write the run's topics to a rosbag2 in the run folder: with our recorder (true; policies and "
        "configuration too) or with `ros2 bag record` (ros2bag); empty: as in the config",
    ),
    DeclareLaunchArgument(
        "dashboard",
        default_value="",
        choices=["", "true", "false"],
        description="serve the page on which the run is watched; its address is printed; empty: as in the config",
    ),
    DeclareLaunchArgument(
        "namespace", default_value="", description="namespace of all relative topics and services, such as left"
    ),
    DeclareLaunchArgument(
        "use_sim_time", default_value="false", choices=["true", "false"], description="follow /clock, when a bag is played"
    ),
]


class System:
    """The processes of one run while they run."""

    def __init__(self, description, use_sim_time, starter=None):
        self.description = description
        self.starter = starter or {}  # variables by which a process notices that this one has died
        self.folder = Path(description["run_folder"])
        self.parameters = [{"use_sim_time": use_sim_time}]
        self.processes = {entry["name"]: Process(**entry) for entry in description["processes"]}
        self.supervision = Supervision(self.processes.values(), description["max_restarts"])
        self.running = {}  # name -> its Node action
        self.pids = {}
        self.stop_order = list(description["stop_order"])  # groups of names still to be asked to end
        self.asked = []  # the group that was asked last

    def start(self, name):
        """The action that starts a process, for the first time or again."""
        process = self.processes[name]
        environment = self.description["environment"] | self.supervision.environment(name)
        environment |= {"JSAC_ENDS_IN_TURN": "1"} | self.starter
        self.supervision.started(name, time.monotonic())
        self.running[name] = Node(
            package=PACKAGE,
            executable=name,
            exec_name=name,
            namespace=self.description["namespace"],  # absolute: a start again is outside of any group of actions
            ros_arguments=self.description["arguments"][name],
            parameters=self.parameters,
            additional_env=environment,
            prefix=f"nice -n {process.nice}" if process.nice else None,
            output="screen",
            sigterm_timeout="120",  # never reached while `stop_next` works
            sigkill_timeout=str(process.stop_timeout_s),
            on_exit=lambda event, context: self.on_exit(name, event.returncode, context.is_shutdown),
        )
        return self.running[name]

    def on_start(self, event, _):
        """Writes the process ids for the reporter."""
        names = {action: name for name, action in self.running.items()}
        if event.action in names:
            self.pids[names[event.action]] = event.pid
            with suppress(OSError):  # on a full disk; nothing depends on it
                write_text(self.folder / "processes.json", json.dumps(self.pids))

    def on_exit(self, name, status, is_shutdown):
        """What follows the exit of a process: its restart, or the end of the system."""
        del self.running[name]
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
        """Asks the next group to end once the previous one has ended."""
        self.supervision.stopping()
        if any(name in self.running for name in self.asked):
            return []
        while self.stop_order:
            self.asked = [name for name in self.stop_order.pop(0) if name in self.running]
            if self.asked:
                nodes = [self.running[name] for name in self.asked]
                return [
                    EmitEvent(event=SignalProcess(signal_number=STOP, process_matcher=matches_action(node))) for node in nodes
                ]
        return []


def fail(line):
    """The action that ends everything in order, as a Shutdown does; `ros2 launch` then ends with status 1, because launch
    gives that to an action that raises and to nothing else."""

    def raise_it(_):
        raise RuntimeError(line)

    return OpaqueFunction(function=raise_it)


def start_system(context):
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
    command = [Path(get_package_prefix(PACKAGE)) / "bin" / "jsac-ros", "describe", values["config"]]
    command += ["--namespace", namespace, *(f"{name}={value}" for name, value in overrides.items() if value)]
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode:
        raise RuntimeError(answer.stderr.strip())
    use_sim_time = LaunchConfiguration("use_sim_time").perform(context) == "true"
    prefixed = LaunchConfiguration("launch-prefix", default="").perform(context)  # a debugger, which is then their parent
    starter = {} if prefixed else {"JSAC_STARTER_PID": str(os.getpid())}
    system = System(json.loads(answer.stdout), use_sim_time, starter)
    end_with_terminal(context)
    return [
        LogInfo(msg=f"run folder: {system.folder}"),
        RegisterEventHandler(OnProcessStart(on_start=system.on_start)),
        RegisterEventHandler(OnShutdown(on_shutdown=system.stop_next)),
        *(system.start(name) for name in system.processes),
        *([ros2_bag(system.folder)] if values["record"] == ROS2_BAG else []),
    ]


def end_with_terminal(context):
    """Ends everything in order when the terminal closes, which launch does not handle; not under `nohup`."""
    loop = context.asyncio_loop
    if loop is None or signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        return
    end = ShutdownEvent(reason="the terminal has closed (SIGHUP)")
    signal.signal(signal.SIGHUP, lambda *_: loop.call_soon_threadsafe(context.emit_event_sync, end))


def ros2_bag(folder):
    """`ros2 bag record` of everything, with queues that a run needs; it ends with Ctrl-C like the launch itself."""
    profile = Path(get_package_share_directory(PACKAGE)) / "config" / "rosbag2" / "record_qos.yaml"
    command = ["ros2", "bag", "record", "--all", "--storage", "mcap", "--output", str(folder / "bag")]
    return ExecuteProcess(cmd=[*command, "--qos-profile-overrides-path", str(profile)], name="ros2_bag", output="screen")


def generate_launch_description():
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start_system)])
