"""The contact rule with an arm behind its gate: it brakes, backs off by the way it came, and holds where nothing is heard."""

import numpy as np
import pytest
from gate_cases import CONTROL, DT, Cell, gated
from rig_cases import WRENCH

from jsac_ros.config import ConfigError
from jsac_ros.parameters import load
from jsac_ros.rig import Rig
from jsac_ros.sim.kinematic.arm import SimArm
from jsac_ros.sim.world import World

LIMITED = WRENCH | {
    "sensors.wrench.max_age_s": 0.1, "safety.wrench": "wrench", "safety.max_force_n": 40.0, "safety.max_torque_nm": 5.0,
    "safety.retreat_m": 0.02,
}  # fmt: skip
TOOL = np.array((0.0, 0.0, -9.0, 0.3, 0.0, 0.0))  # N and Nm that the sensor reads where nothing is touched
ONWARD = (0.25, 0.0, 0.15, 0.0, 0.0, 0.0)


class Touching(Cell):
    """A cell with a force sensor; `presses`: N at the tool, a number or of the simulated arm."""

    def __init__(self, interface="trajectory", presses=0.0, **changes):
        self.presses, self.adds, self.frame, self.noise = presses, TOOL, "tool0", 0.1
        self.random, self.hears_wrench = np.random.default_rng(0), True
        super().__init__(interface, **LIMITED | changes)
        self.run(2 * DT)
        self.gate.begin_episode()

    def listen(self):
        super().listen()
        if self.hears_wrench:
            force = self.presses(self) if callable(self.presses) else self.presses
            wrench = self.adds + (0.0, 0.0, force, 0.0, 0.0, 0.0) + self.noise * self.random.normal(size=6)
            self.gate.wrench(wrench, self.frame, self.now)

    @property
    def place(self):
        return self.arm.tool_positions(self.sim.q[None], "base")[0]

    @property
    def stage(self):
        return self.gate._contact.stage

    def drive_on(self, seconds, velocity=ONWARD):
        rules = set()
        for _ in range(round(seconds / CONTROL)):
            rules.update(self.command(velocity).rules)
            self.run(CONTROL)
        return rules


def wall(cell):
    """N against a plane 5 cm on in the way of `ONWARD`: 5 N a millimetre."""
    return 5000.0 * max(np.linalg.norm(cell.place - cell.began) - 0.05, 0.0)


def at_the_wall(interface="trajectory", **changes):
    cell = Touching(interface, **changes)
    cell.began, cell.presses = cell.place, wall
    return cell


