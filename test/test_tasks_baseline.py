"""Baselines, and the reacher as a whole: world, gate, task."""

import json

import numpy as np
import pytest

from jsac_ros.__main__ import main
from jsac_ros.parameters import load
from jsac_ros.rig import Rig
from jsac_ros.sim.world import World
from jsac_ros.types import Command

DEMO = "config/ur5_reacher_demo.yaml"


@pytest.fixture(scope="module")
def demo(request):
    return str(request.config.rootpath / DEMO)


def world_of(demo, seed):
    return World(Rig.of(load(demo)), seed)


def test_a_servo_earns_far_more_than_standing_still(demo, tmp_path, capsys):
    out = tmp_path / "baseline.json"
    assert main(["baseline", demo, "--episodes", "3", "--json", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert set(figures) == {"random", "still", "servo"}
    assert figures["servo"]["return_mean"] > 200 > 80 > figures["still"]["return_mean"]
    assert figures["servo"]["success"] == 1.0 and figures["still"]["success"] == 0.0
    assert "servo" in capsys.readouterr().out


def test_baselines_of_a_robot_that_is_not_simulated_are_refused_in_one_line(demo, capsys):
    assert main(["baseline", demo, "robot.driver=bag"]) == 2
    assert capsys.readouterr().err == "error: robot.driver is 'bag'; baselines run in the simulator, 'sim'\n"


def test_nothing_that_is_commanded_leaves_the_published_limits(demo):
    world, random = world_of(demo, seed=3), np.random.default_rng(3)
    rig, sim = world.rig, world.sim
    safety, before = rig.config.safety, np.zeros(6)
    for k in range(400):
        if k % 40 == 0:
            velocity = random.choice((-2.0, 0.0, 2.0), 6)
        world.step(Command(velocity, {}))
        tool = rig.robot.forward(sim.q, "base_link")[0]
        assert (tool >= safety.box_lower).all() and (tool <= safety.box_upper).all()
        assert (sim.q >= safety.joint_lower).all() and (sim.q <= safety.joint_upper).all()
        assert np.abs(sim.qd).max() <= safety.max_joint_speed_rad_s * 1.01
        change = np.abs(sim.qd - before).max() / rig.config.control.period_s
        assert change <= safety.max_joint_acceleration_rad_s2 * 1.05
        before = sim.qd.copy()


def test_the_same_seed_gives_the_same_episode(demo):
    first, second = (world_of(demo, seed=5) for _ in range(2))
    for _ in range(10):
        one, other = (world.step(Command(np.full(6, 0.1), {})) for world in (first, second))
        assert np.array_equal(one.motion, other.motion)
        assert np.array_equal(first.view().sensed.frames["wrist"], second.view().sensed.frames["wrist"])


def test_a_task_that_raises_is_one_line_with_its_file(capsys):
    words = ["baseline", "ur5_reacher_demo", "--episodes", "1", "task.type=raising_cases:Raises"]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: task 'raising_cases:Raises' in 'kinematic', baseline random: KeyError: 'no gauge' (")
    assert "raising_cases.py:" in error and len(error.strip().splitlines()) == 1
