"""`ros2 launch pick_lab pick_lab.launch.py`: jsac_ros with this task, and the arguments of its launch files."""

from jsac_ros.launching import system_with

generate_launch_description = system_with("pick_lab", "pick_lab.yaml")
