"""Everything that can be configured: one frozen model a component; `parameters.py` reads and writes the files.

A section with a `type` is a plug-in's: its fields are those of the plug-in's own `Parameters`, which extends the base
given here (`RobotParameters`, `ActionParameters`, `TaskParameters`, `AgentParameters`, `SimParameters`).
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from jsac_ros.spaces import Spaces

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(gt=0)]
Floats = tuple[float, ...]
Pixels = Annotated[int, Field(ge=0, le=16_384)]
Stamps = Literal["header", "arrival"]  # what ages count from: control/stamps.py
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]


def Between(low: float, high: float, off: bool = False):
    """A number in [low, high]. With `off` 0 is taken too and switches off what the number limits: nothing else does."""

    def check(value: float) -> float:
        if not (low <= value <= high or (off and value == 0)):
            raise ValueError(f"expected {'0 (off) or ' if off else ''}{low:g} to {high:g}")
        return value

    return Annotated[float, AfterValidator(check)]


class ConfigError(ValueError):
    """One line that names the field, its value and what was expected; several findings are several lines."""


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class RunConfig(Section):
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")] = "jsac"  # names shared memory and run folders
    seed: Annotated[int, Field(ge=0)] = 0
    folder: str = "runs"  # run folders are made in it
    key: str = ""  # file with a secret that every computer of the run has, 16 bytes or more; empty: the run folder's own
    policy: str = ""  # folder of a policy that acts, without learner and replay: nothing is learned or stored
    sampled: bool = False  # with a policy: actions as drawn while learning, not the best ones
    duration_s: NonNegative = 0.0  # of the whole system, from the first tick; 0: until stopped
    report: bool = True  # made at the end: report.html, the learning curve, the policy's card; else by `jsac-ros report`
    max_restarts: Annotated[int, Field(ge=0)] = 3  # of one process within ten minutes; then everything ends


class ControlConfig(Section):
    """The control loop of the actor."""

    period_s: Between(0.001, 1.0) = 0.04  # faster is not kept, slower is no control
    trigger: str = "clock"  # or the name of a camera: a tick begins when its frame arrives


class CameraConfig(Section):
    """One image of the observation; two may share a topic with different crops.

    The actor turns each image into one frame uint8 [height, width, channels]: RGB, or grey, or depth scaled to 8 bits.
    """

    topic: str = "camera/image_raw"  # sensor_msgs/Image, or CompressedImage where `compressed` is set
    compressed: bool = False
    source_height: Pixels = 0  # what is expected on the topic; 0: any
    source_width: Pixels = 0
    crop: tuple[int, ...] = ()  # top, left, height, width of the source, before resizing
    height: Annotated[int, Field(ge=1, le=4096)] = 90  # of the frame, pixels
    width: Annotated[int, Field(ge=1, le=4096)] = 160
    channels: Literal[1, 3] = 3
    depth_range_m: Floats = ()  # nearest, farthest: depths that become 0 and 255; empty: depth images are refused
    stack: Annotated[int, Field(ge=1, le=64)] = 3  # frames of an observation
    max_age_s: Between(0.005, 2.0) = 0.2  # older than this at a tick: hold; the robot moves on for so long
    stamps: Stamps = "header"  # arrival: ages count from it, for a driver that does not stamp or has another clock
    # The same pixels for longer than this, whatever their stamps: hold; 0: not looked at. A real sensor's noise makes
    # every image another one; a renderer without noise may not.
    frozen_max_age_s: Between(0.02, 10.0, off=True) = 0.0

    @model_validator(mode="after")
    def _check(self):
        if len(self.crop) not in (0, 4):
            raise ValueError(f"crop is {list(self.crop)}; expected [] or [top, left, height, width]")
        if self.crop:
            top, left, height, width = self.crop
            if min(top, left) < 0 or min(height, width) < 1 or max(self.crop) > 16_384:
                raise ValueError(f"crop is {list(self.crop)}; expected top, left >= 0 and height, width >= 1")
            for name, end, source in (("height", top + height, self.source_height), ("width", left + width, self.source_width)):
                if 0 < source < end:
                    raise ValueError(f"crop is {list(self.crop)}; expected it inside source_{name} {source}")
        if self.depth_range_m:
            limits = self.depth_range_m
            if len(limits) != 2 or not 0 <= limits[0] < limits[1] < math.inf:
                raise ValueError(f"depth_range_m is {list(limits)}; expected [] or [nearest, farthest], 0 or more")
            if self.channels != 1:
                raise ValueError(f"channels is {self.channels}; expected 1 with a depth_range_m")
        return self


def source_size(camera: CameraConfig) -> tuple[int, int]:
    """Height and width of what a simulated camera publishes, pixels: as configured, else twice the frame."""
    return camera.source_height or 2 * camera.height, camera.source_width or 2 * camera.width


class SensorConfig(Section):
    """Numbers of any topic as a vector of the observation."""

    topic: str
    type: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*/msg/[A-Za-z0-9]+$")]  # "geometry_msgs/msg/WrenchStamped"
    fields: tuple[str, ...]  # paths in the message: "wrench.force.x", "data", "data[2]"
    scale: tuple[Between(-1e9, 1e9), ...] = (1.0,)  # what a value is multiplied with; one for all or one each
    unit: str = ""  # of the scaled values
    max_age_s: Between(0.005, 60.0, off=True) = (
        0.2  # older than this at a tick: hold; 0: of any age, and zeros until the first comes
    )
    stamps: Stamps = "header"  # see cameras.NAME.stamps; a type without a header counts from its arrival
    tare: bool = False  # subtract what was measured when the episode began
    clip: NonNegative = 0.0  # largest magnitude after scaling; 0: not clipped
    nan_as: Floats = ()  # [value] that stands for NaN, where a driver means "not measured"; empty: NaN is refused

    @model_validator(mode="after")
    def _check(self):
        if not self.fields:
            raise ValueError("fields is []; expected at least one path such as 'data'")
        if len(self.nan_as) > 1:
            raise ValueError(f"nan_as is {list(self.nan_as)}; expected [] or one value")
        return self


class GripperConfig(Section):
    """A device that opens and closes; commanded and observed in metres between its fingers."""

    joint: str = "robotiq_85_left_knuckle_joint"  # in the robot's joint states
    open: float = 0.0  # value of the joint when fully open, rad (m where prismatic)
    closed: float = 0.8
    stroke_m: Between(0.001, 0.5) = 0.085  # between the fingers when fully open; 0 when closed
    max_speed_m_s: Between(0.001, 1.0) = 0.1  # what safety lets through; 1: faster than any electric gripper closes
    max_force_n: Between(0.5, 500.0) = 40.0  # asked for where the interface has a place for it; 235 is a 2F-85 at its most
    interface: Literal["parallel_gripper_command", "gripper_command", "joint_trajectory", "float64_multi_array", "set_io"] = (
        "parallel_gripper_command"
    )
    topic: str = "robotiq_gripper_controller/gripper_cmd"  # of the action, the topic or the service
    output_pin: Annotated[int, Field(ge=0, le=17)] = 16  # set_io: the digital output that closes it; 16 is the tool's first
    on_stop: Literal["hold", "open"] = "hold"  # when safety stops the robot


class RobotParameters(Section):
    """Which robot, and the topics of its driver."""

    type: str = "ur5"
    # What moves: our simulator, a real driver, a recording, or a Gymnasium environment in the robot's place
    driver: Literal["sim", "external", "bag", "gymnasium"] = "sim"
    interface: Literal["trajectory", "velocity", "twist", "none"] = "trajectory"  # none: nothing is commanded
    joint_prefix: str = ""
    home: Floats = ()  # rad (m where prismatic), where episodes start, one a joint; empty: zeros
    joint_states_topic: str = "joint_states"
    trajectory_topic: str = "scaled_joint_trajectory_controller/joint_trajectory"
    velocity_topic: str = "forward_velocity_controller/commands"
    twist_topic: str = "cmd_vel"
    twist_stamped: bool = False  # TwistStamped, as Jazzy's diff_drive_controller takes it, in the place of Twist
    program_running_topic: str = ""  # std_msgs/Bool, latched; empty: not watched
    speed_scaling_topic: str = ""  # std_msgs/Float64, percent (0..100) as the UR driver's; empty: not watched
    safety_mode_topic: str = ""  # ur_dashboard_msgs/SafetyMode, latched; empty, or the package is missing: not watched
    joint_max_age_s: Between(0.005, 2.0) = 0.1  # joint states older than this: hold
    stamps: Stamps = "header"  # of the joint states; see cameras.NAME.stamps


class ActionParameters(Section):
    """One part of the action."""

    type: str


class TaskParameters(Section):
    """What every task has; its plug-in adds what is particular to it."""

    type: str = "ur5_reacher"
    episode_s: Between(0.001, 86_400.0) = 4.0  # time limit, which truncates
    observe: tuple[str, ...] = ()  # names of the parts that the policy sees; empty: all but joint_effort
    success_reward: float = 1.0  # earned when a person says that it succeeded, which ends the episode
    failure_reward: float = 0.0  # likewise when a person says that it failed, or the contact rule ends it
    # Folder of a success classifier (`jsac-ros classifier train`), whose word counts in the place of the task's score
    classifier: str = ""
    after_success_s: Between(0.0, 10.0) = (
        0.0  # keep recording this long after success, to collect positive images for a classifier
    )


class SafetyConfig(Section):
    """Limits of the gate between the actor and the robot. Angles in rad, lengths in m.

    Every limit has a range, so that no value disables a rule silently. Where the field allows it, 0 or '' disables.
    """

    rate_hz: Between(50.0, 1000.0) = 125.0  # slower adds a period to every age below, faster is not kept
    joint_lower: Floats = ()  # empty: those of the model, which these can only narrow
    joint_upper: Floats = ()
    max_joint_speed_rad_s: Between(0.001, 6.3) = 0.7  # 6.3: a turn a second, the fastest joint of an arm on a table
    max_joint_acceleration_rad_s2: Between(0.05, 50.0) = 1.4  # 40 is what a UR's controller executes of a step
    max_joint_jerk_rad_s3: Between(1.0, 10_000.0, off=True) = 0.0  # 0: not limited
    box_lower: tuple[Between(-10.0, 10.0), ...] = ()  # x, y, z of the tool in `box_frame`; empty: no box
    box_upper: tuple[Between(-10.0, 10.0), ...] = ()
    box_frame: Literal["base", "base_link"] = "base_link"
    command_max_age_s: Between(0.01, 0.5) = 0.07  # how long an Action is good for; then its motion brakes to rest
    joint_max_age_s: Between(0.005, 0.5) = 0.06
    joint_jump_rad: Between(0.01, 1.0) = 0.2  # between two joint states: not believable
    following_error_rad: Between(0.005, 1.0) = 0.1  # between where the robot is and where it was told to be: hold
    restart_needs_person: bool = True
    dead_man_topic: str = ""  # std_msgs/Bool that a person keeps true; empty: none
    dead_man_max_age_s: Between(0.05, 2.0) = 0.25  # a person lets go and the robot moves on for so long
    # Over these the robot brakes, backs off and the episode ends; magnitudes since the episode began; 0: not limited
    max_force_n: Between(1.0, 1000.0, off=True) = 0.0
    max_torque_nm: Between(0.1, 200.0, off=True) = 0.0
    retreat_m: Between(0.001, 0.2, off=True) = 0.02  # of the tool, by the way it came; 0: it stays where it comes to rest
    wrench: str = ""  # name of the sensor that measures them, whose `max_age_s` and `stamps` count; needed where one is limited
    wrench_frame: str = ""  # the frame_id that its messages have; empty: that of the first
    wrench_frozen_max_age_s: Between(0.02, 10.0, off=True) = 0.5  # the very same numbers for longer: hold; 0: not looked at
    max_base_speed_m_s: Between(0.001, 3.0) = 0.3
    max_base_turn_rad_s: Between(0.001, 10.0) = 1.5
    max_base_acceleration_m_s2: Between(0.05, 20.0) = 0.5
    max_base_turn_acceleration_rad_s2: Between(0.05, 100.0) = 3.0


class RealtimeConfig(Section):
    """Each is tried, applied where the system allows it, and reported where it does not."""

    fifo_priority: Annotated[int, Field(ge=0, le=90)] = 10  # SCHED_FIFO of the control threads; 0: off
    actor_cpu: Annotated[int, Field(ge=-1)] = -1  # pin the actor's control thread; -1: off
    learner_nice: Annotated[int, Field(ge=0, le=19)] = 19  # 19: SCHED_IDLE too, so that it makes way at once
    replay_nice: Annotated[int, Field(ge=0, le=19)] = 10


class AgentParameters(Section):
    """What every algorithm has; the rest of its parameters are its plug-in's."""

    type: str = "jsac"
    discount: Share = 0.99
    n_step: Count = 1  # steps of the return before the bootstrap

    def misfits(self, spaces: Spaces) -> list[str]:
        """A line for each part of `spaces` that the algorithm cannot learn from; it adds what it needs beyond these."""
        problems = [] if spaces.observation else ["observation is empty; expected at least one image or vector"]
        return problems if spaces.actions else [*problems, "action is empty; expected at least one part"]


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
    demonstration_share: Share = 0.5  # of every batch, for demonstrations and interventions together
    intervention_capacity: Annotated[int, Field(ge=100)] = 20_000  # steps of a person in a run that are kept for that share


