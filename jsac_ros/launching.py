"""Shared code of the launch files: their arguments, the launch file of one configuration, the refusal of unknown arguments, and
an orderly shutdown on signals."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch.utilities.signal_management import AsyncSafeSignalManager

OF_LAUNCH = {"launch-prefix", "launch-prefix-filter", "emulate_tty"}  # arguments of every launch file
ARGUMENTS = [
    DeclareLaunchArgument(
        "config",
        description="ROS parameter file that describes the system; any field can be set as an argument: run.seed:=3",
    ),
    DeclareLaunchArgument(
        "sim",
        default_value="",
        choices=["", "true", "false"],
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
        choices=["", "true", "false", "ros2bag"],
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


def system_with(package: str, config: str) -> Callable[[], LaunchDescription]:
    """The `generate_launch_description` of a launch file. config: name of a file in `share/PACKAGE/config`."""

    def generate_launch_description() -> LaunchDescription:
        default = Path(get_package_share_directory(package)) / "config" / config
        system = Path(get_package_share_directory("jsac_ros")) / "launch" / "system.launch.py"
        return LaunchDescription(
            [
                expect_known(package),
                DeclareLaunchArgument("config", default_value=str(default), description=ARGUMENTS[0].description),
                IncludeLaunchDescription(
                    PythonLaunchDescriptionSource(str(system)),
                    launch_arguments={"config": LaunchConfiguration("config")}.items(),
                ),
            ]
        )

    return generate_launch_description


def expect_known(package: str) -> OpaqueFunction:
    """The action that stops a launch with unknown arguments before any process starts. launch ignores unknown arguments, so the
    misspelt `simm:=true` would start the real robot. A launch file that includes ours may declare more arguments."""

    def check(context: LaunchContext) -> None:
        file = Path(context.get_locals_as_dict().get("current_launch_file_path", ""))
        if (package, file.name) not in pairwise(sys.argv) and str(file.absolute()) not in map(_absolute, sys.argv):
            return
        known = [argument.name for argument in ARGUMENTS]
        given = [word.partition(":=")[0] for word in context.argv]
        if unknown := [name for name in given if name not in {*known, *OF_LAUNCH} and "." not in name]:
            raise RuntimeError(
                f"argument {', '.join(unknown)} is unknown; expected {', '.join(known)}, or a field of the configuration, "
                "such as run.seed:=3"
            )

    return OpaqueFunction(function=check)


def _absolute(word: str) -> str:
    return str(Path(word).absolute())


def end_on_signals(context: LaunchContext) -> Callable[[], object]:
    """Ends everything in order on SIGTERM and SIGHUP, as launch does on Ctrl-C, until the returned function is called. A signal
    that is ignored stays so (SIGHUP under `nohup`)."""
    loop = context.asyncio_loop
    if loop is None:
        return lambda: None

    def end(number: int, _: object) -> None:
        loop.call_soon_threadsafe(context.emit_event_sync, Shutdown(reason=signal.Signals(number).name))

    # launch has its own handler of SIGINT. Python's default one would also raise KeyboardInterrupt, which interrupts launch's
    # event loop and loses an event.
    handlers = {signal.SIGINT: lambda *_: None, signal.SIGHUP: end}
    # On SIGTERM launch cancels its own work, and its handlers can be reached in no other way.
    if manager := getattr(AsyncSafeSignalManager, "_AsyncSafeSignalManager__current", None):
        manager.handle(signal.SIGTERM, None)
        handlers[signal.SIGTERM] = end
    heard = [number for number in handlers if signal.getsignal(number) != signal.SIG_IGN]
    previous = {number: signal.signal(number, handlers[number]) for number in heard}
    return lambda: [signal.signal(number, handler) for number, handler in previous.items()]
