"""`sim.type: mujoco`: an arm with controllers, servos, gripper and force sensor, and the objects on its table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import mujoco
import numpy as np
from pydantic import Field

from jsac_ros.config import ConfigError, GripperConfig, NonNegative, Positive, SimParameters, source_size
from jsac_ros.rig import Rig
from jsac_ros.robots.limits import of_kind
from jsac_ros.sim.controller import JointController
from jsac_ros.sim.mujoco import model as modelling
from jsac_ros.sim.mujoco.cameras import Cameras, Snapshot
from jsac_ros.sim.mujoco.compliance import Compliance, ComplianceParameters
from jsac_ros.sim.sim import Sim
from jsac_ros.sim.trajectory import CommandRefused, Trajectory
from jsac_ros.tasks.mujoco_scene import MujocoScene, place
from jsac_ros.types import Arrays

_NM_PER_AMPERE = 12.0  # approximate torque constant of a joint after the gear: the UR driver's effort is motor current
_SLIPPERY = 0.002  # factor of the fingertips' friction during the fault "slip": they press with 60 N, a cube weighs 0.6 N
_BUMP_M_S = 0.5
_SETTLE_STEPS = 400
_FAR_M = np.array((-0.6, 0.9, 0.05))  # out of reach, base_link


class Unstable(RuntimeError):
    """The simulation diverged. MuJoCo itself would reset it silently and continue."""


class MujocoSim(Sim):
    class Parameters(SimParameters, ComplianceParameters):
        type: str = "mujoco"
        robot_model: str = str(modelling.ROBOT)  # MJCF file that the scene includes as robot.xml
        # none: stiff servos; cartesian: an impedance controller that follows the trajectory
        compliance: Literal["none", "cartesian"] = "none"
        max_acceleration_rad_s2: Positive = 40.0  # largest acceleration of the velocity controller, revolute joints
        max_acceleration_m_s2: Positive = 40.0  # largest acceleration of the velocity controller, prismatic joints
        supersampling: Annotated[int, Field(ge=1, le=4)] = 2  # rendered pixels per image pixel along each axis
        exposure: tuple[Positive, Positive] = (1.0, 1.0)  # range of the brightness factor, drawn for each scene
        wrench_noise_n: NonNegative = 0.2  # standard deviation of the force; that of the torque in Nm is a fiftieth

    faults = {
        "slip": "the fingertips have hardly any friction",
        "bump": "the object on the table is knocked sideways",
        "out_of_reach": "the object on the table is moved out of the arm's reach",
    }

    def __init__(self, parameters: MujocoSim.Parameters, rig: Rig, seed: int):
        """Raises ConfigError if scene, robot, gripper and cameras do not fit together."""
        super().__init__(parameters, rig, seed)
        self._random = np.random.default_rng(seed)  # of the scenes: the same, however long an episode lasts
        self._noise = np.random.default_rng((seed, 1))
        self._scene = rig.task.mujoco_scene() or MujocoScene()
        scale = parameters.supersampling
        sizes = [source_size(camera) for camera in rig.config.cameras.values()] or [(1, 1)]
        image = tuple(scale * max(size[axis] for size in sizes) for axis in (0, 1))
        where = f"task {rig.config.task.type!r}"
        if not self._scene.loose:
            self.faults = {"slip": self.faults["slip"]}
        self._model = modelling.compile_scene(self._scene, Path(parameters.robot_model), image, where)
        self._places = modelling.find(self._model, rig)
        self._data = mujoco.MjData(self._model)
        if len(rig.grippers) > 1 or (rig.grippers and "gripper" not in rig.grippers):
            raise ConfigError(f"grippers has {', '.join(rig.grippers)}; expected one, 'gripper', as the simulated arm has it")
        self._gripper = rig.grippers.get("gripper")
        self.names = (*rig.robot.names, *([self._gripper.config.joint] if self._gripper else []))
        reachable = of_kind(rig.robot, parameters.max_acceleration_rad_s2, parameters.max_acceleration_m_s2)
        self._controller = JointController(rig.robot, rig.config.robot.interface, reachable)
        self._compliance = None
        if parameters.compliance == "cartesian":
            self._compliance = Compliance(parameters, self._model, self._places)
        self._takes_poses = rig.config.robot.interface == "pose"
        if self._takes_poses and self._compliance is None:
            raise ConfigError("sim.compliance is 'none'; expected 'cartesian' with robot.interface 'pose'")
        self._cameras = Cameras(self._model, rig, scale, parameters.camera_noise, seed)
        self._friction = self._model.geom_friction[list(self._places.pads)].copy()
        self._range = self._model.actuator_ctrlrange[self._places.gripper_ctrl].tolist()  # open, closed
        stroke_m = self._gripper.stroke_m if self._gripper else GripperConfig().stroke_m
        self._per_metre = (self._range[1] - self._range[0]) / stroke_m
        self._first_opening = stroke_m if self._scene.opening_m is None else self._scene.opening_m
        self._qpos = self._settled()
        self.reset()

    def _settled(self) -> np.ndarray:
        """qpos after the fingers, whose linkage is a closed chain, have settled at their initial opening."""
        model, data, places = self._model, self._data, self._places
        data.qpos[places.q] = self.rig.robot.home
        data.ctrl[places.gripper_ctrl] = self._range[1] - self._first_opening * self._per_metre
        for _ in range(_SETTLE_STEPS):
            data.qpos[places.q], data.qvel[places.v] = self.rig.robot.home, 0.0
            mujoco.mj_step(model, data)
        return data.qpos.copy()

    # -- reset and scene -----------------------------------------------------------------------------------------

    def reset(self, q: np.ndarray | None = None) -> None:
        """q: joint positions, rad [N]; default `robot.home`."""
        model, data, places = self._model, self._data, self._places
        q = self.rig.robot.home if q is None else q
        mujoco.mj_resetData(model, data)
        data.qpos[:] = self._qpos
        data.qpos[places.q] = q
        self._opening = self._opening_wanted = self._first_opening
        self._owed_s, self.protective_stop, self.speed_slider = 0.0, False, 1.0
        self._controller.restart(q)
        self._pose = self.rig.robot.forward(q, "base_link")
        data.ctrl[places.ctrl], data.ctrl[places.gripper_ctrl] = 0.0 if self._compliance else q, self._fingers(0.0)
        for name in self.faults:
            self.fault(name, False)
        self.new_target()

    def new_target(self) -> str:
        where = self._scene.reset(self._model, self._data, self._random)
        self._exposure = self._random.uniform(*self.parameters.exposure)
        mujoco.mj_forward(self._model, self._data)
        self._read()
        return where

    # -- the driver ----------------------------------------------------------------------------------------------

    def restart(self) -> None:
        q = self._data.qpos[self._places.q]
        self._controller.restart(q)
        self._pose = self.rig.robot.forward(q, "base_link")

    def command_trajectory(self, names: Sequence[str], trajectory: Trajectory, starts_in_s: float = 0.0) -> None:
        self._controller.command_trajectory(names, trajectory, starts_in_s)

    def command_velocity(self, velocity: Sequence[float]) -> None:
        self._controller.command_velocity(velocity)

    def command_pose(self, position: np.ndarray, rotation: np.ndarray) -> None:
        if not self._takes_poses:
            raise CommandRefused("the compliance controller is not active")
        if not (np.isfinite(position).all() and np.isfinite(rotation).all()):
            raise CommandRefused("pose has a value that is not finite; the last one is kept")
        if not self.protective_stop:  # its program is stopped, and starts again where the arm is then
            self._pose = position, rotation

    def command_output(self, device: str, values: Sequence[float]) -> None:
        """The gripper's opening in m, [1]."""
        if self._gripper is None or device != self._gripper.name:
            super().command_output(device, values)
        if len(values) != 1 or not np.isfinite(values[0]):
            raise CommandRefused(f"gripper command is {list(values)}; expected one finite opening in m")
        self._opening_wanted = min(max(float(values[0]), 0.0), self._gripper.stroke_m)

    def step(self, dt: float) -> None:
        model, data, places = self._model, self._data, self._places
        self._owed_s += dt
        h = model.opt.timestep
        steps = int(self._owed_s / h + 1e-6)
        self._owed_s -= steps * h
        share = 0.0 if self.protective_stop else self.speed_slider
        ctrl, arm, fingers = data.ctrl, places.ctrl, places.gripper_ctrl
        for desired in self._controller.desired(steps, h, share) if steps else ():
            ctrl[arm] = self._compliance.torque(data, *self._reference(desired)) if self._compliance else desired
            ctrl[fingers] = self._fingers(h)
            mujoco.mj_step(model, data)
        if data.warning.number.any():
            raise Unstable(_why_unstable(data))
        self._read()

    def _reference(self, desired: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pose of the flange that a compliant arm follows, m [3] and [3, 3] in base_link."""
        return self._pose if self._takes_poses else self.rig.robot.forward(desired, "base_link")

    def _fingers(self, dt: float) -> float:
        """Control value of the gripper's actuator: its opening moves to the commanded one at the gripper's speed."""
        if self._gripper is not None:
            most = self._gripper.config.max_speed_m_s * dt
            self._opening += min(max(self._opening_wanted - self._opening, -most), most)
        return self._range[1] - self._opening * self._per_metre

    def _read(self) -> None:
        """Reads the values that the drivers publish, into new arrays, as callers may keep the old ones."""
        data, places = self._data, self._places
        q, qd = data.qpos[places.q], data.qvel[places.v]
        effort = (data.actuator_force[places.ctrl] + data.qfrc_gravcomp[places.v]) / _NM_PER_AMPERE
        if self._gripper is not None:
            q = np.append(q, self._gripper.joint(self._measured_opening()))
            qd, effort = np.append(qd, 0.0), np.append(effort, 0.0)
        self.q, self.qd, self.effort = q, qd, effort
        # MuJoCo measures the force that holds the gripper; a wrist sensor measures the opposite one, its weight included.
        wrench = -np.concatenate((data.sensor("force").data, data.sensor("torque").data))
        noise = self.parameters.wrench_noise_n * np.array((1.0, 1.0, 1.0, 0.02, 0.02, 0.02))
        self._wrench = wrench + noise * self._noise.normal(size=6)

    def _measured_opening(self) -> float:
        return float(self._range[1] - self._data.qpos[self._places.gripper_q]) / self._per_metre

    # -- images and sensors --------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        data = self._data
        return Snapshot(data.qpos.copy(), data.mocap_pos.copy(), data.mocap_quat.copy(), self._exposure)

    def render(self, camera: str, snapshot: Snapshot) -> np.ndarray:
        return self._cameras.render(camera, snapshot)

    def camera_matrix(self, camera: str) -> np.ndarray | None:
        return self._cameras.matrix(camera)

    @property
    def outputs(self) -> Arrays:
        return {self._gripper.name: np.array([self._measured_opening()])} if self._gripper else {}

    @property
    def sensors(self) -> Arrays:
        """`wrench` (N and Nm [6] in the tool frame), `success` [1], and the ground truth, as from perfect detectors."""
        truth = self.truth
        success = self._scene.succeeded(truth)
        return truth | {"wrench": self._wrench} | ({} if success is None else {"success": np.array([float(success)])})

    @property
    def truth(self) -> Arrays:
        """`tip` [3] m, `tip_velocity` [3] m/s, `tip_rotation` [9] in base_link, `opening` [1] m, and the scene's values."""
        data, places, velocity = self._data, self._places, np.empty(6)
        mujoco.mj_objectVelocity(self._model, data, mujoco.mjtObj.mjOBJ_SITE, places.tip, velocity, 0)
        arm = {
            "tip": data.site_xpos[places.tip].copy(),
            "tip_velocity": velocity[3:],
            "tip_rotation": data.site_xmat[places.tip].copy(),
            "opening": np.array([self._measured_opening()]),
        }
        return arm | self._scene.truth(self._model, data)

    @property
    def success(self) -> bool | None:
        return self._scene.succeeded(self.truth)

    # -- faults --------------------------------------------------------------------------------------------------

    def fault(self, name: str, active: bool) -> None:
        model, data = self._model, self._data
        loose = self._scene.loose
        match name:
            case "slip":
                model.geom_friction[list(self._places.pads)] = self._friction * (_SLIPPERY if active else 1.0)
            case "bump" if active:
                joint = model.joint(model.body(loose).jntadr[0])
                direction = self._noise.uniform(-np.pi, np.pi)
                data.qvel[joint.dofadr[0] : joint.dofadr[0] + 2] += _BUMP_M_S * np.array((np.cos(direction), np.sin(direction)))
            case "out_of_reach" if active:
                place(model, data, loose, _FAR_M)

    def close(self) -> None:
        self._cameras.close()


def _why_unstable(data: mujoco.MjData) -> str:
    names = [mujoco.mjtWarning(k).name.removeprefix("mjWARN_") for k, w in enumerate(data.warning) if w.number]
    return f"the physics diverged at {data.time:.3f} s ({', '.join(names)})"
