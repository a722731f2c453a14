"""Small environments of others, and trainings that take a second."""

from __future__ import annotations

from pathlib import Path

import agent_cases  # noqa: F401  compiles without optimising
import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete

from jsac_ros.report import write

SMALL = {"agent": {"hidden": (16,)}, "replay": {"batch_size": 8, "warmup_steps": 20, "capacity": 1000}}

# The lift of config/lift.yaml, told where the cube is in the place of its cameras
LIFT = str(Path(__file__).resolve().parent.parent / "config" / "lift.yaml")
_NUMBERS = {"type": "std_msgs/msg/Float64MultiArray"}
FROM_STATE: dict[str, dict] = {
    "sensors": {
        "cube_from_tip": _NUMBERS
        | {"topic": "cube_from_tip", "fields": ("data[0]", "data[1]", "data[2]"), "scale": (10.0,), "unit": "0.1 m"},
        "cube_yaw": _NUMBERS | {"topic": "cube_yaw", "fields": ("data[0]",), "unit": "rad"},
    },
    "task": {
        "observe": (
            "cube_from_tip", "cube_yaw", "joint_position", "tool_position", "tool_velocity", "gripper_opening",
            "gripper_command", "previous_action",
        )
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def without_pages(monkeypatch):
    """No report.html at the end of a test's trainings: it takes longer than they do. Those of a module's fixtures have one."""
    monkeypatch.setattr(write, "page", lambda *_: "")


class Counting(gymnasium.Env):
    """Ten steps; counts what it was told, which must be one of its own three numbers; draws a grey image of the last."""

    action_space = Discrete(3, start=-1)
    observation_space = Dict({"count": Box(-np.inf, np.inf, (1,))})
    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, render_mode=None):
        self.render_mode, self.told = render_mode, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = self.told = 0
        return self.observe(), {}

    def step(self, action):
        assert action in (-1, 0, 1)
        self.steps, self.told = self.steps + 1, int(action)
        return self.observe(), float(action), False, self.steps >= 10, {}

    def observe(self):
        return {"count": np.array([self.told], np.float32)}

    def render(self):
        return np.full((48, 48, 3), 100 + 50 * self.told, np.uint8)


class Reaching(gymnasium.Env):
    """A point on a line, seen by two cameras and a joint: an object of a lab's own, with no id and nothing registered.

    `scene` is grey and larger than what is learned from; the action moves the point by 1 to 3 units. Ends at the goal.
    """

    action_space = Box(np.array([1.0], np.float32), np.array([3.0], np.float32))
    observation_space = Dict(
        {
            "images": Dict({"wrist": Box(0, 255, (36, 36, 3), np.uint8), "Scene": Box(0, 255, (72, 72), np.uint8)}),
            "joint": Box(-100.0, 100.0, (2,), np.float64),
            "gripper": Discrete(2),
        }
    )

    def __init__(self, goal=10.0):
        self.place, self.taken, self.goal = 0.0, [], goal

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = 0.0
        return self.observe(), {}

    def step(self, action):
        assert action.shape == (1,) and 1.0 <= action[0] <= 3.0 and action.dtype == np.float32
        self.taken.append(float(action[0]))
        self.place += float(action[0])
        reached = self.place >= self.goal
        return self.observe(), -1.0, reached, False, {"is_success": reached}

    def observe(self):
        value = int(min(255, 25 * self.place))
        images = {"wrist": np.full((36, 36, 3), value, np.uint8), "Scene": np.full((72, 72), 255 - value, np.uint8)}
        return {"images": images, "joint": np.array([self.place, -self.place]), "gripper": int(self.place > 5)}


def striding(env):
    """Shows how to reach: by 2 units each step."""
    return lambda observation: [2.0] if observation["joint"][0] < env.unwrapped.goal else None


def falling(env):
    raise KeyError("arm")


class Blind(Counting):
    def render(self):
        raise RuntimeError("no window")


class Old(Counting):
    def __init__(self):
        super().__init__()


class Endless(Counting):
    action_space = Box(-np.inf, np.inf, (1,))
    observation_space = Box(-1.0, 1.0, (1,))


class Broken(Counting):
    """Its code fails at the third step."""

    def step(self, action):
        if self.steps == 2:
            raise KeyError("gripper")
        return super().step(action)


for made in (Counting, Blind, Old, Endless, Broken, Reaching):
    gymnasium.register(f"{made.__name__}-v0", made, disable_env_checker=True)
