"""Lift, insert and push with contact (MuJoCo): what their scenes show, what their experts do, what is earned."""

from collections import Counter

import numpy as np
import pytest
from rig_cases import REACHER, rig_of, sensed_of

from jsac_ros import plugins
from jsac_ros.baseline import measure
from jsac_ros.config import ConfigError
from jsac_ros.parameters import load
from jsac_ros.rig import Rig
from jsac_ros.sim.world import Delays, World
from jsac_ros.tasks.expert import Intervener
from jsac_ros.tasks.insert.scene import PEG_M
from jsac_ros.tasks.lift.expert import LiftExpert
from jsac_ros.tasks.task import Task

TASKS = tuple(n for n in plugins.names("task") if plugins.load("task", n).mujoco_scene is not Task.mujoco_scene)
WHAT = {"lift": "cube", "insert": "hole", "push": "puck"}


@pytest.fixture(scope="module", params=TASKS)
def world(request):
    """One of a task; its expert has a steady hand until `begin` is called."""
    world = World(Rig.of(load(request.config.rootpath / f"config/{request.param}.yaml")), seed=0)
    yield world
    world.close()


def begin(world):
    rig = world.rig
    world.reset(rig.task.start())
    sensed = world.view().sensed
    rig.task.begin(sensed)
    rig.actions.begin(sensed)
    return sensed


def play(world, choose):
    """An episode; -> scores. choose: truth -> action, or None for rest."""
    rig, before, scores = world.rig, begin(world), []
    while len(scores) < rig.episode_steps and not (scores and scores[-1].terminated):
        action = choose(world.sim.truth)
        world.step(rig.actions.rest if action is None else rig.actions.command(action, before))
        after = world.view().sensed
        scores.append(rig.task.score(before, action, after))
        before = after
    return scores


def test_the_expert_succeeds_and_only_success_is_rewarded(world):
    expert, missed = world.rig.task.expert(seed=0), []
    for _ in range(4):
        scores = play(world, expert)
        assert not any(score.reward or score.success for score in scores[:-1])
        assert world.sim.success == scores[-1].success
        if scores[-1] != (1.0, True, True):
            missed.append(f"not in {len(scores)} steps: {world.sim.truth}")
    assert len(missed) <= 1, missed
    still = play(world, lambda truth: None)
    assert len(still) == world.rig.episode_steps and not any(score.reward for score in still)


def test_baselines_meet_the_same_scenes_and_the_expert_is_one(request, monkeypatch):
    config, begun = load(request.config.rootpath / "config/push.yaml", {"task.episode_s": 3.0}), []
    reset = World.reset
    monkeypatch.setattr(World, "reset", lambda world, q: [reset(world, q), begun.append((q, world.sim.truth["puck"]))])
    figures = measure(config, episodes=2)
    assert list(figures) == ["random", "still", "expert"]
    assert figures["expert"]["success"] > figures["still"]["success"] == figures["still"]["return_mean"]
    for q, puck in begun[2:]:
        assert any(np.array_equal(q, p) and np.array_equal(puck, at) for p, at in begun[:2])


def test_an_expert_with_a_persons_hand_succeeds_nearly_always(world):
    expert, successes = world.rig.task.expert(seed=1), 0
    for _ in range(5):
        expert.begin()
        successes += play(world, expert)[-1].success
    assert successes >= 4


def test_the_expert_succeeds_with_the_delays_of_a_live_person(world, monkeypatch):
    """Who acts 25 ms before the tick, by a command that takes up to 30 ms: nothing swings about its aim."""
    monkeypatch.setattr(world, "delays", Delays(command_s=0.055))
    expert = world.rig.task.expert(seed=0)
    assert sum(play(world, expert)[-1].success for _ in range(4)) >= 3


def test_every_scene_is_another_one_inside_its_area_and_an_episode_begins_near_home(world):
    parameters, robot, places, tips = world.rig.task.parameters, world.rig.robot, [], []
    home, _ = robot.forward(robot.home, "base_link")
    for _ in range(30):
        begin(world)
        places.append(world.sim.truth[WHAT[parameters.type]][:2])
        tips.append(robot.forward(world.sim.q[: len(robot)], "base_link")[0] - home)
    off = np.abs(np.array(places) - parameters.centre_m)
    assert (off <= np.array(parameters.area_m) / 2 + 1e-3).all() and (
        off.max(axis=0) > 0.35 * np.array(parameters.area_m)
    ).all()
    noise = np.array(parameters.tool_noise[:3])
    assert (np.abs(tips) <= noise + 1e-3).all() and (np.ptp(tips, axis=0) >= noise).all()


