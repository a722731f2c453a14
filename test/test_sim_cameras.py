"""Intrinsics of the simulated cameras: a point goes where K says, in what was rendered."""

import numpy as np
import pytest
from rig_cases import BASE, REACHER, config_of, rig_of

from jsac_ros import plugins
from jsac_ros.config import source_size
from jsac_ros.rig import Rig
from jsac_ros.sim.mujoco.cameras import Cameras, Snapshot, mujoco
from jsac_ros.tasks.create_reacher.arena import LENGTH, sign_corners
from jsac_ros.tasks.ur5_reacher.screen import camera_axes

SEEN = """<mujoco><visual><global offwidth="640" offheight="480"/></visual><worldbody>
<light pos="0 0 3" diffuse="1 1 1"/><geom type="sphere" pos="0.21 -0.13 -1" size="0.02" rgba="1 0 0 1"/>
<camera name="wrist" fovy="50"/><camera name="flat" projection="orthographic" fovy="1"/></worldbody></mujoco>"""


def seen_at(matrix, point):
    """Pixel (x, y) of a point [3] right, below and in front of the camera."""
    x, y, w = matrix @ point
    return x / w, y / w


def centre(image, is_it):
    """Mean pixel (x, y) of those that `is_it` marks."""
    rows, columns = np.nonzero(is_it(image.astype(int)))
    assert len(rows) > 10
    return columns.mean(), rows.mean()


def test_mujocos_cameras_render_with_their_fovy():
    rig = Rig.of(config_of(REACHER, cameras__wrist__source_height=480, cameras__wrist__source_width=640))
    model = mujoco.MjModel.from_xml_string(SEEN)
    cameras = Cameras(model, rig, 1, 0.0, 0)
    try:
        image = cameras.render("wrist", Snapshot(np.zeros(0), np.zeros((0, 3)), np.zeros((0, 4)), 1.0))
        red = centre(image, lambda image: image[..., 0] > image[..., 1] + 40)
        matrix = cameras.matrix("wrist")
        assert red == pytest.approx(seen_at(matrix, (0.21, 0.13, 1.0)), abs=0.5)  # MuJoCo's camera looks along -z, y is up
        assert matrix[0, 0] == pytest.approx(240 / np.tan(np.radians(25))) and matrix[0, 2] == 319.5
    finally:
        cameras.close()


def test_the_reachers_camera_is_a_pinhole():
    rig = rig_of(REACHER, sim__camera_noise=0.0, cameras__wrist__source_height=480, cameras__wrist__source_width=640)
    sim = plugins.make("sim", "kinematic", rig.config.sim, rig, 0)
    scene, (height, width) = sim.scene, source_size(rig.config.cameras["wrist"])
    image = sim.render("wrist", sim.snapshot())
    position, rotation = rig.robot.forward(rig.robot.home)
    disc = scene.monitor.points(scene.disc[None])[0]
    in_camera = np.stack(camera_axes(rotation)) @ (disc - position)
    seen = seen_at(sim.camera_matrix("wrist"), in_camera)
    assert centre(image, lambda image: image[..., 0] > image[..., 1] + 100) == pytest.approx(seen, abs=0.2)
    assert image.shape == (height, width, 3)


def test_a_bases_camera_is_one_too():
    rig = rig_of(BASE, sim__camera_noise=0.0, cameras__front__source_height=240, cameras__front__source_width=320)
    sim = plugins.make("sim", "kinematic", rig.config.sim, rig, 0)
    x, y, heading = sim.body.pose
    sign = sign_corners(sim.scene.sign_y).mean(axis=0)
    assert heading == 0.0 and sign[0] == LENGTH
    in_camera = (y - sign[1], 0.15 - sign[2], LENGTH - x - 0.10)  # the camera is 15 cm above the floor, 10 before the centre
    image = sim.render("front", sim.snapshot())
    green = centre(image, lambda image: image[..., 1] > image[..., 0] + 60)
    assert green == pytest.approx(seen_at(sim.camera_matrix("front"), in_camera), abs=0.3)


def test_what_is_no_pinhole_has_no_matrix():
    rig = Rig.of(config_of(REACHER | {"cameras.flat.height": 8, "cameras.flat.width": 8}, task__camera="wrist"))
    assert Cameras(mujoco.MjModel.from_xml_string(SEEN), rig, 1, 0.0, 0).matrix("flat") is None
