"""The configured system in one object: robot, cameras, sensors, actions, task, and the resulting spaces and topics.

The actor, the recorder, the player, the offline tools, the simulators and the dashboard read the same rig, so that a
recording contains all that is needed to recompute its run.
"""

from __future__ import annotations

import json
import math
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from jsac_ros import documents, plugins
from jsac_ros.config import ConfigError, SensorConfig, Stamps, SystemConfig, TaskParameters
from jsac_ros.control.actions import Actions
from jsac_ros.control.senses import Sense, Senses, robot_senses, sensor_sense, task_senses
from jsac_ros.control.sensors import Sensor
from jsac_ros.control.tool_senses import gripper_senses, tool_senses
from jsac_ros.robots.gripper import Gripper, grippers_of
from jsac_ros.robots.robot import Robot
from jsac_ros.spaces import ImageSpace, Spaces, VectorSpace
from jsac_ros.tasks.task import Task, check_declared

if TYPE_CHECKING:
    from jsac_ros.classifier.files import Card as ClassifierCard
    from jsac_ros.classifier.judge import Judge
    from jsac_ros.pretrained.files import EncoderCard
    from jsac_ros.pretrained.network import Encoder

JOINTS = "joints"  # the source of joint states
CLASSIFIER, ENCODERS = "classifier", "encoders"  # in a run folder
FEATURES = "_features"  # follows a camera's name: the features that its pretrained encoder computes
SPACES = "spaces.json"  # in a run folder: for processes that need the sizes but not the plug-ins


class Source(NamedTuple):
    """One stream of messages from a driver."""

    name: str  # of a camera, of a sensor, or JOINTS
    topic: str
    type: str  # "sensor_msgs/msg/Image"
    max_age_s: float  # if older at a tick: hold; 0: any age
    stamps: Stamps  # what its ages count from


