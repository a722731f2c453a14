"""Action parts: each converts the policy's action to a command of the robot, and back."""

from jsac_ros.control.actions.part import ActionPart, Actions

__all__ = ["ActionPart", "Actions"]
