"""The Cartesian action behind the safety gate, on an arm that does what it is told: what is promised of its path."""

import numpy as np
import pytest

from jsac_ros.config import ConfigError
from jsac_ros.control.safety import gate_of
from jsac_ros.parameters import from_parameters
from jsac_ros.rig import Rig
from jsac_ros.robots.rotations import rotation_vector, tilt_and_turn
from jsac_ros.sim.controller import JointController
from jsac_ros.sim.trajectory import Trajectory
from jsac_ros.types import Sensed

HOME = (0.0, -1.4822, 1.8725, -1.9611, -1.5708, 1.5708)  # tool down, half a metre ahead
PERIOD_S, STEPS = 0.1, 50  # of the controller a period
RAMPS = {"acceleration"}
SINGULAR = {
    "wrist": (0.0, -1.4822, 1.8725, -0.39, 0.0, 0.0),
    "elbow": (0.0, -1.2, 0.0, -0.4, -1.5708, 0.0),
    "shoulder": (0.3, -1.5708, 0.0, 0.0, -1.5708, 0.0),
    "inside": HOME,
}


def rig_of(**values):
    return Rig.of(from_parameters({
        "robot.type": "ur5e", "robot.home": HOME, "control.period_s": PERIOD_S, "actions.arm.type": "twist",
        "actions.arm.axes": ("x", "y", "z", "roll", "pitch", "yaw"), "safety.max_joint_speed_rad_s": 1.0,
        "safety.max_joint_acceleration_rad_s2": 4.0, "safety.command_max_age_s": 0.15, "task.type": "topics",
    } | values))  # fmt: skip


class Arm:
    """Rig, gate and trajectory controller; the arm is where the controller wants it."""

    def __init__(self, rig, start=None):
        self.rig, self.gate, self.time_s = rig, gate_of(rig.config, rig.robot), 0.0
        self.gate.program_running(True)
        self.controller = JointController(rig.robot, "trajectory", 40.0)
        start = rig.robot.home if start is None else np.array(start)
        self.controller.restart(start)
        self.path = np.repeat(start[None], STEPS, axis=0)  # of the last period
        rig.actions.begin(self.sensed)

    @property
    def sensed(self):
        velocity = (self.path[-1] - self.path[-2]) / (PERIOD_S / STEPS)
        return Sensed(self.time_s, {}, self.path[-1], velocity, np.zeros(6), {})

    def step(self, action):
        """-> what the gate decided; `path` holds the joints on the way."""
        command = self.rig.actions.command({"arm": np.asarray(action, np.float32)}, self.sensed)
        self.gate.joints(self.path[-1], self.time_s)
        decision = self.gate.command(self.time_s, command.motion)
        if decision.motion is not None:
            times, q, v, _ = (np.array(column) for column in zip(*decision.motion.points()))
            self.controller.command_trajectory(self.rig.robot.names, Trajectory(times, q, v))
        self.path = self.controller.desired(STEPS, PERIOD_S / STEPS, 1.0)
        self.time_s += PERIOD_S
        return decision


@pytest.mark.parametrize("direction", [(1, 0, 0), (0, -1, 0), (-1, 1, 1)])
def test_a_line_at_5_cm_a_second_is_straight_and_holds_the_orientation(direction):
    arm = Arm(rig_of())
    robot, direction = arm.rig.robot, np.array(direction) / np.linalg.norm(direction)
    start, rotation = robot.forward(robot.home, "base_link")
    off, turned = [], []
    for _ in range(30):
        arm.step((*0.5 * direction, 0, 0, 0))  # of 0.1 m/s
        for q in arm.path[::10]:
            position, now = robot.forward(q, "base_link")
            along = (position - start) @ direction
            off.append(np.linalg.norm(position - start - along * direction))
            turned.append(np.linalg.norm(rotation_vector(now @ rotation.T)))
    assert 0.13 < along < 0.15
    assert max(off) < 1e-3 and max(turned) < np.radians(0.5)


@pytest.mark.parametrize("where", SINGULAR)
def test_random_twists_meet_no_rule_but_ramps_and_never_jump(where, twists=150):
    arm, random = Arm(rig_of(), SINGULAR[where]), np.random.default_rng(5)
    speed = np.zeros((1, 6))
    for k in range(twists):
        if k % 5 == 0:
            action = random.uniform(-1.0, 1.0, 6)
        here, before = arm.path[-1:], speed[-1:]
        decision = arm.step(action)
        assert set(decision.rules) <= RAMPS, decision.rules
        speed = np.diff(np.vstack((here, arm.path)), axis=0) / (PERIOD_S / STEPS)
        change = np.diff(np.vstack((before, speed)), axis=0) / (PERIOD_S / STEPS)
        assert np.abs(speed).max() < 1.01 and np.abs(change).max() < 4.05


@pytest.mark.parametrize("joint", [0, 5])
def test_it_stops_before_a_joints_limit_without_the_gate(joint):
    upper = np.full(6, 2 * np.pi)
    upper[joint] = HOME[joint] + 0.4
    arm = Arm(rig_of(**{"safety.joint_upper": tuple(upper), "actions.arm.speed_m_s": 0.5, "actions.arm.turn_rad_s": 1.0}))
    away = {0: (0, 1, 0, 0, 0, 0), 5: (0, 0, 0, 0, 0, -1)}[joint]
    for _ in range(50):
        assert set(arm.step(away).rules) <= RAMPS
    assert 0.0 < upper[joint] - arm.path[-1][joint] < 0.03