class Rig:
    """Its parts are made on first use; each raises ConfigError with one line if it is wrong."""

    def __init__(self, config: SystemConfig):
        self.config = config

    @classmethod
    def of(cls, config: SystemConfig) -> Rig:
        """The rig with all its parts made. Raises ConfigError with all errors, one line each."""
        rig = cls(config)
        if problems := rig.problems():
            raise ConfigError("\n".join(problems))
        return rig

    def problems(self) -> list[str]:
        """A line for every error."""
        found: list[str] = []
        for part in ("robot", "grippers", "actions", "sensors", "task", "senses", "spaces", "classifier", "encoder_cards"):
            try:
                with plugins.named(f"rig: {part}"):
                    getattr(self, part)
            except ConfigError as error:  # parts that depend on a wrong one repeat its error
                found += [line for line in str(error).splitlines() if line not in found]
        return found

    @cached_property
    def robot(self) -> Robot:
        return plugins.make("robot", self.config.robot.type, self.config.robot)

    @cached_property
    def grippers(self) -> dict[str, Gripper]:
        return grippers_of(self.config)

    @cached_property
    def actions(self) -> Actions:
        parts = {
            name: plugins.make("action", of.type, name, of, self, field=f"actions.{name}.type")
            for name, of in self.config.actions
        }
        if not parts:
            raise ConfigError("actions is empty; expected at least one part, such as actions.arm.type: joint_velocity")
        return Actions(parts, self.robot)

    def check_devices(self) -> None:
        """Raises ConfigError if a part of the action commands a device other than a gripper: safety has no rules for it."""
        for name, part in self.actions.parts.items():
            if part.device and part.device not in self.grippers:
                known = ", ".join(self.grippers) or "none configured"
                raise ConfigError(f"actions.{name} commands {part.device!r}; expected one of the grippers ({known})")

    @cached_property
    def task(self) -> Task:
        task = plugins.make("task", self.config.task.type, self.config.task, self)
        check_declared(task, self.config.task.type)
        return task

    @cached_property
    def sensors(self) -> dict[str, Sensor]:
        """The sensors of the configuration and those that the task declares."""
        configs: dict[str, SensorConfig] = dict(self.config.sensors)
        for name, config in self.task.sensors.items():
            if configs.get(name, config) != config:
                raise ConfigError(f"sensors.{name} is configured, and task {self.config.task.type!r} has one of that name")
            configs[name] = config
        return {name: Sensor(name, config) for name, config in sorted(configs.items())}

    @cached_property
    def images(self) -> dict[str, ImageSpace]:
        """The image space of every camera, whether the policy sees it or not."""
        return {
            name: ImageSpace(name, camera.height, camera.width, camera.channels, camera.stack)
            for name, camera in sorted(self.config.cameras.items())
        }

    @cached_property
    def classifier(self) -> ClassifierCard | None:
        """The card of `task.classifier`, checked without loading its network; None: the task scores."""
        folder = self.config.task.classifier
        if not folder:
            return None
        from jsac_ros.classifier import files

        card = files.read_card(folder)
        if misfits := card.misfits(self.images):
            raise ConfigError(f"task.classifier {folder}: {misfits}")
        return card

    @cached_property
    def judge(self) -> Judge | None:
        """The compiled classifier that detects success from images instead of the task; None: the task scores. Imports JAX."""
        if self.classifier is None:
            return None
        from jsac_ros.classifier.judge import Judge

        return Judge.load(self.config.task.classifier)

    @cached_property
    def encoder_cards(self) -> dict[str, EncoderCard]:
        """{camera: card} of the cameras with a pretrained encoder, checked without loading its network."""
        configured = {name: camera.encoder for name, camera in sorted(self.config.cameras.items()) if camera.encoder}
        if not configured:
            return {}
        from jsac_ros.pretrained import files

        return {name: files.read_card(path) for name, path in configured.items()}

    @cached_property
    def encoders(self) -> dict[str, Encoder]:
        """{camera: its pretrained encoder, compiled for its frames}. Imports JAX if there is one."""
        if not self.encoder_cards:
            return {}
        from jsac_ros.pretrained.network import Encoder

        return {
            name: Encoder.load(self.config.cameras[name].encoder, self.images[name].frame_shape) for name in self.encoder_cards
        }

    def _features(self, camera: str) -> Sense:
        """What the policy sees instead of the camera's image."""
        card, image = self.encoder_cards[camera], self.images[camera]
        shape = card.shape_of(image.height, image.width)
        space = VectorSpace(camera + FEATURES, math.prod(shape), f"features of encoder {card.digest}", map=shape)
        return Sense(space, lambda sensed, _: self.encoders[camera](sensed.frames[camera]))

    @cached_property
    def _offered(self) -> dict[str, Sense]:
        """Every vector that a policy can observe."""
        offered = robot_senses(self.robot, self.actions) | {n: sensor_sense(s) for n, s in self.sensors.items()}
        if self.robot.has_kinematics:
            offered |= tool_senses(self.robot)
        commanding = {part.device: part for part in self.actions.parts.values()}
        for name, gripper in self.grippers.items():
            offered |= gripper_senses(gripper, commanding.get(name))
        offered |= {camera + FEATURES: self._features(camera) for camera in self.encoder_cards}
        for sense in task_senses(self.task.vectors, self.task.observe):
            if sense.space.name in offered or sense.space.name in self.images:
                raise ConfigError(f"task {self.config.task.type!r} declares {sense.space.name!r}, which the rig has already")
            offered[sense.space.name] = sense
        return offered

    @cached_property
    def observed(self) -> tuple[str, ...]:
        """Names of the parts that the policy sees: `task.observe`, or all but effort, tool and the task's own sensors.

        Instead of the image of a camera with a pretrained encoder it sees the encoder's features.
        """
        return tuple(dict.fromkeys(name + FEATURES if name in self.encoder_cards else name for name in self._chosen))

    @cached_property
    def _chosen(self) -> tuple[str, ...]:
        chosen, offered = self.config.task.observe, self._offered
        if misread := [name for name in self.robot.senses if name not in offered]:
            raise ConfigError(
                f"robot {self.robot.model!r}: senses holds {', '.join(misread)}; expected some of {', '.join(offered)}"
            )
        if not chosen:
            of_grippers = (f"{name}_{what}" for name in self.grippers for what in ("opening", "command"))
            usual = (
                *self.robot.senses,
                "previous_action",
                *of_grippers,
                *self.config.sensors,
                *(v.name for v in self.task.vectors),
            )
            return (*self.images, *(name for name in usual if name in offered))
        unknown = [name for name in chosen if name not in offered and name not in self.images]
        if unknown:
            raise ConfigError(
                f"task.observe holds {', '.join(unknown)}; expected some of {', '.join((*self.images, *offered))}"
            )
        return chosen

    @cached_property
    def senses(self) -> Senses:
        return Senses([self._offered[name] for name in self.observed if name in self._offered], self.sensors)

    @cached_property
    def spaces(self) -> Spaces:
        try:
            return Spaces.of(
                images=[space for name, space in self.images.items() if name in self.observed],
                vectors=[sense.space for sense in self.senses.senses.values()],
                actions=[part.space for part in self.actions.parts.values()],
                sources=self.sources,
            )
        except ConfigError:
            raise
        except ValueError as error:
            raise ConfigError(str(error)) from None

    @cached_property
    def sources(self) -> dict[str, Source]:
        """Every stream from drivers, in the order of their names."""
        robot = self.config.robot
        found = [Source(JOINTS, robot.joint_states_topic, "sensor_msgs/msg/JointState", robot.joint_max_age_s, robot.stamps)]
        for name, camera in self.config.cameras.items():
            kind = "sensor_msgs/msg/CompressedImage" if camera.compressed else "sensor_msgs/msg/Image"
            found.append(Source(name, camera.topic, kind, camera.max_age_s, camera.stamps))
        for name, sensor in self.sensors.items():
            told = sensor.config
            found.append(Source(name, told.topic, told.type, told.max_age_s, told.stamps))
        names = [source.name for source in found]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(
                    f"{name!r} names {names.count(name)} of the cameras, the sensors and the joints; expected one"
                )
        return {source.name: source for source in sorted(found)}

    @property
    def episode_steps(self) -> int:
        """Actions until the time limit, at least 1."""
        return max(1, round(self.config.task.episode_s / self.config.control.period_s))


