"""Installs what needs no ROS with pip (pyproject.toml); colcon builds the whole package, nodes and messages included."""

from setuptools import setup

setup()
