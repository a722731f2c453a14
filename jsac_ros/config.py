"""Everything that can be configured: one frozen model a component, one YAML file a system.

The YAML is a ROS 2 parameter file (`/**: ros__parameters: {section: {field: value}}`), so `ros2 launch`, `ros2 param`
and this module read the same thing. This is the only place where a name in the file meets a field in Python.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from jsac_ros.types import Spec

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(gt=0)]
Floats = tuple[float, ...]


class ConfigError(ValueError):
    """One line that names the field, its value and what was expected."""


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class RunConfig(Section):
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")] = "jsac"  # names shared memory and run folders
    seed: Annotated[int, Field(ge=0)] = 0
    folder: str = "runs"  # run folders are made in it
    duration_s: NonNegative = 0.0  # of the whole system, from the first tick; 0: until stopped
    max_restarts: Annotated[int, Field(ge=0)] = 3  # of one process within ten minutes; then everything ends


class CameraConfig(Section):
    """How pictures come in; the actor turns each into one frame uint8 [height, width, channels], RGB."""

    topic: str = "camera/image_raw"  # sensor_msgs/Image, or CompressedImage where `compressed` is set
    compressed: bool = False
    source_height: Annotated[int, Field(ge=0)] = 0  # what is expected on the topic; 0: any
    source_width: Annotated[int, Field(ge=0)] = 0
    crop: tuple[int, ...] = ()  # top, left, height, width of the source, before resizing
    height: Annotated[int, Field(ge=0)] = 90  # of the frame; 0 and 0: no camera
    width: Annotated[int, Field(ge=0)] = 160
    channels: Literal[1, 3] = 3
    max_age_s: Positive = 0.2  # older than this at a tick: hold
    # The same pixels for longer than this, whatever their stamps: hold; 0: not looked at. A real sensor's noise makes
    # every picture another one; a renderer without noise may not.
    frozen_max_age_s: NonNegative = 0.0

    @model_validator(mode="after")
    def _check(self):
        if len(self.crop) not in (0, 4):
            raise ValueError(f"crop is {list(self.crop)}; expected [] or [top, left, height, width]")
        if (self.height == 0) != (self.width == 0):
            raise ValueError(f"height {self.height} and width {self.width}: both 0 (no camera) or neither")
        return self


class RobotConfig(Section):
    """Which robot, and the topics of its driver."""

    model: Literal["ur5", "ur5e", "ur3e", "urdf", "joints", "diff_drive"] = "ur5"
    urdf: str = ""  # path of the URDF for model "urdf"
    base_link: str = ""  # model "urdf": chain from here
    tool_link: str = ""  # model "urdf": to here
    # Who moves: our simulator, a real driver, a recording, or nobody (a Gymnasium environment in the robot's place)
    driver: Literal["sim", "external", "bag", "gymnasium"] = "sim"
    interface: Literal["trajectory", "velocity", "twist", "none"] = "trajectory"  # none: nothing is commanded
    joint_prefix: str = ""
    joints: tuple[str, ...] = ()  # names in our order; empty: those of the model
    joint_states_topic: str = "joint_states"
    trajectory_topic: str = "scaled_joint_trajectory_controller/joint_trajectory"
    velocity_topic: str = "forward_velocity_controller/commands"
    twist_topic: str = "cmd_vel"
    twist_stamped: bool = False  # TwistStamped, as Jazzy's diff_drive_controller hears it, in the place of Twist
    program_running_topic: str = ""  # std_msgs/Bool, latched; empty: not watched
    speed_scaling_topic: str = ""  # std_msgs/Float64, 0..1; empty: not watched
    safety_mode_topic: str = ""  # ur_dashboard_msgs/SafetyMode, latched; empty, or the package is missing: not watched
    bumper_topic: str = ""  # std_msgs/Bool of a mobile base; empty: none
    battery_topic: str = ""  # sensor_msgs/BatteryState of a mobile base; empty: none
    joint_max_age_s: Positive = 0.1  # joint states older than this: hold


class TaskConfig(Section):
    name: Literal["ur5_reacher", "create_reacher", "shadow"] = "ur5_reacher"
    control_period_s: Positive = 0.04
    trigger: Literal["clock", "frame"] = "clock"  # frame: a tick begins when a camera frame arrives
    episode_s: Positive = 4.0
    stack: Count = 3
    observe: Literal["image", "proprioception", "both"] = "both"
    controlled_joints: Count = 5  # the first n of the robot's joints are commanded
    action_scale: Floats = (0.3,)  # rad/s at |action| = 1, one for all joints or one each
    action_offset: Floats = (0.0,)
    action_table: Floats = ()  # discrete actions: rows of `controlled_joints` values in [-1, 1], flattened
    reward: Literal["dense", "sparse", "minimum_time", "none"] = "dense"
    home: Floats = (1.5707, -2.0, 2.17, -3.0415, -1.5707, 3.1415)  # rad, where every episode starts
    reset_s: Positive = 2.0  # for the move home; longer where the speed limit asks for it
    settle_s: NonNegative = 0.2
    reset_penalty: NonNegative = 0.0  # taken from the reward of a step that ends in a terminal state


class SafetyConfig(Section):
    """Limits of the gate between the actor and the robot. Angles in rad, lengths in m."""

    rate_hz: Positive = 125.0
    joint_lower: Floats = ()  # empty: those of the model
    joint_upper: Floats = ()
    max_joint_speed_rad_s: Positive = 0.7
    max_joint_acceleration_rad_s2: Positive = 1.4
    max_joint_jerk_rad_s3: NonNegative = 0.0  # 0: not limited
    box_lower: Floats = ()  # x, y, z of the tool in `box_frame`; empty: no box
    box_upper: Floats = ()
    box_frame: Literal["base", "base_link"] = "base_link"
    command_max_age_s: Positive = 0.07  # how long an Action is good for; then the motion it became brakes to rest
    joint_max_age_s: Positive = 0.06
    joint_jump_rad: Positive = 0.2  # between two joint states: not believable
    following_error_rad: Positive = 0.1  # between where the robot is and where it was told to be: hold
    restart_needs_person: bool = True
    dead_man_topic: str = ""  # std_msgs/Bool that a person keeps true; empty: none
    dead_man_max_age_s: Positive = 0.25
    max_base_speed_m_s: Positive = 0.3
    max_base_turn_rad_s: Positive = 1.5
    max_base_acceleration_m_s2: Positive = 0.5
    max_base_turn_acceleration_rad_s2: Positive = 3.0


class RealtimeConfig(Section):
    """Each is tried, applied where the system allows it, and reported where it does not."""

    fifo_priority: Annotated[int, Field(ge=0, le=90)] = 10  # SCHED_FIFO of the control threads; 0: off
    actor_cpu: Annotated[int, Field(ge=-1)] = -1  # pin the actor's control thread; -1: off
    learner_nice: Annotated[int, Field(ge=0, le=19)] = 19  # 19: SCHED_IDLE too, so that it makes way at once
    replay_nice: Annotated[int, Field(ge=0, le=19)] = 10


class AgentConfig(Section):
    """JSAC (jsac_writeup.txt); every deviation is an option and off by default."""

    algorithm: Literal["jsac", "dqn", "sac_v"] = "jsac"  # sac_v: SAC with a value function
    # networks (sections 2.1 to 2.3)
    conv_channels: tuple[int, ...] = (32, 32, 32, 32)
    conv_strides: tuple[int, ...] = (2, 2, 2, 1)
    conv_kernel: Count = 3
    conv_activation: Literal["relu", "leaky_relu", "elu", "silu", "tanh"] = "leaky_relu"
    latent_dim: Count = 64
    hidden: tuple[int, ...] = (1024, 1024)
    hidden_activation: Literal["relu", "leaky_relu", "elu", "silu", "tanh"] = "relu"
    q_count: Count = 5
    layer_norm: bool = True
    conv_layer_norm: bool = True  # with layer_norm: between the convolutions too
    weight_clip: bool = True  # apply_weight_clip, eq. 4
    weight_clip_kappa: Positive = 2.0
    log_std_min: float = -10.0
    log_std_max: float = 2.0
    # losses and optimisers (section 3)
    discount: Share = 0.99
    tau: Share = 0.005  # Polyak step of the target critic
    learning_rate: Positive = 3e-4
    temperature_learning_rate: Positive = 3e-4
    initial_temperature: Positive = 0.1
    target_entropy: Literal["minus_actions", "minus_half_actions", "max_std"] = "minus_actions"
    target_entropy_std: Positive = 0.3  # for "max_std"
    max_gradient_norm: Positive = 1.0  # of critic and encoder, and of the actor
    actor_max_gradient_norm: NonNegative = 0.0  # 0: max_gradient_norm
    temperature_max_gradient_norm: NonNegative = 0.0  # 0: not clipped
    shift_pad: Annotated[int, Field(ge=0)] = 4  # DrQ; 0: no augmentation
    # options from the other references and from peers
    q_subset: Annotated[int, Field(ge=0)] = 0  # REDQ: min over this many random Qs in the target; 0: all
    n_step: Count = 1
    actor_period: Count = 1  # updates of the critic per update of the actor
    target_period: Count = 1
    critic_warmup_updates: Annotated[int, Field(ge=0)] = 0  # first updates that leave actor and temperature alone
    epsilon_final: Share = 0.05  # dqn: share of random actions, from 1 down to this
    epsilon_updates: Count = 10_000  # over so many updates
    bfloat16: bool = False

    @model_validator(mode="after")
    def _check(self):
        if not self.conv_channels or len(self.conv_channels) != len(self.conv_strides):
            raise ValueError(
                f"conv_channels {list(self.conv_channels)} and conv_strides {list(self.conv_strides)}: "
                "expected one of each per layer, at least one layer"
            )
        for name in ("conv_channels", "conv_strides", "hidden"):
            if any(value < 1 for value in getattr(self, name)) or not getattr(self, name):
                raise ValueError(f"{name} is {list(getattr(self, name))}; expected positive numbers")
        if self.log_std_min >= self.log_std_max:
            raise ValueError(f"log_std_min {self.log_std_min}: expected less than log_std_max {self.log_std_max}")
        if self.q_subset > self.q_count:
            raise ValueError(f"q_subset is {self.q_subset}; expected at most q_count {self.q_count}")
        return self


def smallest_image(agent: AgentConfig) -> int:
    """Pixels each way that leave one pixel after the last of the VALID convolutions."""
    side = 1
    for stride in reversed(agent.conv_strides):
        side = (side - 1) * stride + agent.conv_kernel
    return side


class ReplayConfig(Section):
    capacity: Count = 100_000  # steps
    batch_size: Count = 256
    folder: str = ""  # of the store; empty: `replay/` in the run folder
    slots: Annotated[int, Field(ge=2)] = 2  # of the batch ring (figure 4 of the write-up)
    warmup_steps: Annotated[int, Field(ge=0)] = 1000  # random actions, no learning, until so many are stored
    max_updates_per_step: NonNegative = 0.0  # update-to-data ratio that learning may not exceed; 0: no limit
    min_updates_per_step: NonNegative = 0.0  # steps over this ratio wait at their actor for the learner; 0: no limit
    sampler: Literal["uniform", "prioritised"] = "uniform"
    priority_alpha: Share = 0.6
    priority_beta: Share = 0.4
    priority_beta_steps: Count = 100_000  # batches until beta is 1
    demonstrations: str = ""  # folder of a replay store to mix in; empty: none
    demonstration_share: Share = 0.5  # of every batch


class LearnerConfig(Section):
    publish_period: Count = 8  # K: updates between two publications of the policy
    checkpoint_period_s: Positive = 60.0
    keep_checkpoints: Count = 3
    max_skipped_updates: Count = 100  # not finite, in a row: stop with the last good checkpoint
    policy_topic: bool = False  # also publish the parameters as a topic, for an actor on another host
    resume: str = ""  # run folder to go on from
    encoder: str = ""  # folder of an exported policy; learning begins with its encoder


class SimConfig(Section):
    """The embedded robot: what a driver and a camera would do."""

    joint_rate_hz: Positive = 125.0
    camera_rate_hz: Positive = 30.0
    camera_delay_s: NonNegative = 0.004
    camera_noise: NonNegative = 2.0  # standard deviation, of 255
    camera_height: Count = 90
    camera_width: Count = 160
    max_acceleration_rad_s2: Positive = 40.0  # what the controller itself would execute


class TrainConfig(Section):
    """Learning in an environment of `jsac_ros.envs`, the whole loop compiled (`jsac-ros train`)."""

    environment: Literal["cartpole", "pendulum", "rocket_flip_over", "rocket_landing"] = "cartpole"
    # A Gymnasium environment with a learner and a replay process of its own (`jsac-ros train ENV --asynchronous`), and
    # the sizes of what it says and takes.
    gymnasium: str = ""
    gymnasium_state: Annotated[int, Field(ge=0)] = 0
    gymnasium_actions: Annotated[int, Field(ge=0)] = 0
    gymnasium_choices: Annotated[int, Field(ge=0)] = 0
    steps: Count = 20_000  # of all environments together
    evaluate_every: Count = 5000  # steps in a Gymnasium environment
    environments: Count = 1  # side by side
    updates_per_step: Count = 1  # after one step of every environment


class BagConfig(Section):
    path: str = ""  # rosbag2 folder or file, for driver "bag"
    rate: Positive = 1.0
    action_topic: str = ""  # std_msgs/Float64MultiArray of recorded commands, stored as the actions in shadow mode
    record: bool = False  # write this run's topics to `bag/` in the run folder
    # Of a foreign recording read offline: what the task says, 1 and the end for the last action of each episode
    # (a demonstration), or the newest value on `reward_topic` (std_msgs/Float64 or Float32)
    reward: Literal["task", "end", "topic"] = "task"
    reward_topic: str = ""


class SystemConfig(Section):
    """One whole system, as one file describes it."""

    run: RunConfig = RunConfig()
    camera: CameraConfig = CameraConfig()
    robot: RobotConfig = RobotConfig()
    task: TaskConfig = TaskConfig()
    safety: SafetyConfig = SafetyConfig()
    realtime: RealtimeConfig = RealtimeConfig()
    agent: AgentConfig = AgentConfig()
    replay: ReplayConfig = ReplayConfig()
    learner: LearnerConfig = LearnerConfig()
    sim: SimConfig = SimConfig()
    bag: BagConfig = BagConfig()
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _convolutions_fit(self):
        agent, camera = self.agent, self.camera
        if self.task.observe == "proprioception" or camera.height == 0:
            return self
        least = smallest_image(agent)
        if min(camera.height, camera.width) < least:
            raise ValueError(
                f"camera.height x width is {camera.height}x{camera.width}; expected at least {least} each way "
                f"for {len(agent.conv_strides)} convolutions with strides {list(agent.conv_strides)}"
            )
        return self

    @property
    def shadow(self) -> bool:
        """Actions are computed and logged; nothing is commanded."""
        return self.robot.interface == "none"


def _as_tree(values: dict[str, Any]) -> dict[str, Any]:
    """{"a.b": 1, "c": {"d": 2}} -> {"a": {"b": 1}, "c": {"d": 2}}."""
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *sections, field = str(name).split(".")
        at = tree
        for section in sections:
            at = at.setdefault(section, {})
            if not isinstance(at, dict):
                raise ConfigError(f"{name}: {section} is a value, not a section")
        if isinstance(value, dict):
            value = _as_tree(value)
            if isinstance(at.get(field), dict):
                at[field].update(value)
                continue
        at[field] = value
    return tree


def from_parameters(values: dict[str, Any]) -> SystemConfig:
    """Checks a tree (or dotted names) of ROS parameters. Raises ConfigError with one line per wrong field."""
    tree = _as_tree(values)
    tree.pop("use_sim_time", None)  # every ROS node has it; rclpy acts on it
    for section in tree.values():  # YAML and ROS know lists only
        if isinstance(section, dict):
            section.update({k: tuple(v) for k, v in section.items() if isinstance(v, list)})
    try:
        return SystemConfig.model_validate(tree)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            where = ".".join(str(part) for part in problem["loc"]) or "config"
            if problem["type"] == "extra_forbidden":
                lines.append(f"{where}: unknown key; known are {_known(problem['loc'][:-1])}")
            else:
                value = "" if isinstance(problem["input"], dict) else f" is {problem['input']!r}"
                lines.append(f"{where}{value}: {problem['msg'].removeprefix('Value error, ')}")
        raise ConfigError("\n".join(lines)) from None


def _known(path: tuple) -> str:
    model: Any = SystemConfig
    for part in path:
        model = model.model_fields[part].annotation
    return ", ".join(model.model_fields)


def to_parameters(config: SystemConfig) -> dict[str, Any]:
    """The tree that `from_parameters` reads back; empty lists are left out (ROS cannot type them)."""
    tree = config.model_dump()
    return {
        name: {k: list(v) if isinstance(v, tuple) else v for k, v in section.items() if v != ()}
        for name, section in tree.items()
    }


def load(path: str | Path, overrides: dict[str, Any] | None = None) -> SystemConfig:
    """Reads a ROS 2 parameter file. `overrides` are dotted names: {"run.seed": 3}.

    Raises ConfigError where the file is missing, is no parameter file, or a field is wrong.
    """
    import yaml  # not at the top: nodes read ROS parameters and do without (1 MB of the safety node's 80)

    try:
        document = yaml.safe_load(Path(path).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"config {path}: {' '.join(str(error).split())}") from None
    try:
        (node,) = document.values()
        tree = node["ros__parameters"]
    except (AttributeError, TypeError, KeyError, ValueError):
        raise ConfigError(f"config {path}: expected one ROS parameter block '/**: ros__parameters: ...'") from None
    tree = _as_tree(tree)
    for name, value in (overrides or {}).items():
        section, _, field = name.partition(".")
        if not isinstance(tree.setdefault(section, {}), dict) or not field:
            raise ConfigError(f"{name}: expected section.field=value")
        tree[section][field] = value
    return from_parameters(tree)


def dump(config: SystemConfig, path: str | Path) -> None:
    """Writes the resolved configuration as a ROS 2 parameter file."""
    import yaml

    document = {"/**": {"ros__parameters": to_parameters(config)}}
    Path(path).write_text(yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=100))


def parse_override(text: str) -> tuple[str, Any]:
    """'run.seed=3' -> ("run.seed", 3), the value read as YAML. Raises ConfigError."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigError(f"{text!r}: expected section.field=value")
    import yaml

    try:
        read = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(f"{text!r}: the value is not YAML") from None
    if isinstance(read, str):  # YAML 1.1 knows 1.0e-3 as a number, but not 1e-3
        with contextlib.suppress(ValueError):
            return name, float(read)
    return name, read


def spec_of(config: SystemConfig, joints: int) -> Spec:
    """Shapes of the system; `joints` is the number of joints of the robot."""
    task, camera = config.task, config.camera
    has_image = task.observe != "proprioception" and camera.height > 0
    has_proprioception = task.observe != "image"
    if config.robot.driver == "gymnasium":
        train = config.train
        size = camera.height if has_image else 0, camera.width if has_image else 0, 3, task.stack if has_image else 1
        state = train.gymnasium_state if has_proprioception else 0
        return Spec(*size, state, train.gymnasium_actions, train.gymnasium_choices)
    actions = task.controlled_joints
    choices = len(task.action_table) // actions
    policy_action = 1 if choices else actions
    return Spec(
        height=camera.height if has_image else 0,
        width=camera.width if has_image else 0,
        channels=camera.channels,
        stack=task.stack,
        # joint angles, joint speeds over their limit, previous action
        proprioception=2 * actions + policy_action if has_proprioception else 0,
        action=policy_action,
        choices=choices,
    )
