"""`ros2 launch jsac_ros ur5_reacher.launch.py`: a whole system, its processes as `jsac_ros/system.py` describes them.

Ctrl-C ends them group by group: who commands first, then who learns, safety when the robot is at rest. For that the
processes leave SIGINT alone (it reaches all of them at once) and get SIGTERM from here. SIGTERM to `ros2 launch` itself
makes it leave at once; the kernel then sends SIGTERM to every process of ours, and they end side by side.
"""

import json
import os
import signal
import subprocess
import time
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
from launch.events import matches_action
from launch.events.process import SignalProcess
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

PACKAGE = "jsac_ros"
RESTART_WINDOW_S = 600.0
RESTART_DELAY_S = 1.0
BAG_GRACE_S = 3.0  # after the last message of a recording: the actor closes its episode, replay stores it
ROS2_BAG = "ros2bag"
DRIVER = {"true": "sim", "false": "external"}

ARGUMENTS = [
    DeclareLaunchArgument(
        "config",
        default_value=str(Path(get_package_share_directory(PACKAGE)) / "config" / "ur5_reacher.yaml"),
        description="ROS parameter file that describes the system",
    ),
    DeclareLaunchArgument(
        "sim",
        default_value="",
        choices=["", *DRIVER],
        description="true: the simulated robot and camera, false: a real robot's drivers, empty: as the config says",
    ),
    DeclareLaunchArgument(
        "interface",
        default_value="",
        choices=["", "trajectory", "velocity", "twist", "none"],
        description="what the robot driver takes; none: nothing is commanded (shadow mode), empty: as the config says",
    ),
    DeclareLaunchArgument(
        "record",
        default_value="",
        choices=["", "true", "false", ROS2_BAG],
        description="write the run's topics to a rosbag2 in the run folder: with our recorder (true; policies and "
        "configuration too) or with `ros2 bag record` (ros2bag); empty: as the config says",
    ),
    DeclareLaunchArgument(
        "use_sim_time", default_value="false", choices=["true", "false"], description="follow /clock, when a bag is played"
    ),
]


class System:
    """The processes of one run while they run."""

    def __init__(self, description, use_sim_time, starter=None):
        self.description = description
        self.starter = starter or {}  # variables by which a process notices that we have died
        self.folder = Path(description["run_folder"])
        self.parameters = [str(self.folder / "config.yaml"), {"use_sim_time": use_sim_time}]
        self.processes = {process["name"]: process for process in description["processes"]}
        self.running = {}  # name -> its Node action
        self.pids = {}
        self.starts = {name: [] for name in self.processes}
        self.stop_order = list(description["stop_order"])  # groups of names still to be asked to end
        self.asked = []  # the group that was asked last

    def start(self, name):
        """The action that starts a process, for the first time or again."""
        process, again = self.processes[name], bool(self.starts[name])
        environment = self.description["environment"] | process["environment"]
        environment |= {"JSAC_IGNORE_SIGINT": "1", "ROS_LOG_DIR": str(self.folder / "logs")} | self.starter
        if again and name == "safety" and self.description["restart_needs_person"]:
            environment["JSAC_SAFETY_LATCHED"] = "the safety process had died and was started again"
        self.starts[name].append(time.monotonic())
        self.running[name] = Node(
            package=PACKAGE,
            executable=name,
            exec_name=name,
            parameters=self.parameters,
            additional_env=environment,
            prefix=f"nice -n {process['nice']}" if process["nice"] else None,
            output="screen",
            sigterm_timeout="120",  # never reached while `stop_next` works
            sigkill_timeout=str(process["stop_timeout_s"]),
            on_exit=lambda event, context: self.on_exit(name, event.returncode, context.is_shutdown),
        )
        return self.running[name]

    def on_start(self, event, _):
        """Tells the reporter who is who."""
        names = {action: name for name, action in self.running.items()}
        if event.action in names:
            self.pids[names[event.action]] = event.pid
            partial = self.folder / "processes.json.partial"
            partial.write_text(json.dumps(self.pids))
            partial.replace(self.folder / "processes.json")

    def on_exit(self, name, status, is_shutdown):
        """What follows the end of a process: its restart, or the end of everything."""
        del self.running[name]
        if is_shutdown:
            return self.stop_next()
        process = self.processes[name]
        if status == 0 and process["ends_system"]:
            end = Shutdown(reason=f"{name} has finished")
            return [TimerAction(period=BAG_GRACE_S, actions=[end])] if name == "player" else [end]
        recent = [at for at in self.starts[name] if time.monotonic() - at < RESTART_WINDOW_S]
        if status in (0, 2) or not process["restart"] or len(recent) > self.description["max_restarts"]:
            return [Shutdown(reason=f"{name} ended with status {status}")]
        return [
            LogInfo(msg=f"{name} died (status {status}); starting it again"),
            TimerAction(period=RESTART_DELAY_S, actions=[OpaqueFunction(function=lambda _: [self.start(name)])]),
        ]

    def stop_next(self, *_):
        """Asks the next group to end once the one before has ended."""
        if any(name in self.running for name in self.asked):
            return []
        while self.stop_order:
            self.asked = [name for name in self.stop_order.pop(0) if name in self.running]
            if self.asked:
                nodes = [self.running[name] for name in self.asked]
                return [
                    EmitEvent(event=SignalProcess(signal_number=signal.SIGTERM, process_matcher=matches_action(node)))
                    for node in nodes
                ]
        return []


def start_system(context):
    values = {name: LaunchConfiguration(name).perform(context) for name in ("config", "sim", "interface", "record")}
    overrides = {
        "robot.driver": DRIVER.get(values["sim"]),
        "robot.interface": values["interface"],
        "bag.record": "" if values["record"] == ROS2_BAG else values["record"],
    }
    command = [Path(get_package_prefix(PACKAGE)) / "bin" / "jsac-ros", "describe", values["config"]]
    command += [f"{name}={value}" for name, value in overrides.items() if value]
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode:
        raise RuntimeError(answer.stderr.strip())
    use_sim_time = LaunchConfiguration("use_sim_time").perform(context) == "true"
    prefixed = LaunchConfiguration("launch-prefix", default="").perform(context)  # a debugger, which is their parent then
    starter = {} if prefixed else {"JSAC_STARTER_PID": str(os.getpid())}
    system = System(json.loads(answer.stdout), use_sim_time, starter)
    return [
        LogInfo(msg=f"run folder: {system.folder}"),
        RegisterEventHandler(OnProcessStart(on_start=system.on_start)),
        RegisterEventHandler(OnShutdown(on_shutdown=system.stop_next)),
        *(system.start(name) for name in system.processes),
        *([ros2_bag(system.folder)] if values["record"] == ROS2_BAG else []),
    ]


def ros2_bag(folder):
    """`ros2 bag record` of everything, with queues that a run needs; it ends with Ctrl-C like the launch itself."""
    profile = Path(get_package_share_directory(PACKAGE)) / "config" / "rosbag2" / "record_qos.yaml"
    command = ["ros2", "bag", "record", "--all", "--storage", "mcap", "--output", str(folder / "bag")]
    return ExecuteProcess(cmd=[*command, "--qos-profile-overrides-path", str(profile)], name="ros2_bag", output="screen")


def generate_launch_description():
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start_system)])
