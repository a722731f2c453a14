"""From what is sensed to the vectors of an observation: joints, effort, previous action, sensors and their tare."""

import numpy as np
import pytest
from rig_cases import BASE, LINE, REACHER, WRENCH, Line, rig_of, sensed_of

from jsac_ros.spaces import VectorSpace

TARED = REACHER | WRENCH | {"sensors.wrench.tare": True, "sensors.wrench.clip": 5.0}


def nothing(rig):
    return {part.name: np.zeros(part.size, np.float32) for part in rig.spaces.actions}


def observe(rig, previous=None, **changes):
    return rig.senses.observe(sensed_of(rig, **changes), previous or nothing(rig))


def test_the_reachers_vectors_are_15_numbers_and_zero_at_rest_at_home():
    rig = rig_of()
    assert rig.spaces.vector_size == 15
    assert not np.concatenate(list(observe(rig).values())).any()
    action = np.linspace(-1, 1, 5).astype(np.float32)
    vectors = observe(rig, {"arm": action}, position=rig.robot.home + 0.1, velocity=np.full(6, 0.15))
    np.testing.assert_allclose(vectors["joint_position"], np.full(5, 0.1), rtol=1e-5)
    np.testing.assert_allclose(vectors["joint_velocity"], np.full(5, 0.5))
    np.testing.assert_array_equal(vectors["previous_action"], action)
    assert all(values.dtype == np.float32 for values in vectors.values())


def test_joints_are_those_that_the_actions_move():
    rig = rig_of(LINE, actions__arm__joints=("c", "a"), actions__arm__scale=(0.2, 0.4))
    vectors = observe(rig, position=np.arange(3.0), velocity=np.array((1.0, 2.0, 3.0)))
    assert vectors["joint_position"].tolist() == [2, 0]
    np.testing.assert_allclose(vectors["joint_velocity"], [3 / 0.2, 1 / 0.4])


def test_wheels_bumper_battery_and_action_of_a_base():
    rig = rig_of(BASE)
    sensed = {"bumper": np.array([1.0]), "battery": np.array([0.5])}
    fastest = rig.actions.parts["base"].joint_speed[0]
    vectors = observe(rig, {"base": np.array((0.1, -0.2), np.float32)}, sensors=sensed, velocity=np.array((0.0, fastest)))
    assert set(vectors) == {"joint_velocity", "previous_action", "bumper", "battery"}, "wheel angles say nothing"
    assert (vectors["bumper"], vectors["battery"]) == (1, 0.5)
    np.testing.assert_allclose(vectors["joint_velocity"], (0, 1))
    np.testing.assert_allclose(vectors["previous_action"], (0.1, -0.2), rtol=1e-6)


def test_effort_is_observed_where_it_is_asked_for():
    rig = rig_of(task__observe=("wrist", "joint_effort"))
    assert observe(rig, effort=np.arange(6.0))["joint_effort"].tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="observation 'joint_effort' is .*nan.*; expected finite numbers"):
        observe(rig)


def test_a_tared_sensor_counts_from_where_the_episode_began():
    rig = rig_of(TARED)
    senses, first = rig.senses, sensed_of(rig, sensors={"wrench": np.array((1.0, 2.0, 3.0))})
    senses.begin(first)
    later = senses.tared(sensed_of(rig, sensors={"wrench": np.array((1.5, 2.0, 30.0))}))
    assert later.sensors["wrench"].tolist() == [0.5, 0, 27], "the task is told the same"
    assert senses.observe(later, nothing(rig))["wrench"].tolist() == [0.5, 0, 5], "clipped where it is observed"
    senses.begin(sensed_of(rig, sensors={"wrench": np.full(3, 10.0)}))
    assert senses.tared(sensed_of(rig, sensors={"wrench": np.full(3, 10.0)})).sensors["wrench"].tolist() == [0, 0, 0]


def test_a_sensor_that_is_not_tared_is_as_it_was_heard():
    rig = rig_of(REACHER | WRENCH)
    rig.senses.begin(sensed_of(rig, sensors={"wrench": np.ones(3)}))
    sensed = sensed_of(rig, sensors={"wrench": np.ones(3)})
    assert rig.senses.tared(sensed) is sensed


@pytest.mark.parametrize(
    ("fails_in", "said"),
    [
        ("size", r"observation 'slope' has shape \[3\]; declared is \[2\]"),
        ("nan", r"observation 'slope' is \[nan, nan\]; expected finite numbers"),
    ],
)
def test_a_part_of_another_size_than_declared_is_refused_by_name(fails_in, said):
    rig = rig_of(LINE, task__type="rig_cases:Faulty", task__fails_in=fails_in)
    with pytest.raises(ValueError, match=said):
        observe(rig)


class Rolling(Line):
    """Two vectors from one buffer that it goes on writing."""

    vectors = (VectorSpace("seen", 1), VectorSpace("recent", 2))

    def begin(self, sensed):
        self._count, self._recent = 0, np.zeros(2, np.float32)

    def observe(self, sensed):
        self._count += 1
        self._recent[:] = self._recent[1], sensed.position[0]
        return {"seen": np.array([self._count]), "recent": self._recent}


def test_a_task_that_remembers_is_asked_once_per_observation_and_what_it_said_stays():
    rig = rig_of(LINE, task__type="test_control_senses:Rolling")
    for _ in range(2):
        rig.senses.begin(sensed_of(rig))
        rig.task.begin(sensed_of(rig))
        said = [observe(rig, position=np.full(3, value)) for value in (1.0, 2.0, 3.0)]
        assert [vectors["seen"].tolist() for vectors in said] == [[1], [2], [3]]
        assert [vectors["recent"].tolist() for vectors in said] == [[0, 1], [1, 2], [2, 3]]
