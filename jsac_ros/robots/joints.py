"""A robot of which only the joint names are known, such as one in a recording."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from jsac_ros.config import RobotParameters
from jsac_ros.robots.robot import Robot


class Joints(Robot):
    class Parameters(RobotParameters):
        joints: Annotated[tuple[str, ...], Field(min_length=1)]  # joint names, without joint_prefix

    def __init__(self, parameters: Joints.Parameters):
        super().__init__(parameters, [parameters.joint_prefix + name for name in parameters.joints])
