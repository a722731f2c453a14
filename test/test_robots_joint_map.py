"""Joint states by name, merged from what comes; and two sources of one joint, which are noticed."""

import numpy as np
import pytest

from jsac_ros.robots.joint_map import JointError, JointMap

MS = 1_000_000
PERIOD_NS = 8 * MS


def test_joints_are_found_by_name_and_again_when_the_order_changes():
    joints = JointMap(("a", "b"))
    heard = joints(("x", "b", "a"), (0.0, 2.0, 1.0), (0.0, 20.0, 10.0), 5)
    assert heard.position.tolist() == [1, 2] and heard.velocity.tolist() == [10, 20] and heard.oldest_ns == 5
    heard = joints(("a", "x", "b"), (1.0, 0.0, 2.0), (10.0, 0.0, 20.0), 6)
    assert heard.position.tolist() == [1, 2] and heard.velocity.tolist() == [10, 20]


def test_a_message_with_none_of_our_joints_is_another_devices():
    joints = JointMap(("a", "b"))
    assert joints(("finger",), (0.5,), (), 1) is None
    assert joints.lacking == "not received yet: a, b; the newest message contains finger"
    joints(("a", "b"), (1.0, 2.0), (0.0, 0.0), 2)
    assert joints(("finger",), (0.6,), (), 3) is None and joints.lacking == ""
    assert joints((), (), (), 4) is None


def test_parts_are_merged_by_joint_and_as_old_as_the_oldest():
    joints = JointMap(("a", "b"))
    assert joints(("a",), (1.0,), (0.1,), 10) is None and joints.missing == ("b",)
    heard = joints(("b",), (2.0,), (0.2,), 20)
    assert heard.position.tolist() == [1, 2] and heard.velocity.tolist() == [0.1, 0.2]
    assert (heard.oldest_ns, heard.lacks) == (10, ("a",))
    heard = joints(("b",), (2.1,), (0.2,), 30)  # a is silent: the whole grows old
    assert heard.oldest_ns == 10 and heard.position.tolist() == [1, 2.1]
    assert joints(("a",), (1.1,), (0.1,), 40).oldest_ns == 30


@pytest.mark.parametrize("unmeasured", [(), (np.nan, np.nan)])
def test_a_velocity_that_is_not_measured_is_derived_from_the_positions(unmeasured):
    joints = JointMap(("a", "b"))
    assert joints(("a", "b"), (1.0, 2.0), unmeasured, 0).velocity.tolist() == [0, 0]
    heard = joints(("a", "b"), (1.01, 1.98), unmeasured, 100 * MS)
    np.testing.assert_allclose(heard.velocity, (0.1, -0.2))
    np.testing.assert_allclose(joints(("a", "b"), (1.01, 1.98), unmeasured, 100 * MS).velocity, (0.1, -0.2))
    assert joints.unmeasured == ("a", "b")
    assert joints(("a", "b"), (1.0, 2.0), (0.5, 0.5), 200 * MS).velocity.tolist() == [0.5, 0.5]
    assert joints.unmeasured == ()


def test_lengths_that_do_not_agree_are_refused_in_one_line():
    joints = JointMap(("a", "b"))
    with pytest.raises(JointError, match="2 names, 1 positions"):
        joints(("a", "b"), (0.0,), (), 0)
    with pytest.raises(JointError, match="2 names, 2 positions, 1 velocities"):
        joints(("a", "b"), (0.0, 0.0), (1.0,), 0)


class Driver:
    """Joints that move, said once a period; `begin`: number of the publisher's first message, None: not numbered."""

    def __init__(self, joints, begin=1, speed=0.25, offset=0.0, names=("a", "b"), measures=True):
        self.joints, self.number, self.speed, self.offset = joints, begin, speed, offset
        self.names, self.measures = names, measures

    def say(self, k, later_ns=0):
        time_ns = k * PERIOD_NS + later_ns
        q = [0.1 * i + self.offset + self.speed * time_ns * 1e-9 for i in range(len(self.names))]
        qd = [self.speed] * len(self.names) if self.measures else []
        self.joints(self.names, q, qd, time_ns, self.number)
        self.number = None if self.number is None else self.number + 1
        return self.joints.sources.second


def test_one_source_is_one_source():
    joints = JointMap(("a", "b"))
    rng, driver = np.random.default_rng(0), Driver(joints)
    for k in range(2000):
        if k % 50 == 0:
            driver.speed = rng.uniform(-0.7, 0.7)
        if rng.random() < 0.9:  # some are lost
            driver.offset = -driver.speed * k * PERIOD_NS * 1e-9 + 0.1  # jumps between stretches, once each
            driver.say(k)
    assert joints.sources.second == ""


@pytest.mark.parametrize("first, other", [(1000, 1), (1, 90_000), (500, 900)])
def test_a_second_publisher_is_known_by_its_numbers_however_alike_it_is(first, other):
    joints = JointMap(("a", "b"))
    driver, stranger = Driver(joints, first), Driver(joints, other)
    assert not any(driver.say(k) for k in range(20))
    stranger.say(20, later_ns=MS)
    driver.say(21)
    stranger.say(21, later_ns=MS)
    assert "a has two sources: two publishers take turns" in driver.say(22)
    joints.sources.forget()
    assert not any(driver.say(k) for k in range(23, 60)), "a person has looked and it is gone"


def test_a_driver_that_is_started_again_is_no_second_one():
    joints = JointMap(("a", "b"))
    assert not any(Driver(joints, 5000).say(k) for k in range(20))
    again = Driver(joints, 1)
    assert not any(again.say(k) for k in range(20, 200))


def test_a_driver_that_leaves_a_joint_out_for_a_while_is_one_source():
    joints = JointMap(("a", "b"))
    driver = Driver(joints, 1)
    for k in range(200):
        driver.names = ("a",) if k % 20 < 10 else ("a", "b")
        assert not driver.say(k)


@pytest.mark.parametrize("begin", [1, 2, 70])
def test_parts_by_two_publishers_are_one_source_each(begin):
    joints = JointMap(("a", "b"))
    left, right = Driver(joints, 1, names=("a",)), Driver(joints, begin, names=("b",))
    for k in range(200):
        assert not left.say(k) and not right.say(k, later_ns=3 * MS)
    whole = Driver(joints, 900)
    for k in range(200, 203):
        left.say(k), whole.say(k, later_ns=MS)
    assert joints.sources.second.startswith("a has two sources")


@pytest.mark.parametrize("measures, offset", [(True, 0.02), (False, 0.15)])
def test_without_numbers_it_is_known_by_what_it_claims(measures, offset):
    """A node that repeats "the arm stands" between the driver's messages; the middleware does not number them."""
    joints = JointMap(("a", "b"))
    driver = Driver(joints, None, measures=measures)
    stander = Driver(joints, None, speed=0.0, offset=-offset, measures=measures)
    for k in range(40):
        driver.say(k)
        if stander.say(k, later_ns=4 * MS):
            break
    assert "contradict" in joints.sources.second and k < 10


def test_a_jump_and_back_is_no_second_source():
    joints = JointMap(("a", "b"))
    driver = Driver(joints, None)
    for k in range(60):
        driver.offset = 0.5 if 20 <= k < 40 else 0.0
        assert not driver.say(k)
