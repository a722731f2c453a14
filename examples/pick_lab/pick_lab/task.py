"""Grasp a bottle by its neck and lift it, without pressing harder than necessary.

The policy observes two cameras, a wrench and the gripper's opening. The reward is sparse, minus a small cost for every
newton above `gentle_n`: hurrying gains nothing if it presses the gripper into the table.
"""

from pathlib import Path

import numpy as np

from jsac_ros.config import ConfigError, NonNegative, Positive, SensorConfig, TaskParameters
from jsac_ros.tasks.mujoco_scene import MujocoScene, place, touches
from jsac_ros.tasks.reset import ResetParameters, ResetPart, check_reset, composed
from jsac_ros.tasks.task import Task
from jsac_ros.types import Action, Arrays, Score, Sensed

HEIGHT_M = 0.05  # of the standing bottle's centre


class PickBottle(Task):
    class Parameters(TaskParameters, ResetParameters):
        lift_m: Positive = 0.05
        gentle_n: Positive = 8.0  # a force that costs nothing
        force_cost: NonNegative = 0.01  # per newton above it, at every step
        wrench: str = "wrench"  # of `sensors`
        area_m: tuple[NonNegative, NonNegative] = (0.1, 0.1)  # of the table, where the simulated bottle is placed

    # A camera of the lab measures the pose of the bottle for the score; the policy does not observe it.
    sensors = {
        "bottle": SensorConfig(
            topic="bottle", type="geometry_msgs/msg/PointStamped", fields=("point.x", "point.y", "point.z"), unit="m",
            max_age_s=0.5,
        ),
        "held": SensorConfig(topic="held", type="std_msgs/msg/Bool", fields=("data",)),
    }  # fmt: skip

    def __init__(self, parameters: Parameters, rig):
        super().__init__(parameters, rig)
        problems = check_reset(parameters, rig)
        if parameters.wrench not in rig.config.sensors:
            known = ", ".join(rig.config.sensors) or "none is configured"
            problems.append(f"task.wrench is {parameters.wrench!r}; expected one of sensors ({known})")
        if problems:
            raise ConfigError("\n".join(problems))
        self._random = np.random.default_rng(rig.config.run.seed)

    def reset(self) -> ResetPart:
        return composed(self.parameters, self.rig, self._random)

    def score(self, before: Sensed, action: Action, after: Sensed) -> Score:
        p = self.parameters
        force_n = float(np.linalg.norm(after.sensors[p.wrench][:3]))
        lifted = bool(after.sensors["held"][0] > 0.5 and after.sensors["bottle"][2] - HEIGHT_M >= p.lift_m)
        reward = lifted * p.success_reward - p.force_cost * max(force_n - p.gentle_n, 0.0)
        return Score(reward, terminated=lifted, success=lifted)

    def mujoco_scene(self) -> MujocoScene:
        return Bench(self.parameters)


class Bench(MujocoScene):
    xml = Path(__file__).with_name("scene.xml").read_text()
    loose = "bottle"

    def __init__(self, parameters: PickBottle.Parameters):
        self._area_m = np.array(parameters.area_m)

    def reset(self, model, data, random: np.random.Generator) -> str:
        x, y = np.array((0.5, 0.1333)) + random.uniform(-0.5, 0.5, 2) * self._area_m
        place(model, data, "bottle", np.array((x, y, HEIGHT_M)))
        return f"bottle at {x:.3f}, {y:.3f} m"

    def truth(self, model, data) -> Arrays:
        held = touches(model, data, "neck", "right_pad") and touches(model, data, "neck", "left_pad")
        return {"bottle": data.body("bottle").xpos.copy(), "held": np.array([float(held)])}
