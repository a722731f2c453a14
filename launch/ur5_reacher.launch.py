"""`ros2 launch jsac_ros ur5_reacher.launch.py`: the visual reacher; arguments as for `system.launch.py`."""

from jsac_ros.launching import system_with

generate_launch_description = system_with("jsac_ros", "ur5_reacher.yaml")