class LearnerConfig(Section):
    publish_period: Count = 8  # K: updates between two publications of the policy
    checkpoint_period_s: Between(0.1, 86_400.0) = 60.0
    keep_checkpoints: Annotated[int, Field(ge=1, le=1000)] = 3
    max_skipped_updates: Count = 100  # not finite, in a row: stop with the last good checkpoint
    policy_topic: bool = False  # also publish the parameters as a topic, for an actor on another host
    resume: str = ""  # run folder to continue from
    encoder: str = ""  # folder of an exported policy; learning begins with its encoder
    devices: Count = 1  # GPUs (or other devices of JAX) that share every batch


class SimParameters(Section):
    """The simulator in the robot's place: what every driver and camera has; its plug-in adds what is particular to it."""

    type: str = "kinematic"
    joint_rate_hz: Between(10.0, 1000.0) = 125.0  # of the joint states and of the controller
    camera_rate_hz: Between(0.1, 500.0) = 30.0
    camera_delay_s: Between(0.0, 2.0) = 0.004  # from the exposure to the message
    camera_noise: Between(0.0, 255.0) = 2.0  # standard deviation, of 255


class PersonConfig(Section):
    """Who may take over from the policy, and how."""

    # Who can override the policy. device: a person, by teleoperation. Scripted, only where the simulator publishes `sim_truth`:
    # expert acts in every step, intervener takes over when the policy makes no progress
    by: Literal["nobody", "device", "expert", "intervener"] = "nobody"
    mapping: str = "gamepad"  # of the device: gamepad, spacemouse, keyboard, or the path of a file
    max_age_s: Between(0.05, 1.0) = 0.25  # a person's last command is valid for this long
    # A person who had taken over falls silent (unplugged, out of reach): rest until the episode ends, or the policy continues
    on_silence: Literal["rest", "policy"] = "rest"
    episodes: Annotated[int, Field(ge=0)] = 0  # demonstrations: the person alone acts until so many succeeded; 0: none


