"""A gripper as the rest of the package uses it: the opening between its fingers in m, whatever its joint is."""

from __future__ import annotations

from jsac_ros.config import ConfigError, GripperConfig, SystemConfig

# Interface -> the type of action or service that it needs; the other interfaces are topics of common message types.
REQUESTS = {
    "parallel_gripper_command": "control_msgs/action/ParallelGripperCommand",
    "gripper_command": "control_msgs/action/GripperCommand",
    "set_io": "ur_msgs/srv/SetIO",
}
SET_DIGITAL_OUT = 1  # `fun` of ur_msgs/SetIO


class Gripper:
    """A gripper that is commanded and measured by its opening, m: 0 closed, `stroke_m` open."""

    def __init__(self, name: str, config: GripperConfig):
        """Raises ConfigError if open and closed are equal."""
        if config.open == config.closed:
            raise ConfigError(f"grippers.{name}.open and closed are both {config.open:g}; expected two values of the joint")
        self.name, self.config = name, config
        self.stroke_m = config.stroke_m

    def opening(self, joint: float) -> float:
        """The opening in m for a measured joint value (rad, m if prismatic); outside the stroke if the joint is."""
        return (joint - self.config.closed) / (self.config.open - self.config.closed) * self.stroke_m

    def joint(self, opening: float) -> float:
        """The inverse of `opening`, inside the stroke."""
        share = min(max(opening / self.stroke_m, 0.0), 1.0)
        return self.config.closed + share * (self.config.open - self.config.closed)


def grippers_of(config: SystemConfig) -> dict[str, Gripper]:
    """{name: gripper} of `config.grippers`, in the order of their names. Raises ConfigError."""
    return {name: Gripper(name, gripper) for name, gripper in sorted(config.grippers.items())}
