"""A lab's own robot, simulator and algorithm, found by `lab_cases:Class`: a gantry of two slides and a turntable."""

from __future__ import annotations

import numpy as np

from jsac_ros.agent import Algorithm
from jsac_ros.agent.jsac.parameters import JsacParameters
from jsac_ros.config import RobotParameters, SimParameters, source_size
from jsac_ros.robots.robot import Robot
from jsac_ros.sim.sim import Sim
from jsac_ros.sim.trajectory import Trajectory
from jsac_ros.tasks.reset import ResetParameters, composed
from jsac_ros.tasks.task import Task
from jsac_ros.types import Score

LAB = {
    "robot.type": "lab_cases:Gantry", "robot.interface": "velocity", "robot.home": (0.2, 0.1, 0.5),
    "actions.arm.type": "joint_velocity", "actions.arm.scale": (0.1,), "sim.type": "lab_cases:Table",
    "task.type": "lab_cases:Centre", "task.episode_s": 0.4, "safety.max_joint_speed_rad_s": 0.5,
    "safety.max_joint_acceleration_rad_s2": 2.0, "safety.max_prismatic_speed_m_s": 0.15,
    "safety.max_prismatic_acceleration_m_s2": 1.0, "agent.type": "lab_cases:Careful",
}  # fmt: skip


class Gantry(Robot):
    class Parameters(RobotParameters):
        rail_m: float = 0.4

    def __init__(self, parameters):
        links = np.array([np.eye(4)] * 4)
        super().__init__(
            parameters, ["x", "y", "turn"], lower=[0.0, -0.3, -3.0], upper=[parameters.rail_m, 0.3, 3.0],
            max_velocity=[0.2, 0.2, 2.0], links=links, prismatic=[True, True, False],
        )  # fmt: skip


class Table(Sim):
    """Every joint follows its command at once."""

    class Parameters(SimParameters):
        type: str = "lab_cases:Table"

    def __init__(self, parameters, rig, seed):
        super().__init__(parameters, rig, seed)
        self._trajectory, self._now_s = None, 0.0
        self.reset()

    def reset(self, q=None):
        self.q = np.array(self.rig.robot.home if q is None else q, np.float64)
        self.qd = self.effort = np.zeros(3)

    def restart(self):
        self.qd = np.zeros(3)

    def new_target(self):
        return "the same table"

    def command_velocity(self, velocity):
        self.qd = np.array(velocity, np.float64)

    def command_trajectory(self, names, trajectory: Trajectory, starts_in_s=0.0):
        self._trajectory, self._now_s = trajectory, -starts_in_s

    def step(self, dt):
        if self._trajectory is not None:
            self._now_s += dt
            self.qd = (self._trajectory.at(self._now_s) - self.q) / dt
        self.q = self.q + dt * self.qd

    def snapshot(self):
        return self.q.copy()

    def render(self, camera, snapshot):
        height, width = source_size(self.rig.config.cameras[camera])
        return np.full((height, width, 3), int(255 * snapshot[0] / 0.4), np.uint8)


class Centre(Task):
    class Parameters(Task.Parameters, ResetParameters):
        pass

    def score(self, before, action, after):
        return Score(-float(abs(after.position[1])), False, False)

    def reset(self):
        return composed(self.parameters, self.rig, np.random.default_rng(0))


class Careful(Algorithm):
    """JSAC that halves every action."""

    class Parameters(JsacParameters):
        type: str = "lab_cases:Careful"
        share: float = 0.5

    @staticmethod
    def build(parameters, spaces):
        from jsac_ros.agent.jsac.agent import JsacAgent

        class Agent(JsacAgent):
            def act(self, params, observation, key, deterministic):
                return self.parameters.share * super().act(params, observation, key, deterministic)

        return Agent(parameters, spaces)
