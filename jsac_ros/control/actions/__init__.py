"""Parts of an action: each turns what the policy chose into a command of the robot, and back."""

from jsac_ros.control.actions.part import ActionPart, Actions

__all__ = ["ActionPart", "Actions"]
