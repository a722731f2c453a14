"""The image of the monitor: geometry, area, noise."""

import os
import subprocess
import sys

import numpy as np
import pytest
from rig_cases import HOME, rig_of

from jsac_ros.sim.noise import Noise
from jsac_ros.tasks.ur5_reacher.screen import MARGIN, SCREEN, WristCamera, monitor_in_front, random_disc
from jsac_ros.tasks.ur5_reacher.task import red_mask

ARM = rig_of().robot
HOME = np.array(HOME)
MONITOR = monitor_in_front(*ARM.forward(HOME))
CENTRE = np.array(SCREEN) / 2


def image(disc=CENTRE, q=HOME, height=90, width=160):
    return WristCamera(height, width, MONITOR).render(*ARM.forward(q), disc)


def redness(frame):
    """Share of each pixel that the disc covers, from its green channel."""
    return np.clip((238.0 - frame[..., 1]) / 220.0, 0, 1)


def test_the_disc_has_the_area_that_perspective_gives_it():
    frame = image()
    inside = redness(frame)[30:60, 60:100].sum()
    pixels_per_unit = 0.60 / 160 / 0.55 * 160 / 1.1  # monitor's unit in m, over the distance, times focal length
    assert inside == pytest.approx(np.pi * (7 * pixels_per_unit) ** 2, rel=0.04)


def test_the_centre_of_the_disc_is_where_the_pinhole_puts_it():
    right_below = CENTRE + (30.0, 20.0)
    rows, columns = np.nonzero(red_mask(image(right_below)))
    pixels_per_unit = 0.60 / 160 / 0.55 * 160 / 1.1
    assert columns.mean() + 0.5 == pytest.approx(80 + 30 * pixels_per_unit, abs=0.3)
    assert rows.mean() + 0.5 == pytest.approx(45 + 20 * pixels_per_unit, abs=0.3)


def test_the_share_of_red_does_not_depend_on_the_resolution():
    large, small = image(CENTRE + 3.3), image(CENTRE + 3.3, height=45, width=80)
    assert redness(large)[30:70, 60:110].sum() / 4 == pytest.approx(redness(small)[15:35, 30:55].sum(), rel=0.04)


def test_turning_the_arm_left_moves_the_disc_right():
    turned = HOME.copy()
    turned[0] += 0.1
    before = np.nonzero(red_mask(image()))[1].mean()
    assert np.nonzero(red_mask(image(q=turned)))[1].mean() > before + 5


def test_a_monitor_behind_the_camera_is_not_seen():
    away = HOME.copy()
    away[4] += np.pi
    assert not red_mask(image(q=away)).any()
    assert len(np.unique(image(q=away).reshape(-1, 3), axis=0)) == 1


@pytest.mark.parametrize("lift", np.linspace(-1.5, 1.5, 7))
def test_any_pose_renders(lift):
    q = HOME.copy()
    q[1:3] += lift, 0.8 * lift
    assert image(q=q).shape == (90, 160, 3)


def test_noise_has_the_deviation_asked_for_and_changes_from_frame_to_frame():
    noise, clean = Noise(2.0, (90, 160), seed=1), image()
    first, second = (noise.on(clean).astype(int) for _ in range(2))
    clean = clean.astype(int)
    assert (first - clean).std() == pytest.approx(2.0, rel=0.1)
    assert (first != second).mean() > 0.5


def test_discs_keep_the_margin_and_reach_all_of_the_rest():
    random = np.random.default_rng(0)
    discs = np.array([random_disc(random) for _ in range(2000)])
    upper = np.array(SCREEN) - MARGIN
    assert (discs >= MARGIN).all() and (discs <= upper).all()
    assert (discs.min(axis=0) < MARGIN + 2).all() and (discs.max(axis=0) > upper - 2).all()


def test_without_a_display_the_window_is_one_line():
    pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    command = [sys.executable, "-m", "jsac_ros.nodes.target_display"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: target_display: ") and line.endswith(
        ("expected a display (environment DISPLAY)", "python3-tk")
    )