class TrainConfig(Section):
    """Learning without ROS (`jsac-ros train`): in a Gymnasium environment, one of the references', or a configured system's
    simulator."""

    environment: str = ""  # Gymnasium id, or `module:Id-v0`, or the name of a reference, or a configuration's file
    steps: Count = 20_000
    evaluate_every: Count = 5000  # steps
    evaluation_episodes: Count = 5
    evaluate_sampled: bool = False  # as many again with sampled actions: in contact the mean may be the worse policy
    stop_at_success: Between(0.01, 1.0, off=True) = 0.0  # share of an evaluation's episodes that ends the training; 0: none
    # Policies of the last evaluations that are tried again at the end, in fresh episodes; the best one is what is exported
    candidates: Annotated[int, Field(ge=1, le=20)] = 1
    demonstrations: Annotated[int, Field(ge=0)] = 0  # episodes of the task's scripted expert, recorded first
    # Names of the observation's parts that are learned from, `render` being what the environment draws; empty: all of its
    # observation space.
    observe: tuple[str, ...] = ()
    image_height: Count = 64  # an image of another size is resized to this
    image_width: Count = 64
    stack: Count = 3  # frames of every image
    # Of the references alone, whose whole loop is compiled
    environments: Count = 1  # side by side; `steps` are those of all together
    updates_per_step: Count = 1  # after one step of every environment