@pytest.mark.parametrize("interface", ["trajectory", "velocity"])
@pytest.mark.parametrize("jerk", [0.0, 60.0])
def test_an_arm_that_presses_brakes_and_backs_off_within_its_limits(interface, jerk):
    cell = at_the_wall(interface, **{"safety.max_joint_jerk_rad_s3": jerk})
    stages, deepest = [], cell.place
    for _ in range(75):
        rules = cell.command(ONWARD).rules
        cell.run(CONTROL)
        if cell.stage == "free" and stages:
            break
        if cell.stage != "free":
            stages += [cell.stage] if cell.stage not in stages else []
            assert "contact" in rules or len(stages) == 1
            deepest = max(deepest, cell.place, key=lambda place: np.linalg.norm(place - cell.began))
    assert stages == ["braking", "retreating"] and cell.gate.state(cell.now) == ("ready", "")
    assert np.linalg.norm(cell.place - deepest) == pytest.approx(0.02, abs=0.004)
    way = np.array(cell.q)
    back = np.abs(way[:, None] - cell.sim.q).max(axis=2)[: len(way) // 2]
    assert back.min() < 0.01, "it is where it has been"
    assert cell.gate.counts["contact"] == 1 and not cell.gate.counts["stale_command"]
    cell.check(acceleration=1.5)


def test_it_backs_off_though_the_actor_has_died():
    cell = at_the_wall()
    while cell.stage == "free":
        cell.drive_on(CONTROL)
    deepest = cell.place
    cell.run(2.0)
    assert cell.stage == "free" and np.linalg.norm(cell.place - deepest) > 0.01
    cell.check(acceleration=1.5)


def test_without_a_retreat_it_stays_and_a_person_frees_it():
    cell = at_the_wall(**{"safety.retreat_m": 0.0})
    cell.drive_on(2.0)
    state, reason = cell.gate.state(cell.now)
    assert state == "holding" and cell.stage == "held" and reason.endswith("free the tool, then: jsac-ros release")
    cell.presses = 0.0
    cell.run(1.0)
    assert cell.gate.state(cell.now)[0] == "holding"
    cell.gate.release()
    assert cell.drive_on(0.5) <= {"acceleration"}


@pytest.mark.parametrize("eases_s", [0.0, 0.1])
def test_a_tool_that_is_caught_is_held_for_a_person(eases_s):
    """Pressed all the way back, or pulled once it had eased: no pulling and pushing without end."""
    cell, backs = Touching(), []
    cell.drive_on(0.5)

    def caught(cell):
        backs.extend([cell.now] if cell.stage == "retreating" else [])
        return 0.0 if backs and cell.now - backs[0] < eases_s else 60.0

    cell.presses = caught
    cell.drive_on(2.0)
    assert cell.stage == "held" and np.abs(cell.sim.qd).max() < 1e-6
    assert "N; expected at most 40 N, after backing off; free the tool" in cell.gate.state(cell.now)[1]
    place = cell.place
    cell.gate.release()  # a person has looked: it backs off further
    cell.run(2.0)
    assert np.linalg.norm(cell.place - place) > 0.005
    cell.check(acceleration=1.5)


@pytest.mark.parametrize("rule", ["emergency_stop", "joints"])
def test_what_else_asks_for_rest_ends_the_way_back(rule):
    cell = at_the_wall()
    while cell.stage != "retreating":
        cell.drive_on(CONTROL)
    cell.run(0.1)
    if rule == "joints":
        cell.hears_joints = False
    else:
        cell.gate.emergency_stop("the test")
    cell.run(0.4)
    assert np.abs(cell.sim.qd).max() < 1e-6
    place = cell.place
    cell.run(1.0)
    np.testing.assert_allclose(cell.place, place)
    cell.check(acceleration=1.5)


def test_a_torque_counts_like_a_force():
    cell = Touching()
    cell.adds = TOOL + (0.0, 0.0, 0.0, 0.0, 5.5, 0.0)
    assert "contact" in cell.drive_on(0.2)
    assert "torque 5.5" in cell.gate.state(cell.now)[1]


def test_the_zero_is_what_is_read_when_an_episode_begins():
    cell = Touching(presses=35.0)
    cell.adds = 5 * TOOL  # another tool, 45 N, over the limit less 10 N
    cell.gate.begin_episode()
    assert "contact" not in cell.drive_on(0.2)
    cell.gate.begin_episode()
    cell.presses = 70.0
    assert "contact" not in cell.drive_on(0.2), "35 N more than then"
    cell.presses = 80.0
    assert "contact" in cell.drive_on(0.2)


def test_a_zero_over_the_limit_is_not_taken():
    """Else each episode could begin where the one before pressed, and press harder."""
    cell = Touching()
    for force in (30.0, 48.0, 70.0):  # 21, 39 and 61 N as read
        cell.presses = force
        cell.run(2 * DT)
        cell.gate.begin_episode()
    assert "contact" not in cell.drive_on(0.2)
    cell.presses = 95.0
    assert "contact" in cell.drive_on(0.2)


HOLDS = {
    "stale_wrench": (lambda cell: setattr(cell, "hears_wrench", False), "s old; expected at most 0.1 s"),
    "frozen_wrench": (lambda cell: setattr(cell, "noise", 0.0), "wrench has read the same numbers for"),
}


@pytest.mark.parametrize("interface", ["trajectory", "velocity"])
@pytest.mark.parametrize("rule", HOLDS)
def test_a_wrench_that_tells_nothing_holds(rule, interface):
    break_it, said = HOLDS[rule]
    cell = Touching(interface)
    cell.drive_on(0.5)
    break_it(cell)
    assert rule in cell.drive_on(1.0)
    state, reason = cell.gate.state(cell.now)
    assert state == "holding" and said in reason
    assert np.abs(cell.sim.qd).max() < 1e-6
    cell.hears_wrench, cell.noise = True, 0.1
    cell.run(2 * DT)
    assert rule not in cell.drive_on(0.5) and cell.gate.state(cell.now)[0] == "moving"
    cell.check(acceleration=1.5)


def test_nothing_moves_before_the_wrench_is_known():
    cell = Touching()
    for wrong, said in ((None, "no wrench yet"), (1, "wrench has read the same numbers since the first")):
        _, robot, gate = gated(**LIMITED | {"safety.dead_man_topic": "", "robot.program_running_topic": ""})
        gate.joints(robot.home, 5.0)
        for k in range(3 if wrong else 0):
            gate.wrench(TOOL, "tool0", 5.0 + k * 1e-3)
        decision = gate.command(5.003, np.full(6, 0.1))
        assert decision.motion is None and said in gate.state(5.003)[1]
    assert cell.gate.rest_s < 0.3


@pytest.mark.parametrize(
    "wrench, frame, said",
    [
        (TOOL * np.nan, "tool0", "expected finite numbers"),
        (TOOL, "base", "frame_id is 'base'; expected 'tool0'"),
    ],
)
def test_a_wrench_that_cannot_be_judged_is_none(wrench, frame, said):
    cell = Touching()
    cell.hears_wrench = False
    for _ in range(20):
        with pytest.raises(ValueError, match=said):
            cell.gate.wrench(wrench, frame, cell.now)
        cell.run(DT)
    assert cell.gate.counts["wrench_refused"] == 20 and "stale_wrench" in cell.gate.reasons


def test_a_configured_frame_is_asked_for_from_the_first_message():
    _, _, gate = gated(**LIMITED | {"safety.wrench_frame": "tool0"})
    with pytest.raises(ValueError, match="frame_id is 'wrist_3_link'; expected 'tool0'"):
        gate.wrench(TOOL, "wrist_3_link", 1.0)


def test_an_arm_that_was_elsewhere_meanwhile_does_not_go_back_there():
    """Its path is known no further than the gap in its joint states."""
    cell = Touching()
    cell.drive_on(0.5)
    cell.run(1.0)
    cell.sim = SimArm(cell.arm, cell.sim.q + (0.1, 0, 0, 0, 0, 0), "trajectory", 40.0)
    cell.gate.release()
    cell.run(2 * DT)
    place = cell.place
    cell.presses = lambda cell: 60.0 if cell.stage != "retreating" else 0.0
    cell.run(2 * DT)
    cell.presses = 0.0
    cell.run(1.0)
    assert cell.stage == "free" and np.linalg.norm(cell.place - place) < 0.001


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"safety.wrench": ""}, "safety.wrench is ''; expected for safety.max_force_n a sensor of type geometry_msgs"),
        ({"safety.wrench": "wrist"}, r"safety.wrench is 'wrist'; .*\(wrench\)"),
        ({"sensors.wrench.type": "std_msgs/msg/Float64"}, r"safety.wrench is 'wrench'; .*\(none configured\)"),
        ({"sensors.wrench.max_age_s": 0.0}, "sensors.wrench.max_age_s is 0; expected a limit of at most 0.5 s with safety.max_force_n"),
        ({"sensors.wrench.max_age_s": 60.0}, "sensors.wrench.max_age_s is 60; expected a limit of at most 0.5 s with safety.max_f"),
        ({"safety.max_force_n": 0.5}, "safety.max_force_n is 0.5: expected 0 .off. or 1 to 1000"),
        ({"safety.retreat_m": 1.0}, "safety.retreat_m is 1.0: expected 0 .off. or 0.001 to 0.2"),
        ({"robot.type": "joints", "robot.joints": ["a"], "robot.home": [0.0], "safety.joint_lower": [], "safety.joint_upper": [],
          "safety.box_lower": [], "safety.box_upper": []}, "safety.retreat_m is 0.02; expected 0 .off.: robot model .* no kinematics"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_kept_is_refused(changes, said):
    with pytest.raises(ConfigError, match=said):
        gated(**LIMITED | changes)


def test_in_the_simulation_without_a_clock_the_contact_ends_the_episode(request):
    """The peg is pushed onto the box: the episode's next view says so, and the arm has backed off by then or soon after."""
    file = request.config.rootpath / "config/insert.yaml"
    six = [f"wrench.{part}.{axis}" for part in ("force", "torque") for axis in "xyz"]
    world = World(
        Rig.of(load(file, LIMITED | {"sensors.wrench.fields": six, "sensors.wrench.scale": [1.0], "safety.max_force_n": 5.0})),
        seed=0,
    )
    down = world.rig.spaces.split_action(np.array((0.0, 0.0, -1.0), np.float32))
    world.rig.actions.begin(world.view().sensed)
    events = []
    for _ in range(60):
        world.step(world.rig.actions.command(down, world.view().sensed))
        events.append(world.view().sensed.events)
        if events[-1]:
            break
    world.close()
    assert events[-1] == ("contact",) and not any(events[:-1])


def test_without_limits_the_wrench_is_not_judged():
    cell = Touching(**{"safety.max_force_n": 0.0, "safety.max_torque_nm": 0.0})
    cell.hears_wrench = False
    assert not cell.gate.judges_wrench and cell.drive_on(0.5) <= {"acceleration"}
