"""The simulator with contact: the tool's path as it moves it, poses in the place of joint motions, faults of what is handled."""

import mujoco
import numpy as np
import pytest

from jsac_ros.config import ConfigError
from jsac_ros.control.actions.twist import damped_solution
from jsac_ros.parameters import load
from jsac_ros.rig import Rig
from jsac_ros.robots.rotations import rotation_vector
from jsac_ros.sim.faults import Faults
from jsac_ros.sim.mujoco.plugin import Unstable
from jsac_ros.sim.world import World


def world_of(request, task, **fields):
    return World(Rig.of(load(request.config.rootpath / f"config/{task}.yaml", fields)), seed=0)


@pytest.fixture(scope="module")
def lift(request):
    world = world_of(request, "lift")
    yield world
    world.close()


@pytest.fixture(scope="module")
def compliant(request):
    """The arm of the peg, commanded by poses."""
    world = world_of(request, "insert", **{"robot.interface": "pose"})
    yield world
    world.close()


def begin(world):
    world.reset()
    world.rig.actions.begin(world.view().sensed)
    return world


def act(world, *parts):
    names = world.rig.actions.parts
    action = {name: np.atleast_1d(np.asarray(part, np.float32)) for name, part in zip(names, parts)}
    return world.step(world.rig.actions.command(action, world.view().sensed))


def tool(world):
    return world.rig.robot.forward(world.sim.q[:6], "base_link")


@pytest.mark.parametrize("direction", [(1, 0, 0), (0, -1, 0), (-1, 1, 1)])
def test_a_line_at_5_cm_a_second_is_straight_and_holds_the_orientation(lift, direction):
    """With mass, gravity, servos and the delays of a live system; measured every 2 ms."""
    world, direction = begin(lift), np.array(direction) / np.linalg.norm(direction)
    start, rotation = tool(world)
    off, turned, step = [], [], world.sim.step

    def watched(dt):
        for _ in range(max(1, round(dt / 0.002))):
            step(0.002)
            position, now = tool(world)
            off.append(position - start - (position - start) @ direction * direction)
            turned.append(rotation_vector(now @ rotation.T))

    world.sim.step = watched
    for _ in range(25):
        act(world, (*0.25 * direction, 0.0), 1.0)  # of 0.2 m/s
    world.sim.step = step
    assert 0.1 < (tool(world)[0] - start) @ direction < 0.13
    assert np.linalg.norm(off, axis=1).max() < 1e-3 and np.linalg.norm(turned, axis=1).max() < np.radians(0.5)


def test_the_jacobian_is_that_of_mujocos_model_and_moves_the_tool_as_it_was_asked(lift):
    """Lengths and axes of the model are those of MuJoCo's menagerie, not of our tables."""
    sim, robot, random = lift.sim, lift.rig.robot, np.random.default_rng(0)
    model, data, places = sim._model, mujoco.MjData(sim._model), sim._places
    whole = np.zeros((6, model.nv))
    worst = 0.0
    for q in random.uniform(-np.pi, np.pi, (200, 6)):
        data.qpos[places.q] = q
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_jacSite(model, data, whole[:3], whole[3:], places.flange)
        theirs = whole[:, places.v]
        np.testing.assert_allclose(robot.jacobian(q, "base_link")[2], theirs, atol=1e-4)
        if np.linalg.svd(theirs, compute_uv=False)[-1] > 0.06:  # not damped
            twist = random.normal(size=6)
            worst = max(worst, np.abs(theirs @ damped_solution(theirs, twist) - twist).max())
    assert worst < 1e-9


def test_a_compliant_arm_follows_poses_and_stops_where_the_last_one_was(compliant):
    """Its sender dies in the middle of a motion: nothing is sent any more, not even a brake."""
    world = begin(compliant)
    start, rotation = tool(world)
    for _ in range(10):
        act(world, (0.5, 0.0, 0.5))  # of 0.1 m/s
    last, place = world.sim._pose[0], tool(world)[0]
    assert np.linalg.norm(last - place) < 0.01 and np.linalg.norm(place - start) > 0.04
    for _ in range(100):
        world.sim.step(0.01)
    assert np.linalg.norm(tool(world)[0] - last) < 2e-3 and np.abs(world.sim.qd).max() < 1e-3
    np.testing.assert_allclose(rotation_vector(tool(world)[1] @ rotation.T), 0.0, atol=0.01)


