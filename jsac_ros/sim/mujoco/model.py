"""Compiles a scene's MJCF to a MuJoCo model, and finds the robot's parts in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import mujoco
import numpy as np

from jsac_ros.config import ConfigError
from jsac_ros.rig import Rig
from jsac_ros.tasks.mujoco_scene import MujocoScene

FOLDER = Path(__file__).parent
ROBOT = FOLDER / "ur5e_2f85.xml"
_TABLE = FOLDER / "table.xml"
_TOLERANCE_M = 1e-4  # between the tool pose of the model and that of the robot's kinematics


class Places(NamedTuple):
    """Indices into the arrays of MjModel and MjData."""

    q: np.ndarray  # int [N], of the arm's joints in qpos
    v: np.ndarray  # int [N], of the arm's joints in qvel
    ctrl: np.ndarray  # int [N], of the arm's actuators
    gripper_ctrl: int
    gripper_q: int  # of one driven joint of the gripper in qpos
    flange: int  # sites
    tip: int
    pads: tuple[int, ...]  # geoms


def compile_scene(scene: MujocoScene, robot: Path, image: tuple[int, int], where: str) -> mujoco.MjModel:
    """image: height and width of the largest rendered image. Raises ConfigError with one line."""
    try:
        include = {"robot.xml": robot.expanduser().read_bytes(), "table.xml": _TABLE.read_bytes()}
        spec = mujoco.MjSpec.from_string(scene.xml, include=include)
        scene.edit(spec)
        _draw_quickly(spec, image)
        return spec.compile()
    except OSError as error:
        raise ConfigError(f"sim.robot_model {str(robot)!r}: {error.strerror}; expected an MJCF file") from None
    except ValueError as error:
        raise ConfigError(f"scene of {where}: {' '.join(str(error).split())}; expected MJCF") from None


def _draw_quickly(spec: Any, image: tuple[int, int]) -> None:
    """Draws round shapes with few polygons: a software renderer takes a quarter of the time, and 64x64 images look the same."""
    spec.visual.global_.offheight, spec.visual.global_.offwidth = image
    quality = spec.visual.quality
    quality.numslices, quality.numstacks, quality.numquads, quality.offsamples = 12, 8, 1, 0


def find(model: mujoco.MjModel, rig: Rig) -> Places:
    """Raises ConfigError if a part is missing, or if the model is not the configured robot."""
    robot = rig.robot
    names = [name.removeprefix(robot.prefix) for name in robot.names]
    try:
        joints = [model.joint(name) for name in names]
        gripper = model.actuator("gripper")
        places = Places(
            q=np.array([joint.qposadr[0] for joint in joints]),
            v=np.array([joint.dofadr[0] for joint in joints]),
            ctrl=np.array([model.actuator(name).id for name in names]),
            gripper_ctrl=gripper.id,
            gripper_q=_driven_joint(model, gripper.id),
            flange=model.site("flange").id,
            tip=model.site("tip").id,
            pads=tuple(g for g in range(model.ngeom) if model.geom(g).name.endswith("_pad")),
        )
    except KeyError as error:
        reason = " ".join(str(error.args[0]).split())
        raise ConfigError(f"robot.type is {robot.model!r}; sim.robot_model is another robot: {reason}") from None
    _check_kinematics(model, rig, places)
    return places


def _driven_joint(model: mujoco.MjModel, actuator: int) -> int:
    """Index in qpos of the first joint that an actuator moves, directly or through a tendon."""
    moved = model.actuator_trnid[actuator, 0]
    if model.actuator_trntype[actuator] == mujoco.mjtTrn.mjTRN_TENDON:
        moved = model.wrap_objid[model.tendon_adr[moved]]
    return int(model.jnt_qposadr[moved])


def _check_kinematics(model: mujoco.MjModel, rig: Rig, places: Places) -> None:
    """Raises ConfigError if the tool pose of the model differs from that of the robot's kinematics."""
    robot, data = rig.robot, mujoco.MjData(model)
    for q in (robot.home, robot.home + 0.5):
        data.qpos[places.q] = q
        mujoco.mj_kinematics(model, data)
        position, rotation = robot.forward(q, "base_link")
        off = np.abs(data.site_xpos[places.flange] - position).max()
        turned = np.abs(data.site_xmat[places.flange].reshape(3, 3) - rotation).max()
        if max(off, turned) > _TOLERANCE_M:
            raise ConfigError(
                f"robot.type is {robot.model!r}; the tool of sim.robot_model is {1000 * off:.1f} mm away from that robot's tool"
            )