def test_it_stops_inside_the_box_without_the_gate():
    arm = Arm(rig_of(**{"safety.box_lower": (0.3, -0.1, 0.2), "safety.box_upper": (0.55, 0.3, 0.6)}))
    for _ in range(40):
        assert set(arm.step((1, 0, 0, 0, 0, 0)).rules) <= RAMPS
    assert 0.54 < arm.rig.robot.forward(arm.path[-1], "base_link")[0][0] < 0.5501


@pytest.mark.parametrize("axis", [(1, 0, 0), (0, -1, 0), (0.6, 0.8, 0), (0, 0, 1)])
def test_it_stops_inside_the_largest_tilt_and_turn_without_the_gate(axis):
    arm = Arm(rig_of(**{"safety.max_tilt_rad": 0.3, "safety.max_turn_rad": 0.5}))
    robot = arm.rig.robot
    home = robot.forward(robot.home)[1]
    for k in range(60):
        decision = arm.step((0.2 * np.sin(0.3 * k), 0, 0, *axis))
        assert set(decision.rules) <= RAMPS
    tilt, about = tilt_and_turn(home.T @ robot.forward(arm.path[-1])[1])
    if axis[2]:
        assert tilt < 0.01 and 0.47 < abs(about) < 0.495
    else:
        assert 0.27 < tilt < 0.295 and abs(about) < 0.01
    for _ in range(6):
        arm.step((0, 0, 0, *-np.array(axis)))
    assert np.abs(tilt_and_turn(home.T @ robot.forward(arm.path[-1])[1])).max() < 0.25, "it can leave the limit"


def test_what_is_not_commanded_is_held_and_the_inverse_finds_the_action():
    rig = rig_of(**{"actions.arm.axes": ("x", "yaw")})
    arm = Arm(rig)
    for _ in range(20):
        decision = arm.step((0.4, -0.5))
    executed = rig.actions.parts["arm"].action(decision.velocity, arm.sensed)
    np.testing.assert_allclose(executed, (0.4, -0.5), atol=0.03)
    position, rotation = rig.robot.forward(arm.path[-1], "base_link")
    start, before = rig.robot.forward(rig.robot.home, "base_link")
    np.testing.assert_allclose(position[1:], start[1:], atol=1e-3)
    vector = rotation_vector(rotation @ before.T)
    np.testing.assert_allclose(vector[:2], 0, atol=0.01)
    assert vector[2] < -0.4


def test_a_hand_moves_the_tool_in_its_own_frame():
    rig = rig_of(**{"actions.arm.frame": "tool", "actions.arm.axes": ("x", "y", "z")})
    rotation = rig.robot.forward(rig.robot.home, "base_link")[1]
    action = rig.actions.of_tool(np.array((0.0, 0.0, -0.05, 0, 0, 0)), {}, rotation)["arm"]
    np.testing.assert_allclose(action, (0, 0, 0.5), atol=1e-4)  # the tool points down


@pytest.mark.parametrize("values, line", [
    ({"robot.type": "joints", "robot.joints": ("a",), "robot.home": ()}, "has no kinematics"),
    ({"actions.arm.axes": ("x", "x")}, "expected each axis once"),
    ({"robot.home": SINGULAR["wrist"]}, "ur5e with 6 joints moves 5 axes at robot.home"),
])  # fmt: skip
def test_what_the_arm_cannot_do_is_one_line(values, line):
    with pytest.raises(ConfigError, match=line):
        rig_of(**values)


def test_the_frame_of_the_start_stays_while_the_tool_turns():
    """x of the tool as it was when the episode began, after a quarter turn about its z."""
    rig = rig_of(**{"actions.arm.frame": "start", "actions.arm.turn_rad_s": 1.0})
    arm, robot = Arm(rig), rig.robot
    start, before = robot.forward(arm.path[-1], "base_link")
    for _ in range(16):
        arm.step((0, 0, 0, 0, 0, 1.0))
    turned = rotation_vector(before.T @ robot.forward(arm.path[-1], "base_link")[1])
    assert turned[2] > 1.3
    for _ in range(10):
        arm.step((0.5, 0, 0, 0, 0, 0))
    way = before.T @ (robot.forward(arm.path[-1], "base_link")[0] - start)
    assert way[0] > 0.04 and np.abs(way[1:]).max() < 2e-3


def test_the_tool_is_sensed_relative_to_where_the_episode_began():
    rig = rig_of(**{"task.observe": ("tool_position", "tool_rotation", "tool_velocity")})
    robot, arm = rig.robot, Arm(rig)
    start, before = robot.forward(HOME, "base_link")
    rig.senses.begin(arm.sensed)
    at_rest = rig.senses.observe(arm.sensed, {})
    assert not at_rest["tool_position"].any() and not at_rest["tool_velocity"].any()
    np.testing.assert_allclose(at_rest["tool_rotation"], (1, 0, 0, 0, 1, 0), atol=1e-6)
    for _ in range(8):
        arm.step((0.5, 0, -0.2, 0.3, 0, 0.4))
    seen, sensed = rig.senses.observe(arm.sensed, {}), arm.sensed
    position, rotation, jacobian = robot.jacobian(sensed.position, "base_link")
    np.testing.assert_allclose(seen["tool_position"], before.T @ (position - start) / 0.1, atol=1e-5)
    np.testing.assert_allclose(seen["tool_rotation"], (before.T @ rotation)[:, :2].T.ravel(), atol=1e-5)
    twist = jacobian @ sensed.velocity
    np.testing.assert_allclose(seen["tool_velocity"], (*before.T @ twist[:3] / 0.1, *before.T @ twist[3:]), atol=1e-5)
    rig.senses.begin(sensed)
    assert not rig.senses.observe(sensed, {})["tool_position"].any()
