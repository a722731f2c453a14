"""Safety box and tool in the images of calibrated cameras, against what the simulators' own cameras see."""

import math

import mujoco
import numpy as np
import pytest
from rig_cases import config_of

from jsac_ros import plugins
from jsac_ros.config import ConfigError, source_size
from jsac_ros.dashboard.projection import Eye, Overlay, box_edges, project
from jsac_ros.parameters import load
from jsac_ros.rig import Rig
from jsac_ros.tasks.pinhole import Pinhole
from jsac_ros.tasks.ur5_reacher.screen import camera_axes

AHEAD = Eye(np.zeros(3), np.eye(3), (100.0, 100.0, 50.0, 40.0))
CALIBRATED = {
    "cameras.wrist.position_m": (0.0, 0.0, 0.0), "cameras.wrist.orientation": (0.0, 0.0, 0.0, 1.0),
    "cameras.wrist.intrinsics_px": (100.0, 100.0, 48.0, 32.0),
}  # fmt: skip


def test_a_box_has_twelve_edges_each_along_one_axis():
    edges = box_edges(np.array((0.0, 1.0, 2.0)), np.array((3.0, 5.0, 7.0)))
    lengths = np.abs(edges[:, 1] - edges[:, 0])
    assert (np.count_nonzero(lengths, axis=1) == 1).all()
    assert sorted(lengths.sum(axis=1)) == [3.0] * 4 + [4.0] * 4 + [5.0] * 4
    assert len(np.unique(edges.reshape(12, 6), axis=0)) == 12


def test_a_line_that_passes_the_camera_is_cut_off_at_it():
    lines = np.array([[[0, 0, 2], [1, 0, 2]], [[1, 0, 1], [1, 0, -1]], [[0, 0, -1], [1, 0, -2]]], float)
    (ahead, cut) = project(lines, AHEAD)
    assert sorted(ahead.tolist()) == [[50, 40], [100, 40]]
    assert sorted(cut[:, 0]) == pytest.approx([150, 50 + 100 / 0.01])


def corners_seen(overlay, q, name):
    """Ends of the box's edges, pixels [24, 2]."""
    return np.array(overlay.at(q)[name]["box"]).reshape(-1, 2)


@pytest.mark.parametrize("name", ["push", "lift", "insert"])
def test_mujoco_sees_the_box_where_it_is_drawn(name):
    """Shipped calibrations are those of the scene; a camera of MuJoCo looks along its -z, y up, its height seen under fovy."""
    config = load(name)
    rig = Rig.of(config)
    sim = plugins.make("sim", config.sim.type, config.sim, rig, 0)
    model, data, overlay = sim._model, mujoco.MjData(sim._model), Overlay(config, rig.robot)
    box = np.array((config.safety.box_lower, config.safety.box_upper))
    for q in (rig.robot.home, rig.robot.home + 0.2):
        data.qpos[sim._places.q] = q
        mujoco.mj_forward(model, data)
        drawn = overlay.at(q)
        assert set(drawn) == set(config.cameras)
        for camera, settings in config.cameras.items():
            eye, (height, width) = data.camera(camera), source_size(settings)
            half = math.tan(math.radians(model.camera(camera).fovy[0]) / 2)

            def pixel(point):
                right, up, back = eye.xmat.reshape(3, 3).T @ (point - eye.xpos)
                return np.array(
                    (width / 2 + right / -back / half * height / 2, height / 2 - up / -back / half * height / 2)
                ), -back

            for edge in box_edges(*box):
                ends = [pixel(point) for point in edge]
                if all(depth > 0.05 for _, depth in ends):
                    ends = np.array([place for place, _ in ends])
                    lines = np.array(drawn[camera]["box"]).reshape(-1, 2, 2)
                    away = np.minimum(np.abs(lines - ends).max((1, 2)), np.abs(lines - ends[::-1]).max((1, 2)))
                    assert away.min() < 0.5, (camera, edge)
            place, depth = pixel(data.site("flange").xpos)
            if depth > 0.05:
                np.testing.assert_allclose(drawn[camera]["tool"][0], place, atol=0.5)


def test_the_kinematic_renderer_sees_the_box_where_it_is_drawn():
    config = load("ur5_reacher_demo")
    robot = Rig.of(config).robot
    position, rotation = robot.forward(robot.home, "base_link")
    height, width = source_size(config.cameras["wrist"])
    lines = np.array(Overlay(config, robot).at(robot.home)["wrist"]["box"]).reshape(-1, 2, 2)
    assert len(lines) >= 4
    for edge in box_edges(np.array(config.safety.box_lower), np.array(config.safety.box_upper)):
        seen = Pinhole(height, width, 1.1).project(edge, position, np.stack(camera_axes(rotation)))
        if len(seen) == 2:  # else it is cut off: a line has other ends then than a polygon of two corners
            away = np.minimum(np.abs(lines - seen).max((1, 2)), np.abs(lines - seen[::-1]).max((1, 2)))
            assert away.min() < 0.5 + 1e-3 * np.abs(seen).max(), edge


def test_a_camera_in_the_other_base_frame_is_turned_by_half():
    base = CALIBRATED | {"cameras.wrist.mount": "base", "cameras.wrist.position_m": (-1.0, -2.0, 0.0)}
    turned = CALIBRATED | {"cameras.wrist.position_m": (1.0, 2.0, 0.0), "cameras.wrist.orientation": (0.0, 0.0, 1.0, 0.0)}
    box = {"safety.box_lower": (-0.4, 0.17, 0.37), "safety.box_upper": (0.15, 0.7, 0.63)}
    drawn = []
    for calibration in (base, turned):
        config = config_of(**{name.replace(".", "__"): value for name, value in (box | calibration).items()})
        robot = Rig.of(config).robot
        drawn.append(corners_seen(Overlay(config, robot), robot.home, "wrist"))
    assert len(drawn[0]) >= 8
    np.testing.assert_allclose(*drawn, atol=0.11)


def test_without_a_calibration_or_kinematics_nothing_is_drawn():
    config = config_of()
    assert Overlay(config, Rig.of(config).robot).is_empty


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cameras.wrist.position_m": (0.0, 0.0)}, r"position_m is \[0.0, 0.0\]; expected 3 values"),
        ({"cameras.wrist.orientation": ()}, r"orientation is \[\]; expected 4 values"),
        ({"cameras.wrist.orientation": (0.0, 0.0, 0.0, 2.0)}, "of length 2.000; expected a quaternion of length 1"),
        ({"cameras.wrist.intrinsics_px": (0.0, 1.0, 1.0, 1.0)}, "expected fx and fy above 0"),
    ],
)
def test_half_a_calibration_is_refused(changes, words):
    values = CALIBRATED | changes
    with pytest.raises(ConfigError, match=words):
        config_of(**{name.replace(".", "__"): value for name, value in values.items()})
