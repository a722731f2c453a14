"""A person in the policy's place: fresh, silent or handed back, and 1,000 switches without a jolt."""

import numpy as np
import pytest
from gate_cases import CONTROL, Cell
from rig_cases import LINE, rig_of, sensed_of, view_of

from jsac_ros.config import PersonConfig
from jsac_ros.control.person import Person
from jsac_ros.control.session import Choice, Session
from jsac_ros.rig import Rig
from jsac_ros.tasks.reset import Then

ARM = {
    "robot.type": "ur5e", "robot.home": (0.0, -1.4822, 1.8725, -1.9611, -1.5708, 1.5708), "task.type": "shadow",
    "actions.arm.type": "twist", "grippers.gripper.stroke_m": 0.08, "actions.gripper.type": "gripper",
}  # fmt: skip


def nods(sensed):
    return {}


def test_a_person_acts_while_fresh_and_what_follows_silence_is_configured():
    for on_silence, after in (("rest", {}), ("policy", None)):
        person = Person(PersonConfig(on_silence=on_silence))
        assert person.doing(0, 0.0) is None, "nobody was heard"
        person.says(nods, 1.0)
        assert person.doing(3, 1.2) is nods and person.holds(1.2)
        silent = person.doing(3, 1.4)
        assert (silent and silent(None)) == after and not person.holds(1.4)
        assert person.doing(4, 1.5) is None, "the next episode is the policy's"
        person.says(None, 1.6)
        assert person.doing(3, 1.6) is None


def test_where_demonstrations_are_recorded_the_policy_never_acts():
    person = Person(PersonConfig(episodes=3, on_silence="policy"))
    assert person.doing(0, 0.0)(None) == {}
    person.says(None, 1.0)
    assert person.doing(0, 1.0)(None) == {}


def test_where_demonstrations_are_recorded_an_episode_begins_when_a_person_has_taken_over():
    assert Person(PersonConfig()).reset_of(None, None) is None, "the task's own"
    rig, person, now_s = rig_of(LINE), Person(PersonConfig(episodes=1)), [0.0]
    session = Session(rig, "arm", 1, person.reset_of(rig, lambda: now_s[0]))
    session.start()
    act = lambda tick: session.tick(view_of(rig, tick), lambda *_: Choice(rig.actions.completed({}, None), -1, True), None)
    for tick in range(10):
        assert not act(tick).acted
    assert session.reason == "waiting for a person to take over"
    person.says(nods, 0.0)
    assert act(10).acted and session.state == "acting"


@pytest.mark.parametrize("mode, kept", [("binary", [-1.0]), ("three_way", [0.0]), ("continuous", [-0.5])])
def test_what_a_person_leaves_out_rests_and_devices_stay_as_they_are(mode, kept):
    rig = rig_of(ARM, actions__gripper__mode=mode)
    sensed = sensed_of(rig, outputs={"gripper": np.array([0.02])})
    rig.actions.begin(sensed)
    action = rig.actions.completed({}, sensed)
    assert not action["arm"].any() and action["gripper"].tolist() == pytest.approx(kept)
    rig.spaces.check_action(action)
    before = rig.actions.parts["gripper"].commanded
    assert rig.actions.command(action, sensed).outputs["gripper"] == pytest.approx([before]), "nothing is commanded anew"
    turned = rig.actions.of_motion(np.array([0.1, 0, 0, 0, 0, 0]), sensed)
    assert turned["arm"].any() and turned["gripper"].tolist() == pytest.approx(kept)


class Shared(Cell):
    """Session, gate and simulated arm, which a policy and a person drive in turn, each as hard as it can."""

    def __init__(self, kind):
        eye = {"cameras.eye.height": 2, "cameras.eye.width": 2, "cameras.eye.stack": 1}
        super().__init__(**eye, **{"task.type": "shadow", "task.episode_s": 80_000.0, "actions.arm.type": kind})
        self.rig = Rig.of(self.config)
        self.session = Session(self.rig, "arm", 1, Then)
        self.person, self.random, self.ticks = Person(self.config.person), np.random.default_rng(0), 0
        self.asked = 0.0  # rad/s^2, the most that the gate asked of a joint
        self.session.start()

    def pull(self):
        return {"arm": self.random.choice([-1.0, 1.0], self.rig.spaces.action_size).astype(np.float32)}

    def choose(self, observation, episode, step, deterministic):
        if doing := self.person.doing(episode, self.now):
            return Choice(self.rig.actions.completed(doing(self.session.sensed), self.session.sensed), -1, True)
        return Choice(self.pull(), 1)

    def tick(self):
        view = view_of(self.rig, self.ticks, position=self.sim.q.copy(), velocity=self.sim.qd.copy())
        outcome = self.session.tick(view, self.choose, None)
        decision = self.command(outcome.command.motion)
        if decision.motion is not None:
            durations = [segment.duration_s for segment in decision.motion.segments]
            speeds = [velocity for _, _, velocity, _ in decision.motion.points(with_start=True)]
            self.asked = max(self.asked, *(np.abs(b - a).max() / s for a, b, s in zip(speeds, speeds[1:], durations)))
        self.run(CONTROL)
        self.ticks += 1
        return outcome


@pytest.mark.parametrize("kind, times", [("twist", 600), ("joint_velocity", 400)])
def test_of_a_thousand_takeovers_and_handbacks_all_are_without_a_jolt_and_within_a_tick(kind, times):
    shared, switches, expected = Shared(kind), 0, []
    while switches < times:
        holds = shared.random.random() < 0.5
        switches += bool(expected) and (expected[-1] is not None) != holds
        pull = shared.pull() if holds else None
        shared.person.says((lambda _, pull=pull: pull) if holds else None, shared.now)
        outcome = shared.tick()
        if expected:  # the transition of the tick before is complete now
            (transition,) = outcome.transitions
            assert transition.intervened == (expected[-1] is not None)
            if transition.intervened:
                np.testing.assert_array_equal(transition.action["arm"], expected[-1]["arm"])
        expected.append(pull)
    assert shared.session.state == "acting" and shared.session.episode == 0
    limit = shared.config.safety.max_joint_acceleration_rad_s2
    assert 0.9 * limit < shared.asked <= limit + 1e-9, "they do pull, and no joint is asked for more than its limit"
    shared.check(acceleration=1.03 * limit)
