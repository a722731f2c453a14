"""The topics task as an actor runs it: messages in, a person's words, the user's service; commands and transitions out."""

from types import SimpleNamespace

import numpy as np
import pytest
from rig_cases import REACHER, rig_of

from jsac_ros.control.inputs import Inputs
from jsac_ros.control.rate import Tick
from jsac_ros.control.session import Choice, Session
from jsac_ros.control.verbs import Situation, answer

TOPICS = REACHER | {
    "task.type": "topics", "task.reward_topic": "reward", "task.success_topic": "success", "task.end_topic": "end",
    "task.success_reward": 10.0, "task.failure_reward": -5.0, "task.settle_s": 0.0, "task.reset_s": 0.1,
    "task.reset": ("home",),
}  # fmt: skip
PERIOD_S = 0.04


class Clock:
    """Seconds that only `Actor.tick` lets pass."""

    now_s = 100.0

    def now_ns(self):
        return round(self.now_s * 1e9)

    ros_now_ns = now_ns


class Actor:
    """Inputs and session of an actor without ROS; the robot follows its commands, camera and joints are always fresh."""

    def __init__(self, **task):
        self.rig = rig_of(TOPICS, **{f"task__{name}": value for name, value in task.items()})
        self.clock = Clock()
        log = lambda line, throttle_duration_sec=0.0: None
        self.inputs = Inputs(self.rig, SimpleNamespace(error=log, warning=log), self.clock)
        self.session = Session(self.rig, "arm", 1)
        self.q, self.transitions, self.finished = self.rig.robot.home.copy(), [], []
        self.session.start()

    def say(self, **values):
        """{sensor of the task: what its topic says}."""
        for name, value in values.items():
            self.inputs.on_sensor(f"task_{name}", SimpleNamespace(data=value))

    def tick(self, *events, **values):
        """One control period, in which the topics say `values` and a person `events`."""
        self.clock.now_s += PERIOD_S
        sec, nanosec = divmod(self.clock.now_ns(), 1_000_000_000)
        stamp = SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec))
        height, width = 32, 48
        self.inputs.on_image(
            "wrist",
            SimpleNamespace(header=stamp, height=height, width=width, encoding="rgb8", is_bigendian=0, step=3 * width, data=bytes(3 * width * height)),
        )  # fmt: skip
        names, still = list(self.rig.robot.names), np.zeros(6)
        self.inputs.on_joints(SimpleNamespace(header=stamp, name=names, position=self.q, velocity=still, effort=still))
        self.say(**values)
        accepted = [verb for verb in events if answer(verb, self.situation).success]
        now_ns = self.clock.now_ns()
        view = self.inputs.view(Tick(0, now_ns, now_ns, 0), None, tuple(accepted), "")
        outcome = self.session.tick(view, lambda *_: Choice({"arm": np.zeros(5, np.float32)}, 1), None)
        self.q = self.q + PERIOD_S * outcome.command.motion
        self.transitions += outcome.transitions
        self.finished += [outcome.finished] if outcome.finished else []
        return outcome

    @property
    def situation(self):
        return Situation(self.session.state, asks=self.session.asks)

    def until(self, state, **values):
        for _ in range(100):
            if self.session.state == state:
                return self
            self.tick(**values)
        raise AssertionError(f"{self.session.state} ({self.session.reason}), never {state}")


def test_an_episode_is_scored_by_what_the_topics_say():
    actor = Actor().until("acting", reward=0.0, success=False, end=False)
    actor.tick(reward=0.5)
    actor.tick(reward=-0.25)
    actor.tick(reward=1.0, success=True)
    assert [t.reward for t in actor.transitions] == [0.5, -0.25, 11.0, 0.0]
    assert [t.mask for t in actor.transitions[:3]] == [1.0, 1.0, 0.0] and actor.transitions[-1].is_last
    (result,) = actor.finished
    assert (result.success, result.terminated, result.episode_return) == (True, True, 11.25)


def test_an_end_without_success_is_a_failure():
    actor = Actor().until("acting", reward=0.0, success=False, end=False)
    actor.tick(reward=0.0)
    actor.tick(reward=-1.0, end=True)
    (result,) = actor.finished
    assert (result.success, result.terminated, result.episode_return) == (False, True, -1.0)


@pytest.mark.parametrize(("word", "success", "returned"), [("success", True, 10.0), ("failure", False, -5.0)])
def test_a_persons_button_ends_an_episode(word, success, returned):
    actor = Actor(reward_topic="", success_topic="", end_topic="").until("acting")
    actor.tick()
    actor.tick(word)
    (result,) = actor.finished
    assert (result.success, result.episode_return, result.reason) == (success, returned, f"{word} (operator)")


def test_a_discarded_episode_is_neither():
    actor = Actor().until("acting", reward=0.5, success=False, end=False)
    actor.tick(reward=0.5)
    actor.tick("discard", reward=0.5)
    (result,) = actor.finished
    assert not result.success and result.truncated and not result.terminated


def test_a_reward_that_falls_silent_holds_the_robot_and_closes_the_episode():
    actor = Actor(reward_max_age_s=0.2).until("acting", reward=0.0, success=False, end=False)
    actor.tick(reward=0.5)
    outcomes = [actor.tick() for _ in range(6)]
    assert actor.session.state == "holding" and "reward is 0.24 s old, limit 0.20 s" in actor.session.reason
    assert outcomes[3].acted and not outcomes[-1].acted and not outcomes[-1].command.motion.any()
    assert actor.finished[0].truncated and "0.20 s" in actor.finished[0].reason and actor.transitions[-1].is_last
    actor.until("acting", reward=0.5)
    assert len(actor.finished) == 1, "a new episode begins when the reward is back"


def test_without_a_reward_nothing_moves_and_its_topic_is_named():
    actor = Actor()
    assert not any(actor.tick().command.motion.any() for _ in range(5))
    assert actor.session.reason == "no usable message on reward yet"


def test_a_reward_that_is_no_number_is_refused_and_grows_old():
    actor = Actor().until("acting", reward=0.0, success=False, end=False)
    for _ in range(8):
        actor.tick(reward=float("nan"))
    assert actor.session.state == "holding" and "expected finite numbers" in actor.session.reason
    assert np.isfinite([t.reward for t in actor.transitions]).all()


def test_a_reset_asks_a_person_then_calls_the_users_service():
    actor = Actor(reset=("home", "person", "service"), ask="put the cube back", service="tray/refill")
    fresh = dict(reward=0.0, success=False, end=False)
    actor.q = actor.q + 0.1
    while not actor.session.asks:
        actor.tick(**fresh)
    np.testing.assert_allclose(actor.q, actor.rig.robot.home, atol=0.01)
    assert "continue: confirmed: put the cube back" in answer("continue", actor.situation).message
    for _ in range(50):  # it waits, and another word changes nothing
        assert not actor.tick("success", **fresh).command.motion.any()
    assert actor.session.reason == "put the cube back (then: jsac-ros continue)" and actor.session.service == ""
    actor.tick("continue", **fresh)
    actor.tick(**fresh)
    assert actor.session.service == "tray/refill" and "no reset waits" in answer("continue", actor.situation).message
    actor.session.answered(False, "the tray is empty")
    actor.tick(**fresh)
    assert actor.session.service == "" and actor.session.reason.endswith("answered: the tray is empty")
    for _ in range(30):
        actor.tick(**fresh)
    assert actor.session.service == "tray/refill", "asked again after a second"
    actor.session.answered(True, "")
    actor.tick(**fresh)
    assert actor.session.state == "acting" and actor.session.service == ""