def with_copies(config: SystemConfig, folder: Path) -> SystemConfig:
    """Copies classifier and encoders of a run into its folder, where nothing changes them; returns the config with the copies.

    Raises OSError.
    """
    if isinstance(config.task, TaskParameters) and config.task.classifier:  # an environment may have no task
        from jsac_ros.classifier import files as classifiers

        kept = folder.resolve() / CLASSIFIER
        classifiers.copy(config.task.classifier, kept)
        config = config.model_copy(update={"task": config.task.model_copy(update={"classifier": str(kept)})})
    cameras = dict(config.cameras)
    for name, camera in cameras.items():
        if camera.encoder:
            from jsac_ros.pretrained import files as encoders

            file = folder.resolve() / ENCODERS / f"{name}.safetensors"
            encoders.copy(camera.encoder, file)
            cameras[name] = camera.model_copy(update={"encoder": str(file)})
    return config if cameras == config.cameras else config.model_copy(update={"cameras": cameras})


def write_spaces(folder: Path, spaces: Spaces) -> None:
    (folder / SPACES).write_text(json.dumps(spaces.to_json(), indent=1) + "\n")


def read_spaces(folder: Path) -> Spaces:
    """The spaces of a run, from its folder. Raises ConfigError with one line if they cannot be read."""
    try:
        return Spaces.from_json(documents.json_of(documents.read(folder / SPACES, documents.JSON_BYTES)))
    except ValueError as error:
        raise ConfigError(f"{folder / SPACES}: {documents.one_line(error)}; expected the spaces of a run") from None