def test_cameras_show_the_scene(world):
    colour = {"lift": 0, "insert": 0, "push": 2}[world.rig.task.parameters.type]  # the cube, the peg, the puck
    scenes, seen = 8, Counter()  # a wrist camera has not all of the table in view
    for _ in range(scenes):
        begin(world)
        frames = world.view().sensed.frames
        for name, space in world.rig.images.items():
            frame = frames[name].astype(int)
            assert frames[name].shape == space.frame_shape and frames[name].dtype == np.uint8
            others = np.delete(frame, colour, axis=2).max(axis=2)
            seen[name] += np.count_nonzero(frame[..., colour] > others + 40) >= 8
    assert min(seen.values()) > scenes / 2 and max(seen.values()) == scenes, f"{seen} of {scenes} show what is handled"


def test_success_comes_from_outside_or_from_a_person_alone(world, request):
    rig = world.rig
    sensed = sensed_of(rig, sensors={"success": np.array([0.0])})
    assert rig.task.score(sensed, {}, sensed) == (0.0, False, False)
    assert rig.sources["success"].type == "std_msgs/msg/Bool" and "success" not in rig.observed, "the policy is not told"
    file = request.config.rootpath / f"config/{rig.config.task.type}.yaml"
    alone = Rig.of(load(file, {"task.success_topic": ""}))
    assert "success" not in alone.sources
    assert alone.task.score(sensed_of(alone), {}, sensed_of(alone)) == (0.0, False, False)


def test_a_person_takes_over_where_nothing_goes_on_and_hands_back(world):
    intervener = world.rig.task.intervener(seed=0)
    intervener.begin()
    begin(world)
    acted = []
    for _ in range(60):  # of standing still
        action = intervener(world.sim.truth)
        acted.append(action is not None)
        if action is not None:
            world.rig.spaces.check_action(action)
    assert not any(acted[:12]) and any(acted) and not all(acted[12:])
    runs = "".join("x" if one else " " for one in acted).split()
    assert all(6 <= len(run) <= 15 for run in runs[:-1])


def test_with_a_persons_help_a_policy_that_does_nothing_succeeds(request):
    world = World(Rig.of(load(request.config.rootpath / "config/lift.yaml", {"task.episode_s": 20.0})), seed=0)
    intervener = world.rig.task.intervener(seed=0)
    intervener.begin()
    assert play(world, intervener)[-1].success
    world.close()


def test_an_intervention_ends_where_the_policy_makes_progress():
    class Nods:
        def begin(self):
            pass

        def __call__(self, truth):
            return {"arm": np.zeros(1)}

    intervener = Intervener(Nods(), lambda truth: float(truth["at"]), seed=0, patience=3, steps=(2, 2))
    acted = [intervener({"at": at}) is not None for at in (0, 1, 2, 2, 2, 2, 2, 2, 3, 4, 5)]
    assert acted == [False, False, False, False, False, True, True, False, False, False, False]


def test_the_hole_has_the_configured_clearance(request):
    file = request.config.rootpath / "config/insert.yaml"
    for clearance_m in (0.001, 0.006):
        world = World(Rig.of(load(file, {"task.clearance_m": clearance_m})), seed=0)
        model = world.sim._model
        left, right = (model.geom(f"wall_{side}") for side in ("left", "right"))
        gap = (left.pos[1] - left.size[1]) - (right.pos[1] + right.size[1])
        assert gap == pytest.approx(PEG_M + clearance_m)
        world.close()


def test_an_expert_needs_actions_that_move_the_tool():
    with pytest.raises(ConfigError) as refused:
        LiftExpert(rig_of(REACHER), seed=0)
    assert str(refused.value).startswith("the scripted expert of task 'ur5_reacher': ") and "\n" not in str(refused.value)
