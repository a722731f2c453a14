"""What a plug-in declares and is not: tasks, action parts, robots, simulators and algorithms are one line before anything starts."""

import re

import numpy as np
import pytest
from lab_cases import LAB, Careful, Gantry, Table
from rig_cases import Line, config_of

from jsac_ros import agent as algorithms
from jsac_ros import system
from jsac_ros.agent.jsac.parameters import JsacParameters
from jsac_ros.config import ConfigError, SensorConfig
from jsac_ros.control.actions.joint_velocity import JointVelocity
from jsac_ros.rig import Rig
from jsac_ros.robots.robot import Robot
from jsac_ros.spaces import ActionSpace, VectorSpace

GAUGE = SensorConfig(topic="gauge", type="std_msgs/msg/Float64", fields=("data",))
JOINTS = ["x", "y", "turn"]


def made(base, **members):
    return type(base.__name__, (base,), members)


def declares(**members):
    """An action part that says something else of itself."""

    def init(self, *arguments):
        JointVelocity.__init__(self, *arguments)
        self.__dict__.update(members)

    return made(JointVelocity, __init__=init)


def moves(**given):
    """A robot of other limits or links."""
    return made(Gantry, __init__=lambda self, parameters: Robot.__init__(self, parameters, given.pop("names", JOINTS), **given))


def lost(*_):
    raise KeyError("lost")


Fine = made(Line, vectors=[VectorSpace("tip", 3, "m")], sensors={"gauge": GAUGE})
NoComma = made(Line, vectors=VectorSpace("tip", 3, "m"))
NoSpace = made(Line, vectors=("tip",))
NoModule = made(Line, companions="display")
NoSensor = made(Line, sensors={"gauge": {"topic": "gauge"}})
NoName = made(Line, sensors=[GAUGE])
Unbounded = declares(space=None)
Misnamed = declares(space=ActionSpace("hand", 2))
Outside = declares(joints=[0, 99], joint_speed=np.ones(2))
Motionless = declares(joint_speed=np.zeros(2))
Twice = moves(names=["x", "x", "turn"])
Short = moves(lower=[-1.0, -1.0])
Swapped = moves(lower=[1.0] * 3, upper=[-1.0] * 3)
Backward = moves(max_velocity=[0.2, -0.2, 2.0])
Detached = moves(links=np.array([np.eye(4)] * 3))
Unmeasured = moves(links=np.full((4, 4, 4), np.nan))
Sheared = moves(links=np.array([np.eye(4)] * 3 + [np.diag([1.0, 1.0, 2.0, 1.0])]))
Senseless = made(Gantry, senses=("joint_position", "joint_speed"))
OtherJoints = made(Table, __init__=lambda self, *a: (Table.__init__(self, *a), setattr(self, "names", ("a", "b", "c")))[0])
OtherSize = made(Table, reset=lambda self, q=None: (Table.reset(self, q), setattr(self, "effort", np.zeros(2)))[0])
Raising = made(Table, sensors=property(lost))
Choosy = made(Careful, Parameters=made(JsacParameters, misfits=lost))
Nothing = made(Careful, build=staticmethod(lambda parameters, spaces: None))

SAID = {
    ("task", "NoComma"): r"vectors is VectorSpace\(.*\); expected a tuple of VectorSpace",
    ("task", "NoSpace"): r"vectors is \('tip',\); expected a tuple of VectorSpace",
    ("task", "NoModule"): "companions is 'display'; expected a tuple of module names",
    ("task", "NoSensor"): r"sensors is \{.*\}; expected a dict of SensorConfig by name",
    ("task", "NoName"): r"sensors is \[.*\]; expected a dict of SensorConfig by name",
    ("actions.arm", "Unbounded"): r"space is None; expected an ActionSpace of name 'arm'",
    ("actions.arm", "Misnamed"): r"space is ActionSpace\(name='hand'.*; expected an ActionSpace of name 'arm'",
    ("actions.arm", "Outside"): r"joints are \[0, 99\] .*; expected numbers below 3",
    ("actions.arm", "Motionless"): r"joint_speed \[0.0, 0.0\]; expected .* a speed above 0",
    ("robot", "Twice"): r"has joints \['x', 'x', 'turn'\]; expected one or more different names",
    ("robot", "Short"): r"lower has shape \[2\]; expected \[3\]",
    ("robot", "Swapped"): "x has range 1 to -1 .*; expected low < high",
    ("robot", "Backward"): "y has range .* and max_velocity -0.2; expected .* speed > 0",
    ("robot", "Detached"): r"links are not 4 poses; expected \[4, 4, 4\]",
    ("robot", "Unmeasured"): "links are not 4 poses",
    ("robot", "Sheared"): "links are not 4 poses",
    ("robot", "Senseless"): "senses holds joint_speed; expected some of joint_position",
    ("sim", "OtherJoints"): "sim.names is a, b, c; expected first those of the robot: x, y, turn",
    ("sim", "OtherSize"): r"sim.effort has shape \[2\]; expected \[3\]",
    ("sim", "Raising"): r"KeyError: 'lost' \(.*test_config_declared.py:\d+\)",
    ("agent", "Choosy"): r"KeyError: 'lost' \(.*test_config_declared.py:\d+\)",
    ("agent", "Nothing"): r"build\(\) returned NoneType; expected a jsac_ros.agent.agent.Agent",
}


def built(section, name):
    config = config_of(LAB | {f"{section}.type": f"test_config_declared:{name}"})
    system.check(config)
    return algorithms.build(config.agent, Rig.of(config).spaces)


def test_what_is_declared_as_it_is_comes_through():
    assert [vector.name for vector in built("task", "Fine").spaces.vectors][-1] == "tip"


@pytest.mark.parametrize("section, name", SAID)
def test_what_is_declared_and_is_not_is_one_line_before_anything_starts(section, name):
    with pytest.raises(ConfigError) as raised:
        built(section, name)
    (line,) = str(raised.value).splitlines()
    assert re.search(SAID[section, name], line), line
