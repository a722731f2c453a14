"""A Cartesian impedance controller at the fingertips instead of stiff joint servos, like a compliance controller or UR's
force mode that follows the same trajectory or poses: F = K (x_ref - x) + D (v_ref - v). `reach_m` and `reach_rad` limit what
the reference contributes, and so how hard the tip presses and how fast it follows when it is free.
"""

from __future__ import annotations

import math

import mujoco
import numpy as np

from jsac_ros.config import Positive, Section
from jsac_ros.robots.rotations import rotation_vector
from jsac_ros.sim.mujoco.model import Places


class ComplianceParameters(Section):
    stiffness_n_m: Positive = 2000.0  # stiffness of the compliant tool
    damping_ns_m: Positive = 160.0  # damping of the compliant tool
    turn_stiffness_nm_rad: Positive = 200.0  # stiffness against rotation
    turn_damping_nms_rad: Positive = 10.0  # damping against rotation
    reach_m: Positive = 0.008  # of the reference, damping included: presses with at most 16 N, follows at up to 0.1 m/s
    reach_rad: Positive = 0.05  # the same for rotation


class Compliance:
    def __init__(self, parameters: ComplianceParameters, model: mujoco.MjModel, places: Places):
        self._p, self._model, self._places = parameters, model, places
        data = mujoco.MjData(model)
        mujoco.mj_kinematics(model, data)
        flange = data.site_xmat[places.flange].reshape(3, 3)
        self._tip = (data.site_xpos[places.tip] - data.site_xpos[places.flange]) @ flange  # m, in the tool frame
        self._move, self._turn = np.zeros((3, model.nv)), np.zeros((3, model.nv))
        self._lead_s = parameters.damping_ns_m / parameters.stiffness_n_m
        self._turn_lead_s = parameters.turn_damping_nms_rad / parameters.turn_stiffness_nm_rad
        self._before: tuple[np.ndarray, np.ndarray] | None = None  # the reference of the tip one time step ago
        # From here on the actuators take torques.
        model.actuator_gainprm[places.ctrl, 0], model.actuator_biasprm[places.ctrl, :3] = 1.0, 0.0
        model.actuator_ctrllimited[places.ctrl] = 0

    def torque(self, data: mujoco.MjData, flange: np.ndarray, rotation: np.ndarray) -> np.ndarray:
        """Joint torques, Nm [N], that pull the tip to its pose with the flange at m [3] and [3, 3] in base_link."""
        p, places = self._p, self._places
        tip, axes = data.site_xpos[places.tip], data.site_xmat[places.tip].reshape(3, 3)
        mujoco.mj_jacSite(self._model, data, self._move, self._turn, places.tip)
        move, turn = self._move[:, places.v], self._turn[:, places.v]
        velocity = data.qvel[places.v]
        wanted, h = flange + rotation @ self._tip, self._model.opt.timestep
        before, turned = self._before or (wanted, rotation)
        self._before = wanted, rotation
        pull = wanted - tip + self._lead_s / h * (wanted - before)
        twist = rotation_vector(rotation @ axes.T) + self._turn_lead_s / h * rotation_vector(rotation @ turned.T)
        force = p.stiffness_n_m * _at_most(pull, p.reach_m) - p.damping_ns_m * (move @ velocity)
        moment = p.turn_stiffness_nm_rad * _at_most(twist, p.reach_rad) - p.turn_damping_nms_rad * (turn @ velocity)
        return force @ move + moment @ turn


def _at_most(vector: np.ndarray, length: float) -> np.ndarray:
    too_long = math.sqrt(vector @ vector) / length
    return vector / too_long if too_long > 1 else vector
