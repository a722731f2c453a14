"""The safety box as a robot description of one link, which RViz, Foxglove and others draw beside the robot."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

from jsac_ros.config import SystemConfig

_COLOUR = "1 0.83 0.23 0.25"  # red, green, blue, opacity


def safety_box(config: SystemConfig) -> str:
    """URDF; '' without a box. Its link is the frame of the box, so that the frames of the robot's driver place it."""
    safety = config.safety
    if not len(safety.box_lower):
        return ""
    return box_urdf(config.robot.joint_prefix + safety.box_frame, safety.box_lower, safety.box_upper)


def box_urdf(frame: str, lower: Sequence[float], upper: Sequence[float]) -> str:
    """lower, upper: two corners, m [3] each, in `frame`."""
    size = " ".join(f"{high - low:.6g}" for low, high in zip(lower, upper))
    centre = " ".join(f"{(high + low) / 2:.6g}" for low, high in zip(lower, upper))
    return (
        f'<?xml version="1.0"?>\n<robot name="safety_box"><link name={quoteattr(frame)}><visual>'
        f'<origin xyz="{centre}"/><geometry><box size="{size}"/></geometry>'
        f'<material name="safety_box"><color rgba="{_COLOUR}"/></material></visual></link></robot>\n'
    )
