"""A lab's own robot with prismatic joints, simulator, task and algorithm, all by import path, from the check to a policy."""

import agent_cases  # noqa: F401  compiles without optimising
import numpy as np
import pytest
from lab_cases import LAB, Table
from rig_cases import config_of, rig_of, robot_of
from train_cases import without_pages  # noqa: F401

import jsac_ros as jr
from jsac_ros import system
from jsac_ros.__main__ import main
from jsac_ros.parameters import dump
from jsac_ros.sim.kinematic.arm import SimArm
from jsac_ros.sim.world import World
from jsac_ros.types import Command

SMALL = {"agent.hidden": (8,), "agent.q_count": 2, "replay.batch_size": 8, "replay.warmup_steps": 12}


def test_it_learns_with_all_of_them_and_the_policy_is_found_again(tmp_path, capsys):
    config = config_of(LAB | SMALL | {"run.folder": str(tmp_path / "runs"), "task.observe": ("joint_position",)})
    system.check(config)
    dump(config, tmp_path / "lab.yaml")
    run = jr.train(str(tmp_path / "lab.yaml"), 30, progress=False)
    assert run.episodes and not run.episodes[0].success
    policy = jr.load(run.folder, "lab_cases:Careful")
    assert run.policy.about == policy.about
    words = ["evaluate", str(run.folder), "--episodes", "1"]
    assert (
        main(words) == 2 and "expected an installed plug-in, or this name given to load() or --agent" in capsys.readouterr().err
    )
    assert main([*words, "--agent", "lab_cases:Careful"]) == 0
    actions = [policy({"joint_position": np.random.default_rng(k).normal(size=3).astype(np.float32)}) for k in range(20)]
    assert policy.about["agent"]["type"] == "lab_cases:Careful"
    assert 0.0 < np.abs([action["arm"] if isinstance(action, dict) else action for action in actions]).max() <= 0.5


def test_units_are_those_of_the_joints():
    rig = rig_of(LAB, actions__arm__scale=(0.1, 0.2, 0.3))
    (arm,) = rig.spaces.actions
    assert arm.unit == "m/s, m/s, rad/s" and arm.high == (0.1, 0.2, 0.3) == tuple(-low for low in arm.low)
    assert arm.command == "-0.1 to 0.1 m/s, -0.2 to 0.2 m/s, -0.3 to 0.3 rad/s"
    units = {vector.name: vector.unit for vector in rig.spaces.vectors}
    assert units["joint_position"] == "m from home, m from home, rad from home"


@pytest.mark.parametrize("interface", ["velocity", "trajectory"])
@pytest.mark.parametrize("joint", range(3))
def test_the_gate_keeps_range_speed_and_acceleration_of_slides_and_turns(interface, joint):
    rig = rig_of(LAB, robot__interface=interface)
    world, robot, wanted, before = World(rig, 0), rig.robot, np.zeros(3), np.zeros(3)
    assert isinstance(world.sim, Table)
    fastest, hardest = np.array((0.15, 0.15, 0.5)), np.array((1.0, 1.0, 2.0))  # m/s, m/s, rad/s; per s
    for direction in (1.0, -1.0):
        wanted[joint] = 10.0 * direction
        for _ in range(400):
            world.step(Command(wanted, {}))
            q, qd = world.sim.q, world.sim.qd
            assert (robot.lower <= q).all() and (q <= robot.upper).all() and (np.abs(qd) <= fastest * 1.01).all()
            assert (np.abs(qd - before) <= hardest * rig.config.control.period_s * 1.5).all()
            before = qd.copy()
        end = robot.upper if direction > 0 else robot.lower
        assert abs(q[joint] - end[joint]) < 0.02 and np.abs(qd).max() < 1e-3, "it stands at the end of its range"


def test_a_reset_brings_slides_and_turns_home():
    rig = rig_of(LAB, task__settle_s=0.1)
    world = World(rig, 0)
    world.reset(np.array((0.05, -0.2, -1.0)))
    part, sensed = rig.task.reset(), world.view().sensed
    part.begin(sensed)
    for _ in range(500):
        command = part.step(world.view().sensed)
        if command is None:
            break
        world.step(command)
    assert command is None
    np.testing.assert_allclose(world.sim.q, rig.robot.home, atol=0.02)


class Thrifty(Table):
    """It goes on writing into the arrays that it has given out."""

    picture = np.zeros((64, 64, 3), np.uint8)

    def reset(self, q=None):
        super().reset(q)
        self.qd = np.zeros(3)

    def step(self, dt):
        self.q += dt * 0.1

    def render(self, camera, snapshot):
        self.picture[:] = int(1000 * snapshot[0])
        return self.picture


class Cropped(Thrifty):
    def render(self, camera, snapshot):
        return super().render(camera, snapshot)[:10]


CAMERA = {"cameras.eye.height": 64, "cameras.eye.width": 64, "cameras.eye.source_height": 64, "cameras.eye.source_width": 64}


@pytest.mark.parametrize("channels", [1, 3])
def test_what_a_simulator_goes_on_writing_is_not_what_was_sensed(channels):
    rig = rig_of(LAB | CAMERA, sim__type="test_config_lab:Thrifty", cameras__eye__channels=channels)
    world = World(rig, 0)
    views = []
    for _ in range(3):
        views.append(world.view())
        assert views[-1].sensed.frames["eye"].shape == (64, 64, channels)
        world.step(Command(np.zeros(3), {}))
    assert np.all(np.diff([view.sensed.position for view in views], axis=0) > 0)
    assert len({int(view.sensed.frames["eye"].max()) for view in views}) == 3


def test_an_image_of_another_size_than_configured_is_named():
    world = World(rig_of(LAB | CAMERA, sim__type="test_config_lab:Cropped"), 0)
    with pytest.raises(ValueError, match=r"Cropped.render\('eye'\) is uint8\[10, 64, 3\]; expected uint8\[64, 64, 3\]"):
        world.view().sensed.frames["eye"]


def test_the_light_simulators_slides_and_turns_accelerate_as_configured():
    sim = SimArm(robot_of("lab_cases:Gantry", home=(0.2, 0.1, 0.5)), (0.2, 0.1, 0.5), "velocity", np.array((2.0, 2.0, 40.0)))
    sim.command_velocity([0.2, -0.2, 2.0])
    sim.step(0.01)
    np.testing.assert_allclose(sim.qd, (0.02, -0.02, 0.4))
