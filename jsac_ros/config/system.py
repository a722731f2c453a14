"""The configuration of a system: all sections except those in `devices.py`, and the whole."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from jsac_ros.config.devices import CameraConfig, GripperConfig, RobotParameters, SensorConfig
from jsac_ros.config.section import Between, Count, Floats, Name, NonNegative, Section, Share
from jsac_ros.spaces import Spaces


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
    """Limits of the gate between the actor and the robot. Angles in rad, lengths and prismatic joints in m.

    Every limit has a range, so that no value disables a rule silently. Where the field allows it, 0 or '' disables.
    """

    rate_hz: Between(50.0, 1000.0) = 125.0  # a longer period adds to every age below, a shorter one cannot be kept
    joint_lower: Floats = ()  # empty: those of the model; values can only narrow them
    joint_upper: Floats = ()
    # Of revolute joints; those of prismatic joints follow below
    max_joint_speed_rad_s: Between(0.001, 6.3) = 0.7  # 6.3: one turn per second, the fastest joint of a table-top arm
    max_joint_acceleration_rad_s2: Between(0.05, 50.0) = 1.4  # 40 is what a UR's controller executes for a step
    max_joint_jerk_rad_s3: Between(1.0, 10_000.0, off=True) = 0.0  # 0: not limited
    max_prismatic_speed_m_s: Between(0.001, 3.0) = 0.25  # 3: the fastest slide of a gantry
    max_prismatic_acceleration_m_s2: Between(0.01, 50.0) = 0.5
    max_prismatic_jerk_m_s3: Between(0.1, 10_000.0, off=True) = 0.0  # 0: not limited
    box_lower: tuple[Between(-10.0, 10.0), ...] = ()  # x, y, z of the tool in `box_frame`; empty: no box
    box_upper: tuple[Between(-10.0, 10.0), ...] = ()
    box_frame: Literal["base", "base_link"] = "base_link"
    # Part of the box: by how much the tool may be rotated from its orientation at robot.home; 0: not limited
    max_tilt_rad: Between(0.02, 3.1, off=True) = 0.0  # of the tool's z axis
    max_turn_rad: Between(0.02, 3.1, off=True) = 0.0  # about that axis
    command_max_age_s: Between(0.01, 0.5) = 0.07  # how long an Action is valid; then its motion brakes to rest
    joint_max_age_s: Between(0.005, 0.5) = 0.06
    joint_jump_rad: Between(0.01, 1.0) = 0.2  # larger jumps between two joint states are not accepted
    following_error_rad: Between(0.005, 1.0) = 0.1  # larger deviations of the robot from its commanded position: hold
    prismatic_jump_m: Between(0.002, 0.5) = 0.05  # the same two limits of prismatic joints
    prismatic_following_error_m: Between(0.002, 0.5) = 0.02
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

    # Who can override the policy. device: a person, by teleoperation. Scripted, only if the simulator publishes `sim_truth`:
    # expert acts at every step, intervener takes over when the policy makes no progress
    by: Literal["nobody", "device", "expert", "intervener"] = "nobody"
    mapping: str = "gamepad"  # of the device: gamepad, spacemouse, keyboard, leader, or the path of a file
    direct: bool = False  # read the device without a ROS driver, with the library that the mapping's `reader` names
    max_age_s: Between(0.05, 1.0) = 0.25  # for which a person's last command is valid
    # If the device goes silent while the person acts: rest until the episode ends, or let the policy act again
    on_silence: Literal["rest", "policy"] = "rest"
    episodes: Annotated[int, Field(ge=0)] = 0  # record this many successful demonstrations, by the person alone; 0: none


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
    demonstrations: Annotated[int, Field(ge=0)] = 0  # episodes of the task's scripted expert, or of `expert`, recorded first
    # Of a Gymnasium environment: `module:name`, called with the environment before every episode; what it returns is called
    # with each observation and returns an action of the environment
    expert: str = ""
    options: tuple[str, ...] = ()  # name=value, for the constructor of a Gymnasium environment
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
