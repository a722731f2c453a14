"""A lab's own action part that commands a device which is no gripper."""

import numpy as np

from jsac_ros.config import ActionParameters
from jsac_ros.control.actions.part import ActionPart
from jsac_ros.spaces import ActionSpace


class Lamp(ActionPart):
    Parameters = ActionParameters
    device = "lamp"

    def __init__(self, name, parameters, rig):
        self.space = ActionSpace(name, 1)

    def command(self, action, sensed):
        return np.asarray(action, np.float64)

    def action(self, command, sensed):
        return np.asarray(command, np.float32)
