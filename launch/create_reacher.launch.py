"""`ros2 launch jsac_ros create_reacher.launch.py`: the mobile reacher; arguments as for `system.launch.py`."""

from jsac_ros.launching import system_with

generate_launch_description = system_with("jsac_ros", "create_reacher.yaml")