class DashboardConfig(Section):
    """The page on which a run is watched."""

    enabled: bool = False
    host: str = "127.0.0.1"  # 0.0.0.0: other computers and phones may look, and with the run's token do
    port: Annotated[int, Field(ge=0, le=65_535)] = 8642  # taken or 0: any that is free


class ReportConfig(Section):
    """Where the numbers, settings and pictures of a run go beside its tables."""

    # wandb, mlflow: those packages have to be installed (pip install wandb, pip install mlflow)
    loggers: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = ("tensorboard",)
    project: str = ""  # of Weights & Biases, experiment of MLflow; empty: run.name
    # A filmstrip of an episode at most so often, a tenth as often after an hour; 0: none
    image_period_s: Between(10.0, 86_400.0, off=True) = 60.0

    @model_validator(mode="after")
    def _check(self):
        if not self.loggers:
            raise ValueError("loggers is []; expected at least one of tensorboard, wandb and mlflow")
        return self


class BagConfig(Section):
    path: str = ""  # rosbag2 folder or file, for driver "bag"
    rate: Between(0.01, 100.0) = 1.0
    action_topic: str = ""  # std_msgs/Float64MultiArray of recorded commands, stored as the actions in shadow mode
    record: bool = False  # write this run's topics to `bag/` in the run folder
    # Of a foreign recording read offline: what the task says, 1 and the end for the last action of each episode
    # (a demonstration), or the newest value on `reward_topic` (std_msgs/Float64 or Float32)
    reward: Literal["task", "end", "topic"] = "task"
    reward_topic: str = ""


