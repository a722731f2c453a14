"""A task of somebody else's that fails in the middle of its third episode step."""

from jsac_ros.tasks.ur5_reacher.task import Ur5Reacher


class Raises(Ur5Reacher):
    def begin(self, sensed):
        self.steps = 0
        super().begin(sensed)

    def score(self, before, action, after):
        self.steps += 1
        if self.steps == 3:
            raise KeyError("no gauge")
        return super().score(before, action, after)
