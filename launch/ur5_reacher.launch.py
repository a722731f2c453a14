"""`ros2 launch jsac_ros ur5_reacher.launch.py`: the visual reacher; arguments as for `system.launch.py`."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration


def generate_launch_description():
    share = Path(get_package_share_directory("jsac_ros"))
    config = DeclareLaunchArgument(
        "config",
        default_value=str(share / "config" / "ur5_reacher.yaml"),
        description="ROS parameter file that describes the system",
    )
    system = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(share / "launch" / "system.launch.py")),
        launch_arguments={"config": LaunchConfiguration("config")}.items(),
    )
    return LaunchDescription([config, system])
