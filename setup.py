"""Installs what needs no ROS with pip (pyproject.toml); colcon builds the whole package, nodes and messages included."""

from pathlib import Path
from shutil import copytree

from setuptools import setup
from setuptools.command.build_py import build_py


class Build(build_py):
    """Puts `config/` and `msg/` into the wheel as jsac_ros/share, where jsac_ros.shipped finds them."""

    def run(self):
        super().run()
        if not self.editable_mode:
            for name in ("config", "msg"):
                copytree(name, Path(self.build_lib) / "jsac_ros/share" / name, dirs_exist_ok=True)


setup(cmdclass={"build_py": Build})
