"""The configuration of a system: all sections except those in `devices.py`, and the whole."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from jsac_ros.config.devices import CameraConfig, GripperConfig, RobotParameters, SensorConfig
from jsac_ros.config.section import Between, Count, Floats, Name, NonNegative, OptionalTopic, Section, Share
from jsac_ros.spaces import Spaces


class RunConfig(Section):
    # name of the run: part of the run folder's and of shared memory names
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")] = "jsac"
    seed: Annotated[int, Field(ge=0)] = 0  # seed of all random numbers
    folder: str = "runs"  # folder in which run folders are created
    # path of a file with a secret of at least 16 bytes, the same on every computer; empty: a new secret in the run folder
    key: str = ""
    policy: str = ""  # folder of a policy to act with, without learner and replay: nothing is learned or stored
    sampled: bool = False  # with `policy`: sample actions, as during learning, instead of taking the best ones
    duration_s: NonNegative = 0.0  # duration of the run from the first tick; 0: until stopped
    report: bool = True  # write report.html, the learning curve and the policy's card at the end; else use `jsac-ros report`
    max_restarts: Annotated[int, Field(ge=0)] = 3  # restarts of one process within ten minutes; after more the system ends
    # longest time in which a thread of a process may do nothing: then the process is ended and restarted (safety: at most 5 s);
    # 0: never
    max_hang_s: Between(1.0, 3600.0, off=True) = 120.0


class ControlConfig(Section):
    """The control loop of the actor."""

    period_s: Between(0.001, 1.0) = 0.04  # control period: one observation, one action
    trigger: str = "clock"  # clock: ticks at a fixed rate; or the name of a camera: a tick starts when its frame arrives


class ActionParameters(Section):
    """One part of the action."""

    type: str  # name of an action part, or `module:Class`


class TaskParameters(Section):
    """The fields of every task; its plug-in adds its own."""

    type: str = "ur5_reacher"  # name of a task, or `module:Class`
    episode_s: Between(0.001, 86_400.0) = 4.0  # time limit of an episode, which is then truncated
    # names of the parts that the policy sees; empty: cameras, joints, previous action, sensors, the task's vectors
    observe: tuple[str, ...] = ()
    success_reward: float = 1.0  # reward when a person or a classifier reports success, which ends the episode
    failure_reward: float = 0.0  # reward when a person reports failure, or the contact rule ends the episode
    # folder of a success classifier (`jsac-ros classifier train`), whose success replaces the task's score
    classifier: str = ""
    # keep recording this long after success, to collect positive images for a classifier
    after_success_s: Between(0.0, 10.0) = 0.0


class SafetyConfig(Section):
    """Limits of the gate between the actor and the robot. Angles in rad, lengths and prismatic joints in m.

    Every limit has a range, so that no value disables a rule silently. Where the field allows it, 0 or '' disables. Ranges
    end at 6.3 rad/s, a turn per second, as the fastest joint of a table-top arm; at 3 m/s, as the fastest slide of a gantry;
    and at 50 rad/s^2, as a UR's controller executes a step with 40.
    """

    rate_hz: Between(50.0, 1000.0) = 125.0  # rate at which the safety node checks its inputs
    # lowest joint positions, rad (m if prismatic), one per joint; empty: those of the model, which can only be narrowed
    joint_lower: Floats = ()
    joint_upper: Floats = ()  # highest joint positions, likewise
    max_joint_speed_rad_s: Between(0.001, 6.3) = 0.7  # largest speed of a revolute joint
    max_joint_acceleration_rad_s2: Between(0.05, 50.0) = 1.4  # largest acceleration of a revolute joint
    max_joint_jerk_rad_s3: Between(1.0, 10_000.0, off=True) = 0.0  # largest jerk of a revolute joint; 0: not limited
    max_prismatic_speed_m_s: Between(0.001, 3.0) = 0.25  # largest speed of a prismatic joint
    max_prismatic_acceleration_m_s2: Between(0.01, 50.0) = 0.5  # largest acceleration of a prismatic joint
    max_prismatic_jerk_m_s3: Between(0.1, 10_000.0, off=True) = 0.0  # largest jerk of a prismatic joint; 0: not limited
    # lower corner of the box for the tool, x, y, z in m in `box_frame`; empty: no box
    box_lower: tuple[Between(-10.0, 10.0), ...] = ()
    box_upper: tuple[Between(-10.0, 10.0), ...] = ()  # upper corner of the box
    box_frame: Literal["base", "base_link"] = "base_link"  # frame of the box; of a UR, base is base_link rotated by pi about z
    # largest angle of the tool's z axis from its direction at robot.home; 0: not limited
    max_tilt_rad: Between(0.02, 3.1, off=True) = 0.0
    # largest rotation of the tool about its z axis from robot.home; 0: not limited
    max_turn_rad: Between(0.02, 3.1, off=True) = 0.0
    command_max_age_s: Between(0.01, 0.5) = 0.07  # how long a command is valid; then its motion brakes to rest
    joint_max_age_s: Between(0.005, 0.5) = 0.06  # if joint states are older than this: brake
    joint_jump_rad: Between(0.01, 1.0) = 0.2  # larger jumps between two joint states are not accepted
    following_error_rad: Between(0.005, 1.0) = 0.1  # hold if the robot deviates by more than this from its commanded position
    prismatic_jump_m: Between(0.002, 0.5) = 0.05  # as joint_jump_rad, for prismatic joints
    prismatic_following_error_m: Between(0.002, 0.5) = 0.02  # as following_error_rad, for prismatic joints
    restart_needs_person: bool = True  # a restarted safety process latches the emergency stop until a person releases it
    dead_man_topic: OptionalTopic = ""  # std_msgs/Bool that a person keeps true; empty: no dead man's switch
    dead_man_max_age_s: Between(0.05, 2.0) = 0.25  # how long the robot may move after the switch was last held
    # above this force of the tool, relative to the episode's start, the robot brakes and backs off; 0: not limited
    max_force_n: Between(1.0, 1000.0, off=True) = 0.0
    max_torque_nm: Between(0.1, 200.0, off=True) = 0.0  # the same for the torque; 0: not limited
    # how far the tool backs off along its path; 0: it stays where it comes to rest
    retreat_m: Between(0.001, 0.2, off=True) = 0.02
    wrench: str = ""  # name of the sensor that measures force and torque; its `max_age_s` and `stamps` apply
    wrench_frame: str = ""  # expected frame_id of the wrench messages; empty: that of the first
    # hold if the wrench reads the same numbers for longer than this; 0: not checked
    wrench_frozen_max_age_s: Between(0.02, 10.0, off=True) = 0.5
    max_base_speed_m_s: Between(0.001, 3.0) = 0.3  # largest forward speed of a mobile base
    max_base_turn_rad_s: Between(0.001, 10.0) = 1.5  # largest angular velocity of a mobile base
    max_base_acceleration_m_s2: Between(0.05, 20.0) = 0.5  # largest forward acceleration of a mobile base
    max_base_turn_acceleration_rad_s2: Between(0.05, 100.0) = 3.0  # largest angular acceleration of a mobile base


class RealtimeConfig(Section):
    """Real-time settings: each is tried, applied if the system allows it, and reported if it does not."""

    fifo_priority: Annotated[int, Field(ge=0, le=90)] = 10  # SCHED_FIFO priority of the control threads; 0: off
    actor_cpu: Annotated[int, Field(ge=-1)] = -1  # core to which the actor's control thread is pinned; -1: none
    # nice value of the learner; 19: SCHED_IDLE too, so that it yields immediately
    learner_nice: Annotated[int, Field(ge=0, le=19)] = 19
    replay_nice: Annotated[int, Field(ge=0, le=19)] = 10  # nice value of replay


class AgentParameters(Section):
    """The fields of every algorithm; its plug-in adds its own."""

    type: str = "jsac"  # name of an algorithm, or `module:Class`
    discount: Share = 0.99  # factor by which a reward one step later counts less
    n_step: Count = 1  # steps of the return before the bootstrap

    def misfits(self, spaces: Spaces) -> list[str]:
        """A line for each part of `spaces` that the algorithm cannot learn from; an algorithm extends these checks."""
        problems = [] if spaces.observation else ["observation is empty; expected at least one image or vector"]
        return problems if spaces.actions else [*problems, "action is empty; expected at least one part"]


class ReplayConfig(Section):
    capacity: Count = 100_000  # transitions in the store
    batch_size: Count = 256  # transitions per update
    folder: str = ""  # folder of the store; empty: `replay/` in the run folder
    slots: Annotated[int, Field(ge=2)] = 2  # batches in the ring between replay and learner
    warmup_steps: Annotated[int, Field(ge=0)] = 1000  # random actions and no learning until this many transitions are stored
    max_updates_per_step: NonNegative = 0.0  # largest update-to-data ratio: the learner waits for data; 0: no limit
    min_updates_per_step: NonNegative = 0.0  # smallest update-to-data ratio: actors wait for the learner; 0: none
    sampler: Literal["uniform", "prioritised"] = "uniform"  # uniform, or prioritised by the TD error
    priority_alpha: Share = 0.6  # exponent of the priorities; 0: uniform
    priority_beta: Share = 0.4  # initial exponent of the importance weights, which rises to 1
    priority_beta_steps: Count = 100_000  # batches until the exponent of the importance weights is 1
    demonstrations: str = ""  # folder of a replay store to mix into every batch; empty: none
    demonstration_share: Share = 0.5  # share of every batch that comes from demonstrations and interventions
    intervention_capacity: Annotated[int, Field(ge=100)] = 20_000  # transitions of a person that are kept for that share


class LearnerConfig(Section):
    publish_period: Count = 8  # updates between two publications of the policy
    checkpoint_period_s: Between(0.1, 86_400.0) = 60.0  # time between two checkpoints
    keep_checkpoints: Annotated[int, Field(ge=1, le=1000)] = 3  # newest checkpoints that are kept
    max_skipped_updates: Count = 100  # stop after this many updates in a row that are not finite, with the last good checkpoint
    policy_topic: bool = False  # also publish the parameters as a topic, for an actor on another host
    resume: str = ""  # run folder to continue from; empty: start anew
    encoder: str = ""  # folder of an exported policy with whose encoder learning starts; empty: none
    devices: Count = 1  # number of GPUs (or other JAX devices) that share every batch


class SimParameters(Section):
    """The fields of every simulator: drivers and cameras; its plug-in adds its own."""

    type: str = "kinematic"  # name of a simulator, or `module:Class`
    joint_rate_hz: Between(10.0, 1000.0) = 125.0  # rate of the joint states and of the controller
    camera_rate_hz: Between(0.1, 500.0) = 30.0  # rate of the images
    camera_delay_s: Between(0.0, 2.0) = 0.004  # time from the exposure to the message
    camera_noise: Between(0.0, 255.0) = 2.0  # standard deviation of the pixel noise, of 255


class PersonConfig(Section):
    """Who may take over from the policy, and how."""

    # who may take over from the policy. device: a person with a teleoperation device; expert: a script that acts at every
    # step; intervener: a script that takes over when the policy makes no progress. Scripts need a simulator with `sim_truth`
    by: Literal["nobody", "device", "expert", "intervener"] = "nobody"
    mapping: str = "gamepad"  # mapping of the person's device: gamepad, spacemouse, keyboard, leader, or the path of a file
    direct: bool = False  # read the device without a ROS driver, with the library that the mapping's `reader` names
    max_age_s: Between(0.05, 1.0) = 0.25  # for how long a person's last command is valid
    # if the device goes silent while the person acts: rest until the episode ends, or let the policy act again
    on_silence: Literal["rest", "policy"] = "rest"
    episodes: Annotated[int, Field(ge=0)] = 0  # record this many successful demonstrations, by the person alone; 0: none


class TrainConfig(Section):
    """Learning without ROS (`jsac-ros train`): in a Gymnasium environment, a reference, or the simulator of a system."""

    environment: str = ""  # Gymnasium id, `module:Id-v0`, name of a reference environment, or a configuration file
    steps: Count = 20_000  # environment steps in total
    evaluate_every: Count = 5000  # environment steps between two evaluations
    evaluation_episodes: Count = 5  # episodes per evaluation
    # evaluate the same number of episodes with sampled actions: in contact the mean may be worse
    evaluate_sampled: bool = False
    # end the training when an evaluation reaches this success rate; 0: never
    stop_at_success: Between(0.01, 1.0, off=True) = 0.0
    # at the end evaluate this many of the last policies again, in new episodes, and export the best
    candidates: Annotated[int, Field(ge=1, le=20)] = 1
    demonstrations: Annotated[int, Field(ge=0)] = 0  # record this many episodes of the scripted expert first
    # Of a Gymnasium environment: `module:name`, called with the environment before every episode; what it returns is called
    # with each observation and returns an action of the environment
    expert: str = ""
    options: tuple[str, ...] = ()  # name=value, arguments of the environment's constructor
    # Names of the observation's parts to learn from; `render` is the rendered image; empty: all parts of the environment's
    # observation space.
    observe: tuple[str, ...] = ()
    image_height: Count = 64  # height to which images are resized, pixels
    image_width: Count = 64  # width to which images are resized, pixels
    stack: Count = 3  # newest frames of an image that the policy sees together
    environments: Count = 1  # of a reference: environments in parallel; `steps` counts the steps of all
    updates_per_step: Count = 1  # of a reference: updates after one step of every environment


class DashboardConfig(Section):
    """The page in a browser on which a run is watched."""

    enabled: bool = False  # start the dashboard with the system
    # address to listen on; 0.0.0.0: other computers and phones may look and, with the run's token, press buttons
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8642  # port to listen on; if it is taken, or 0: any free port


class ReportConfig(Section):
    """Where metrics, settings and filmstrips of a run go, in addition to its tables."""

    # where metrics go besides the tables; wandb and mlflow need their package (pip install wandb, pip install mlflow)
    loggers: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = ("tensorboard",)
    project: str = ""  # project of Weights & Biases, experiment of MLflow; empty: run.name
    # shortest time between two filmstrips, ten times as long after an hour; 0: no filmstrips
    image_period_s: Between(10.0, 86_400.0, off=True) = 60.0

    @model_validator(mode="after")
    def _check(self):
        if not self.loggers:
            raise ValueError("loggers is []; expected at least one of tensorboard, wandb and mlflow")
        return self


class BagConfig(Section):
    path: str = ""  # rosbag2 folder or file, for robot.driver bag
    rate: Between(0.01, 100.0) = 1.0  # speed of the playback, as a factor
    action_topic: OptionalTopic = ""  # topic of the recorded commands, which are stored as the actions in shadow mode
    record: bool = False  # record this run to `bag/` in the run folder
    # For a recording of another system, offline: the task's score; 1 and the end for the last action of each episode
    # (a demonstration), or the newest value on `reward_topic` (std_msgs/Float64 or Float32)
    reward: Literal["task", "end", "topic"] = "task"
    reward_topic: OptionalTopic = ""  # topic of recorded rewards (std_msgs/Float64 or Float32), for `reward: topic`


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