class Actions(Section):
    """The parts of the action by name; `parameters.from_parameters` gives it one field a part."""


class SystemConfig(Section):
    """One whole system, as one file describes it."""

    run: RunConfig = RunConfig()
    control: ControlConfig = ControlConfig()
    cameras: dict[Name, CameraConfig] = {}
    sensors: dict[Name, SensorConfig] = {}
    robot: RobotParameters = RobotParameters()
    grippers: dict[Name, GripperConfig] = {}
    actions: Actions = Actions()
    task: TaskParameters = TaskParameters()
    safety: SafetyConfig = SafetyConfig()
    realtime: RealtimeConfig = RealtimeConfig()
    agent: AgentParameters = AgentParameters()
    replay: ReplayConfig = ReplayConfig()
    learner: LearnerConfig = LearnerConfig()
    sim: SimParameters = SimParameters()
    person: PersonConfig = PersonConfig()
    bag: BagConfig = BagConfig()
    dashboard: DashboardConfig = DashboardConfig()
    report: ReportConfig = ReportConfig()
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _check(self):
        if self.control.trigger != "clock" and self.control.trigger not in self.cameras:
            cameras = ", ".join(self.cameras) or "none configured"
            raise ValueError(f"control.trigger is {self.control.trigger!r}; expected 'clock' or a camera ({cameras})")
        return self

    @property
    def shadow(self) -> bool:
        """Actions are computed and logged; nothing is commanded."""
        return self.robot.interface == "none"
