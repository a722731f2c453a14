"""From sensed values to the vectors of an observation: joints, previous action, sensors, and vectors of the task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jsac_ros.control.actions import Actions
from jsac_ros.control.sensors import Sensor
from jsac_ros.robots.robot import Robot
from jsac_ros.spaces import VectorSpace, one_unit
from jsac_ros.types import Action, Arrays, Sensed


class Sense(NamedTuple):
    """One vector of an observation, [n], and its function."""

    space: VectorSpace
    read: Callable[[Sensed, Action], np.ndarray]  # of the sensed values and the previous action
    begin: Callable[[Sensed], None] = lambda sensed: None  # starts an episode


def robot_senses(robot: Robot, actions: Actions) -> dict[str, Sense]:
    """The available senses of the joints that the actions move, and of the previous action."""
    moving = [part for part in actions.moving if len(part.joints)]
    joints = np.concatenate([part.joints for part in moving]) if moving else np.arange(len(robot))
    speed = np.concatenate([part.joint_speed for part in moving]) if moving else np.ones(len(robot))
    n, home = len(joints), robot.home[joints]
    joint_senses = [
        Sense(
            VectorSpace("joint_position", n, one_unit(f"{robot.units[joint]} from home" for joint in joints)),
            lambda sensed, _: sensed.position[joints] - home,
        ),
        Sense(VectorSpace("joint_velocity", n, "of the largest commanded"), lambda sensed, _: sensed.velocity[joints] / speed),
        Sense(VectorSpace("joint_effort", n, "of the driver"), lambda sensed, _: sensed.effort[joints]),
    ]
    size = sum(part.space.size for part in actions.parts.values())
    previous = Sense(
        VectorSpace("previous_action", size, "action"),
        lambda _, action: np.concatenate([action[name] for name in actions.parts]),
    )
    return {sense.space.name: sense for sense in (*joint_senses, *([previous] if size else []))}


def sensor_sense(sensor: Sensor) -> Sense:
    return Sense(sensor.space, lambda sensed, _: sensor.bounded(sensed.sensors[sensor.name]))


def task_senses(spaces: Sequence[VectorSpace], observe: Callable[[Sensed], Arrays]) -> list[Sense]:
    """The vectors that a task computes. It is asked once per observation, as it may remember what it has seen."""
    seen: list[tuple[Sensed, Arrays]] = []

    def read(sensed: Sensed, name: str) -> np.ndarray:
        if not seen or seen[0][0] is not sensed:
            vectors = observe(sensed)
            if not isinstance(vectors, dict) or any(space.name not in vectors for space in spaces):
                found = f"keys {', '.join(map(str, vectors))}" if isinstance(vectors, dict) else type(vectors).__name__
                raise TypeError(f"observe() returned {found}; expected a dict of {', '.join(s.name for s in spaces)}")
            seen[:] = [(sensed, vectors)]
        return seen[0][1][name]

    return [
        Sense(space, lambda sensed, _, name=space.name: read(sensed, name), begin=lambda sensed: seen.clear())
        for space in spaces
    ]


class Senses:
    """The vectors of one system. Tared sensors count from the start of the episode."""

    def __init__(self, senses: Iterable[Sense], sensors: Mapping[str, Sensor]):
        self.senses = {sense.space.name: sense for sense in senses}
        self._tared = [name for name, sensor in sensors.items() if sensor.config.tare]
        self._zero: Arrays = {}

    def begin(self, sensed: Sensed) -> None:
        """Starts an episode: the current values become zero."""
        for sense in self.senses.values():
            sense.begin(sensed)
        self._zero = {name: sensed.sensors[name] for name in self._tared}

    def tared(self, sensed: Sensed) -> Sensed:
        """With the zeros of this episode subtracted."""
        if not self._zero:
            return sensed
        return sensed._replace(
            sensors=sensed.sensors | {name: sensed.sensors[name] - zero for name, zero in self._zero.items()}
        )

    def observe(self, sensed: Sensed, previous_action: Action) -> Arrays:
        """{vector: float32 [n]}. Raises ValueError naming a part with the wrong size or a value that is not finite."""
        vectors = {}
        for name, sense in self.senses.items():
            values = np.array(sense.read(sensed, previous_action), np.float32)  # a copy: its owner may go on writing
            if values.shape != sense.space.shape:
                raise ValueError(f"observation {name!r} has shape {list(values.shape)}; declared is {list(sense.space.shape)}")
            if not np.isfinite(values).all():
                raise ValueError(f"observation {name!r} is {values.tolist()}; expected finite numbers")
            vectors[name] = values
        return vectors