def test_a_peg_is_inserted_by_poses(compliant):
    world, expert = begin(compliant), compliant.rig.task.expert(seed=0)
    before = world.view().sensed
    for _ in range(world.rig.episode_steps):
        world.step(world.rig.actions.command(expert(world.sim.truth), before))
        before = world.view().sensed
    assert world.sim.success


def test_a_wrench_that_is_tared_at_a_reset_is_the_weight_of_the_gripper(lift, compliant):
    for world in (lift, compliant):
        begin(world)
        first = world.sim.sensors["wrench"]
        world.sim.step(0.1)
        np.testing.assert_allclose(world.sim.sensors["wrench"], first, atol=2.0)
        assert 7.0 < first[2] < 11.0


def test_what_slips_is_dropped_and_a_bump_moves_it(lift):
    world, expert = begin(lift), lift.rig.task.expert(seed=0)
    sim = world.sim
    while not sim.truth["held"][0] or sim.truth["cube"][2] < 0.04:
        world.step(world.rig.actions.command(expert(sim.truth), world.view().sensed))
    for _ in range(5):
        world.step(world.rig.actions.rest)
    assert sim.truth["held"][0]
    sim.fault("slip", True)
    for _ in range(10):
        world.step(world.rig.actions.rest)
    assert sim.truth["cube"][2] < 0.03, "it has slid through the fingers"
    sim.fault("slip", False)
    begin(world)
    cube = sim.truth["cube"]
    sim.fault("bump", True)
    world.step(world.rig.actions.rest)
    assert np.linalg.norm(sim.truth["cube"] - cube) > 0.01


def test_what_is_out_of_reach_stays_there_until_a_new_scene(lift):
    world = begin(lift)
    world.sim.fault("out_of_reach", True)
    world.sim.fault("out_of_reach", False)
    world.step(world.rig.actions.rest)
    assert world.sim.truth["cube"][0] < -0.5
    world.sim.new_target()
    assert world.sim.truth["cube"][0] > 0.3


def test_a_simulator_s_own_faults_begin_and_end_once_and_another_ones_are_not_known(lift, compliant):
    assert set(lift.sim.faults) == {"slip", "bump", "out_of_reach"} and set(compliant.sim.faults) == {"slip"}
    faults = Faults(lift.sim.faults)
    faults.request("slip 2.0", 10.0)
    assert faults.active("slip", 11.9) and not faults.active("slip", 12.0)
    with pytest.raises(ValueError, match="fault 'bump'; expected none, .*, restart, slip$"):
        Faults(compliant.sim.faults).request("bump", 10.0)


@pytest.mark.parametrize(
    ("task", "fields", "line"),
    [
        ("lift", {"robot.interface": "pose"}, "sim.compliance is 'none'; expected 'cartesian' with robot.interface 'pose'"),
        ("ur5_reacher_demo", {"robot.interface": "pose"}, "sim.type 'kinematic' has no compliance"),
    ],
)
def test_poses_where_nothing_follows_them_are_one_line(request, task, fields, line):
    with pytest.raises(ConfigError, match=line) as refused:
        world_of(request, task, **fields).close()
    assert "\n" not in str(refused.value)


def test_where_nothing_renders_and_where_the_physics_diverges_is_one_line(request, monkeypatch, tmp_path):
    def no_driver(*_):
        raise RuntimeError("an OpenGL platform library\nhas not been loaded")

    world = begin(world_of(request, "push"))
    monkeypatch.chdir(tmp_path)  # MuJoCo writes a log
    monkeypatch.setattr(mujoco, "Renderer", no_driver)
    with pytest.raises(
        ConfigError, match=r"^no OpenGL to render with \(an OpenGL platform library has not .*; expected MUJOCO_GL"
    ):
        world.sim.render("above", world.sim.snapshot())
    world.sim._data.qvel[:] = 1e8
    with pytest.raises(Unstable, match="the physics diverged at .* s \\(BADQ"):
        world.sim.step(0.1)
    world.close()
