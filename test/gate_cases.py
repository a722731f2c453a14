"""A simulated arm behind its gate."""

import numpy as np
from rig_cases import HOME

from jsac_ros import plugins
from jsac_ros.control.safety import gate_of
from jsac_ros.parameters import from_parameters
from jsac_ros.sim.kinematic.arm import SimArm
from jsac_ros.sim.trajectory import Trajectory

DT = 0.008  # a cycle of the robot's controller, which says its joints in each
CONTROL = 0.04
ROUNDING = 1e-6

LIMITS = {  # of the shipped reacher
    "safety.joint_lower": [0.95993, -2.0944, 0.0, -3.75246, -2.35619, 2.9],
    "safety.joint_upper": [2.18166, -0.5236, 2.35619, -2.35619, -0.7854, 3.4],
    "safety.box_lower": [-0.4, 0.17, 0.37],
    "safety.box_upper": [0.15, 0.7, 0.63],
    "safety.max_joint_speed_rad_s": 0.3,
}
REACHER = {
    **LIMITS,
    "robot.home": HOME,
    "actions.arm.type": "joint_velocity",
    "robot.program_running_topic": "running",
    "robot.speed_scaling_topic": "scaling",
    "safety.dead_man_topic": "dead_man",
}


def gated(base=REACHER, /, **changes):
    """Configuration, robot and gate."""
    config = from_parameters(base | changes)
    robot = plugins.make("robot", config.robot.type, config.robot)
    return config, robot, gate_of(config, robot)


class Cell:
    """A UR5 behind its gate: commands go in, the simulated arm moves, what it did is kept."""

    def __init__(self, interface="trajectory", start=None, scaling=100.0, sim=SimArm, **changes):
        self.config, self.arm, self.gate = gated(**{"robot.interface": interface} | changes)
        self.sim = sim(self.arm, self.arm.home if start is None else np.array(start), interface, 40.0)
        self.interface = interface
        self.now = 100.0
        self.hears_joints = True
        self.reads = 0.0  # rad that the joint states are off
        self.holds_switch = True
        self.q, self.qd = [self.sim.q], [self.sim.qd]
        self.gate.program_running(True)
        self.gate.speed_scaling(scaling)
        self.run(3 * DT)

    def listen(self):
        if self.hears_joints:
            self.gate.joints(self.sim.q + self.reads, self.now)
        if self.holds_switch:
            self.gate.dead_man_held(self.now, True)

    def drive(self, decision):
        motion, begins_s = decision.motion, decision.begins_s
        if self.interface == "trajectory" and motion is not None:
            times, q, qd, qdd = map(np.array, zip(*motion.points(begins_s is not None)))
            smooth = self.gate.limits.jerk is not None
            # The arm takes it at the end of its next step.
            starts_in_s = 0.0 if begins_s is None else begins_s - (self.now + DT)
            self.sim.command_trajectory(self.arm.names, Trajectory(times, q, qd, qdd if smooth else None), starts_in_s)
        elif self.interface == "velocity":
            self.sim.command_velocity(self.gate.velocity(self.now + DT))

    def command(self, velocity):
        decision = self.gate.command(self.now, np.asarray(velocity, float))
        self.drive(decision)
        return decision

    def run(self, seconds, watch=True):
        """Time passes without a new command; `watch=False`: the safety node is dead as well."""
        decision = None
        for _ in range(round(seconds / DT)):
            if watch:
                self.listen()
                decision = self.gate.watch(self.now)
                self.drive(decision)
            self.sim.step(DT)
            self.now += DT
            self.q.append(self.sim.q.copy())
            self.qd.append(self.sim.qd.copy())
        return decision

    def rest_s(self, seconds=1.0, **how):
        """Seconds until the arm is at rest and stays there."""
        begin = len(self.qd)
        self.run(seconds, **how)
        moving = np.flatnonzero(np.abs(self.qd[begin:]).max(axis=1) > 0.01)
        return 0.0 if len(moving) == 0 else (moving[-1] + 1) * DT

    def check(self, acceleration=1.4):
        q, qd = np.array(self.q), np.array(self.qd)
        bounds = self.gate.bounds
        assert (q <= bounds.joint_upper + ROUNDING).all() and (q >= bounds.joint_lower - ROUNDING).all()
        place = self.arm.tool_positions(q, "base_link")
        assert (place <= bounds.box[1] + ROUNDING).all() and (place >= bounds.box[0] - ROUNDING).all()
        assert np.abs(qd).max() <= 0.3 * 1.01
        steps = 2 if self.interface == "velocity" else 1  # the velocity controller executes steps raw
        changed = np.abs(qd[steps:] - qd[:-steps]).max() / (steps * DT)
        assert changed <= acceleration * 1.06  # the simulated controller steps over a corner


def full_speed(**changes):
    cell = Cell(**changes)
    for _ in range(12):
        cell.command([0.3, 0.0, 0.3, 0, 0, 0])
        cell.run(CONTROL)
    assert np.abs(cell.sim.qd).max() > 0.29
    return cell
