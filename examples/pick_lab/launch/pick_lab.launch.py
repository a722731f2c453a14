"""`ros2 launch pick_lab pick_lab.launch.py`: jsac_ros with this task, and the arguments of its launch files."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration


def generate_launch_description():
    system = Path(get_package_share_directory("jsac_ros")) / "launch" / "system.launch.py"
    ours = Path(get_package_share_directory("pick_lab")) / "config" / "pick_lab.yaml"
    return LaunchDescription(
        [
            DeclareLaunchArgument("config", default_value=str(ours)),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(str(system)), launch_arguments={"config": LaunchConfiguration("config")}.items()
            ),
        ]
    )
