"""Installs the ROS-free parts with pip: agent, replay, control, tasks, robots, bags, report and the command jsac-ros.

The whole package, with its nodes and messages, is built by colcon (CMakeLists.txt); `make setup` does both.
"""

from pathlib import Path

from setuptools import find_packages, setup

requirements = Path(__file__).with_name("requirements") / "python.txt"

setup(
    name="jsac_ros",
    version="0.1.0",
    description="Learning robot skills from pixels, live, on ROS 2",
    license="MIT",
    python_requires=">=3.11",
    packages=find_packages(include=["jsac_ros", "jsac_ros.*"], exclude=["jsac_ros.nodes", "jsac_ros.nodes.*"]),
    package_data={"jsac_ros.dds": ["*.xml"]},
    install_requires=[line.split("#")[0].strip() for line in requirements.read_text().splitlines() if line[:1] not in "#"],
    entry_points={"console_scripts": ["jsac-ros = jsac_ros.__main__:main"]},
)
