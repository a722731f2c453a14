"""Launch files of one configuration: `launch/system.launch.py`, its argument `config` with another default."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration


def system_with(package: str, config: str) -> Callable[[], LaunchDescription]:
    """The `generate_launch_description` of a launch file. config: name of a file in `share/PACKAGE/config`."""

    def generate_launch_description() -> LaunchDescription:
        default = Path(get_package_share_directory(package)) / "config" / config
        system = Path(get_package_share_directory("jsac_ros")) / "launch" / "system.launch.py"
        return LaunchDescription(
            [
                DeclareLaunchArgument(
                    "config", default_value=str(default), description="ROS parameter file that describes the system"
                ),
                IncludeLaunchDescription(
                    PythonLaunchDescriptionSource(str(system)),
                    launch_arguments={"config": LaunchConfiguration("config")}.items(),
                ),
            ]
        )

    return generate_launch_description
