"""The whole configuration: one frozen model per component; `parameters.py` reads and writes the files.

A section with a `type` belongs to a plug-in: its fields are those of the plug-in's `Parameters`, which extends the base
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
Stamps = Literal["header", "arrival"]  # from what ages count: control/stamps.py
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]


def Between(low: float, high: float, off: bool = False):
    """A number in [low, high]. With `off`, 0 is allowed too and disables the limit; no other value does."""

    def check(value: float) -> float:
        if not (low <= value <= high or (off and value == 0)):
            raise ValueError(f"expected {'0 (off) or ' if off else ''}{low:g} to {high:g}")
        return value

    return Annotated[float, AfterValidator(check)]


class ConfigError(ValueError):
    """One line with the field, its value and what was expected; one line per error."""


class NoRoom(ConfigError):
    """The disk is full: nothing has to be changed but the room on it."""


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class RunConfig(Section):
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")] = "jsac"  # names shared memory and run folders
    seed: Annotated[int, Field(ge=0)] = 0
    folder: str = "runs"  # parent of the run folders
    key: str = ""  # file with a secret, the same on every computer of the run, 16 bytes or more; empty: the run folder's own
    policy: str = ""  # folder of a policy to act with, without learner and replay: nothing is learned or stored
    sampled: bool = False  # with a policy: sampled actions, as while learning, instead of the best ones
    duration_s: NonNegative = 0.0  # of the whole system, from the first tick; 0: until stopped
    report: bool = True  # write report.html, the learning curve and the policy's card at the end; else use `jsac-ros report`
    max_restarts: Annotated[int, Field(ge=0)] = 3  # of one process within ten minutes; then the system ends


class ControlConfig(Section):
    """The control loop of the actor."""

    period_s: Between(0.001, 1.0) = 0.04  # a shorter period cannot be kept, a longer one is too slow to control
    trigger: str = "clock"  # or the name of a camera: a tick starts when its frame arrives


class CameraConfig(Section):
    """One image of the observation; two may share a topic with different crops.

    The actor turns each image into one frame uint8 [height, width, channels]: RGB, or grey, or depth scaled to 8 bits.
    """

    topic: str = "camera/image_raw"  # sensor_msgs/Image, or CompressedImage where `compressed` is set
    compressed: bool = False
    source_height: Pixels = 0  # expected size on the topic; 0: any
    source_width: Pixels = 0
    crop: tuple[int, ...] = ()  # top, left, height, width of the source, before resizing
    height: Annotated[int, Field(ge=1, le=4096)] = 90  # of the frame, pixels
    width: Annotated[int, Field(ge=1, le=4096)] = 160
    channels: Literal[1, 3] = 3
    depth_range_m: Floats = ()  # nearest, farthest: depths that map to 0 and 255; empty: depth images are refused
    stack: Annotated[int, Field(ge=1, le=64)] = 3  # frames per observation
    max_age_s: Between(0.005, 2.0) = 0.2  # if older than this at a tick: hold; until then the robot moves on
    stamps: Stamps = "header"  # arrival: ages count from the arrival, for a driver that does not stamp or has another clock
    # The same pixels for longer than this, whatever their stamps: hold; 0: not checked. A real sensor's noise makes
    # every image different; images of a renderer without noise may be equal.
    frozen_max_age_s: Between(0.02, 10.0, off=True) = 0.0
    # Calibration: set position_m, orientation and intrinsics_px together. The dashboard then draws the safety box and the tool
    mount: Literal["base_link", "base", "tool"] = "base_link"  # what it is fastened to: the frame of its pose
    position_m: Floats = ()  # x, y, z of its optical centre
    orientation: Floats = ()  # quaternion x, y, z, w of its optical frame: x right, y down, z forward
    intrinsics_px: Floats = ()  # fx, fy, cx, cy of the undistorted source image: k[0], k[4], k[2], k[5] of its camera_info

    @property
    def is_calibrated(self) -> bool:
        return bool(self.intrinsics_px)

    @model_validator(mode="after")
    def _check_calibration(self):
        sizes = {"position_m": 3, "orientation": 4, "intrinsics_px": 4}
        given = {name: getattr(self, name) for name in sizes}
        for name, values in given.items():
            if len(values) != (sizes[name] if any(given.values()) else 0):
                raise ValueError(
                    f"{name} is {list(values)}; expected {sizes[name]} values, as another one of {', '.join(sizes)} is set"
                )
        if any(given.values()):
            length = math.hypot(*self.orientation)
            if abs(length - 1) > 0.01:
                raise ValueError(
                    f"orientation is {list(self.orientation)}, of length {length:.3f}; expected a quaternion of length 1"
                )
            if min(self.intrinsics_px[:2]) <= 0:
                raise ValueError(f"intrinsics_px is {list(self.intrinsics_px)}; expected fx and fy above 0")
        return self

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
    """Height and width of the images of a simulated camera, pixels: as configured, else twice the frame."""
    return camera.source_height or 2 * camera.height, camera.source_width or 2 * camera.width


class SensorConfig(Section):
    """Numbers from any topic as a vector of the observation."""

    topic: str
    type: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*/msg/[A-Za-z0-9]+$")]  # "geometry_msgs/msg/WrenchStamped"
    fields: tuple[str, ...]  # paths in the message: "wrench.force.x", "data", "data[2]"
    scale: tuple[Between(-1e9, 1e9), ...] = (1.0,)  # factor of a value; one for all or one per value
    unit: str = ""  # of the scaled values
    max_age_s: Between(0.005, 60.0, off=True) = (
        0.2  # if older than this at a tick: hold; 0: any age, and zeros until the first message
    )
    stamps: Stamps = "header"  # see cameras.NAME.stamps; the age of a type without a header counts from its arrival
    tare: bool = False  # subtract the value at the start of the episode
    clip: NonNegative = 0.0  # largest magnitude after scaling; 0: not clipped
    nan_as: Floats = ()  # [value] that replaces NaN, if a driver uses it for "not measured"; empty: NaN is refused

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
    open: float = 0.0  # value of the joint when fully open, rad (m if prismatic)
    closed: float = 0.8
    stroke_m: Between(0.001, 0.5) = 0.085  # between the fingers when fully open; 0 when closed
    max_speed_m_s: Between(0.001, 1.0) = 0.1  # speed limit of the safety node; 1: faster than electric grippers close
    max_force_n: Between(0.5, 500.0) = 40.0  # sent if the interface has a field for it; the strongest 2F-85 has 235
    interface: Literal["parallel_gripper_command", "gripper_command", "joint_trajectory", "float64_multi_array", "set_io"] = (
        "parallel_gripper_command"
    )
    topic: str = "robotiq_gripper_controller/gripper_cmd"  # of the action, the topic or the service
    output_pin: Annotated[int, Field(ge=0, le=17)] = 16  # set_io: digital output that closes it; 16 is the tool's first
    on_stop: Literal["hold", "open"] = "hold"  # what it does when safety stops the robot


class RobotParameters(Section):
    """The robot and the topics of its driver."""

    type: str = "ur5"
    # What moves: our simulator, a real driver, a recording, or a Gymnasium environment instead of a robot
    driver: Literal["sim", "external", "bag", "gymnasium"] = "sim"
    interface: Literal["trajectory", "velocity", "twist", "none"] = "trajectory"  # none: nothing is commanded
    joint_prefix: str = ""
    home: Floats = ()  # rad (m if prismatic), where episodes start, one value per joint; empty: zeros
    joint_states_topic: str = "joint_states"
    trajectory_topic: str = "scaled_joint_trajectory_controller/joint_trajectory"
    velocity_topic: str = "forward_velocity_controller/commands"
    twist_topic: str = "cmd_vel"
    twist_stamped: bool = False  # TwistStamped instead of Twist, as for Jazzy's diff_drive_controller
    program_running_topic: str = ""  # std_msgs/Bool, latched; empty: not watched
    speed_scaling_topic: str = ""  # std_msgs/Float64, percent (0..100) as from the UR driver; empty: not watched
    safety_mode_topic: str = ""  # ur_dashboard_msgs/SafetyMode, latched; empty, or the package is missing: not watched
    joint_max_age_s: Between(0.005, 2.0) = 0.1  # if joint states are older than this: hold
    stamps: Stamps = "header"  # of the joint states; see cameras.NAME.stamps


class ActionParameters(Section):
    """One part of the action."""

    type: str


class TaskParameters(Section):
    """The fields of every task; its plug-in adds its own."""

    type: str = "ur5_reacher"
    episode_s: Between(0.001, 86_400.0) = 4.0  # time limit; the episode is then truncated
    observe: tuple[str, ...] = ()  # names of the parts that the policy sees; empty: all but joint_effort
    success_reward: float = 1.0  # reward when a person reports success, which ends the episode
    failure_reward: float = 0.0  # reward when a person reports failure, or the contact rule ends the episode
    # Folder of a success classifier (`jsac-ros classifier train`), whose success replaces the task's score
    classifier: str = ""
    after_success_s: Between(0.0, 10.0) = (
        0.0  # keep recording this long after success, to collect positive images for a classifier
    )


class SafetyConfig(Section):
    """Limits of the gate between the actor and the robot. Angles in rad, lengths in m.

    Every limit has a range, so that no value disables a rule silently. Where the field allows it, 0 or '' disables.
    """

    rate_hz: Between(50.0, 1000.0) = 125.0  # a longer period adds to every age below, a shorter one cannot be kept
    joint_lower: Floats = ()  # empty: those of the model; values can only narrow them
    joint_upper: Floats = ()
    max_joint_speed_rad_s: Between(0.001, 6.3) = 0.7  # 6.3: one turn per second, the fastest joint of a table-top arm
    max_joint_acceleration_rad_s2: Between(0.05, 50.0) = 1.4  # 40 is what a UR's controller executes for a step
    max_joint_jerk_rad_s3: Between(1.0, 10_000.0, off=True) = 0.0  # 0: not limited
    box_lower: tuple[Between(-10.0, 10.0), ...] = ()  # x, y, z of the tool in `box_frame`; empty: no box
    box_upper: tuple[Between(-10.0, 10.0), ...] = ()
    box_frame: Literal["base", "base_link"] = "base_link"
    command_max_age_s: Between(0.01, 0.5) = 0.07  # how long an Action is valid; then its motion brakes to rest
    joint_max_age_s: Between(0.005, 0.5) = 0.06
    joint_jump_rad: Between(0.01, 1.0) = 0.2  # larger jumps between two joint states are not accepted
    following_error_rad: Between(0.005, 1.0) = 0.1  # larger deviations of the robot from its commanded position: hold
    restart_needs_person: bool = True
    dead_man_topic: str = ""  # std_msgs/Bool that a person keeps true; empty: none
    dead_man_max_age_s: Between(0.05, 2.0) = 0.25  # how long the robot moves on after a person releases it
    # Above these the robot brakes, backs off and the episode ends; magnitudes relative to the episode's start; 0: not limited
    max_force_n: Between(1.0, 1000.0, off=True) = 0.0
    max_torque_nm: Between(0.1, 200.0, off=True) = 0.0
    retreat_m: Between(0.001, 0.2, off=True) = 0.02  # of the tool, along the way it came; 0: it stays where it comes to rest
    wrench: str = ""  # name of the sensor that measures them; its `max_age_s` and `stamps` apply
    wrench_frame: str = ""  # the frame_id of its messages; empty: that of the first
    wrench_frozen_max_age_s: Between(0.02, 10.0, off=True) = 0.5  # the same numbers for longer: hold; 0: not checked
    max_base_speed_m_s: Between(0.001, 3.0) = 0.3
    max_base_turn_rad_s: Between(0.001, 10.0) = 1.5
    max_base_acceleration_m_s2: Between(0.05, 20.0) = 0.5
    max_base_turn_acceleration_rad_s2: Between(0.05, 100.0) = 3.0


class RealtimeConfig(Section):
    """Real-time settings: each is tried, applied if the system allows it, and reported if it does not."""

    fifo_priority: Annotated[int, Field(ge=0, le=90)] = 10  # SCHED_FIFO of the control threads; 0: off
    actor_cpu: Annotated[int, Field(ge=-1)] = -1  # pin the actor's control thread; -1: off
    learner_nice: Annotated[int, Field(ge=0, le=19)] = 19  # 19: SCHED_IDLE too, so that it yields at once
    replay_nice: Annotated[int, Field(ge=0, le=19)] = 10


class AgentParameters(Section):
    """The fields of every algorithm; its plug-in adds its own."""

    type: str = "jsac"
    discount: Share = 0.99
    n_step: Count = 1  # steps of the return before the bootstrap

    def misfits(self, spaces: Spaces) -> list[str]:
        """A line for each part of `spaces` that the algorithm cannot learn from; an algorithm extends these checks."""
        problems = [] if spaces.observation else ["observation is empty; expected at least one image or vector"]
        return problems if spaces.actions else [*problems, "action is empty; expected at least one part"]


class ReplayConfig(Section):
    capacity: Count = 100_000  # steps
    batch_size: Count = 256
    folder: str = ""  # of the store; empty: `replay/` in the run folder
    slots: Annotated[int, Field(ge=2)] = 2  # of the batch ring (figure 4 of the write-up)
    warmup_steps: Annotated[int, Field(ge=0)] = 1000  # random actions, no learning, until this many transitions are stored
    max_updates_per_step: NonNegative = 0.0  # largest update-to-data ratio; 0: no limit
    min_updates_per_step: NonNegative = 0.0  # smallest update-to-data ratio: actors wait for the learner; 0: none
    sampler: Literal["uniform", "prioritised"] = "uniform"
    priority_alpha: Share = 0.6
    priority_beta: Share = 0.4
    priority_beta_steps: Count = 100_000  # batches until beta is 1
    demonstrations: str = ""  # folder of a replay store to mix in; empty: none
    demonstration_share: Share = 0.5  # of every batch, from demonstrations and interventions together
    intervention_capacity: Annotated[int, Field(ge=100)] = 20_000  # transitions of a person that are kept for that share


class LearnerConfig(Section):
    publish_period: Count = 8  # K: updates between two publications of the policy
    checkpoint_period_s: Between(0.1, 86_400.0) = 60.0
    keep_checkpoints: Annotated[int, Field(ge=1, le=1000)] = 3
    max_skipped_updates: Count = 100  # after this many updates in a row that are not finite: stop with the last good checkpoint
    policy_topic: bool = False  # also publish the parameters as a topic, for an actor on another host
    resume: str = ""  # run folder to continue from
    encoder: str = ""  # folder of an exported policy; learning starts with its encoder
    devices: Count = 1  # GPUs (or other devices of JAX) that share every batch


class SimParameters(Section):
    """The fields of every simulator: drivers and cameras; its plug-in adds its own."""

    type: str = "kinematic"
    joint_rate_hz: Between(10.0, 1000.0) = 125.0  # of the joint states and of the controller
    camera_rate_hz: Between(0.1, 500.0) = 30.0
    camera_delay_s: Between(0.0, 2.0) = 0.004  # from the exposure to the message
    camera_noise: Between(0.0, 255.0) = 2.0  # standard deviation, of 255


class PersonConfig(Section):
    """Who may take over from the policy, and how."""

    # Who can override the policy. device: a person, by teleoperation. Scripted, only where the simulator publishes `sim_truth`:
    # expert acts at every step, intervener takes over when the policy makes no progress
    by: Literal["nobody", "device", "expert", "intervener"] = "nobody"
    mapping: str = "gamepad"  # of the device: gamepad, spacemouse, keyboard, leader, or the path of a file
    direct: bool = False  # read the device itself, where no ROS driver publishes it; the mapping's `reader` says how
    max_age_s: Between(0.05, 1.0) = 0.25  # a person's last command is valid for this long
    # A person who had taken over falls silent (unplugged, out of reach): rest until the episode ends, or the policy continues
    on_silence: Literal["rest", "policy"] = "rest"
    episodes: Annotated[int, Field(ge=0)] = 0  # demonstrations: only the person acts until so many succeeded; 0: none


class TrainConfig(Section):
    """Learning without ROS (`jsac-ros train`): in a Gymnasium environment, a reference, or the simulator of a system."""

    environment: str = ""  # Gymnasium id, or `module:Id-v0`, or the name of a reference, or a configuration's file
    steps: Count = 20_000
    evaluate_every: Count = 5000  # steps
    evaluation_episodes: Count = 5
    evaluate_sampled: bool = False  # as many again with sampled actions: in contact the mean may be worse
    stop_at_success: Between(0.01, 1.0, off=True) = 0.0  # success rate in an evaluation that ends the training; 0: none
    # Number of last evaluated policies that are evaluated again at the end, in new episodes; the best one is exported
    candidates: Annotated[int, Field(ge=1, le=20)] = 1
    demonstrations: Annotated[int, Field(ge=0)] = 0  # episodes of the task's scripted expert, recorded first
    # Names of the observation's parts to learn from; `render` is the rendered image; empty: all parts of the environment's
    # observation space.
    observe: tuple[str, ...] = ()
    image_height: Count = 64  # an image of another size is resized to this
    image_width: Count = 64
    stack: Count = 3  # frames per image
    # Only for references, whose whole loop is compiled
    environments: Count = 1  # in parallel; `steps` counts the steps of all
    updates_per_step: Count = 1  # after one step of every environment


class DashboardConfig(Section):
    """The page in a browser on which a run is watched."""

    enabled: bool = False
    host: str = "127.0.0.1"  # 0.0.0.0: other computers and phones may look, and with the run's token press buttons
    port: Annotated[int, Field(ge=0, le=65_535)] = 8642  # if taken, or 0: any free port


class ReportConfig(Section):
    """Where metrics, settings and filmstrips of a run go, in addition to its tables."""

    # wandb, mlflow: need their package (pip install wandb, pip install mlflow)
    loggers: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = ("tensorboard",)
    project: str = ""  # project of Weights & Biases, experiment of MLflow; empty: run.name
    # Shortest period between filmstrips of episodes, ten times as long after an hour; 0: none
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
    # For a recording of another system, offline: the task's score; 1 and the end for the last action of each episode
    # (a demonstration), or the newest value on `reward_topic` (std_msgs/Float64 or Float32)
    reward: Literal["task", "end", "topic"] = "task"
    reward_topic: str = ""


class Actions(Section):
    """The action parts by name; `parameters.from_parameters` gives it one field per part."""


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
