"""The devices of a rig: cameras, sensors, grippers and the robot."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from jsac_ros.config.section import Between, Floats, NonNegative, OptionalTopic, Pixels, Section, Stamps, Topic


class CameraConfig(Section):
    """One image of the observation; two may share a topic with different crops.

    The actor turns each image into one frame uint8 [height, width, channels]: RGB, or grey, or depth scaled to 8 bits.
    """

    topic: Topic = "camera/image_raw"  # topic of sensor_msgs/Image, or of CompressedImage with `compressed`
    compressed: bool = False  # subscribe to sensor_msgs/CompressedImage
    source_height: Pixels = 0  # expected height of the images on the topic, pixels; 0: any
    source_width: Pixels = 0  # expected width of the images on the topic, pixels; 0: any
    crop: tuple[int, ...] = ()  # top, left, height, width of the source image, before resizing; empty: the whole image
    height: Annotated[int, Field(ge=1, le=4096)] = 90  # height of the frame, pixels
    width: Annotated[int, Field(ge=1, le=4096)] = 160  # width of the frame, pixels
    channels: Literal[1, 3] = 3  # 3: RGB, 1: grey or depth
    depth_range_m: Floats = ()  # nearest, farthest: depths that map to 0 and 255; empty: depth images are refused
    stack: Annotated[int, Field(ge=1, le=64)] = 3  # newest frames that the policy sees together
    # File of a pretrained encoder (`jsac-ros encoder convert`): the policy sees its features of the newest frame, part
    # NAME_features of the observation, instead of the image
    encoder: str = ""
    max_age_s: Between(0.005, 2.0) = 0.2  # if the newest image is older than this at a tick: hold
    # header: ages count from the stamp; arrival: from the arrival, for a driver without stamps or with another clock
    stamps: Stamps = "header"
    # The same pixels for longer than this, whatever their stamps: hold; 0: not checked. A real sensor's noise makes
    # every image different; images of a renderer without noise may be equal.
    frozen_max_age_s: Between(0.02, 10.0, off=True) = 0.0
    # calibration, for the dashboard: frame of position_m and orientation
    mount: Literal["base_link", "base", "tool"] = "base_link"
    position_m: Floats = ()  # calibration: x, y, z of the optical centre
    orientation: Floats = ()  # calibration: quaternion x, y, z, w of the optical frame (x right, y down, z forward)
    # calibration: fx, fy, cx, cy of the undistorted source image: k[0], k[4], k[2], k[5] of camera_info
    intrinsics_px: Floats = ()

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

    topic: Topic  # topic of the messages
    # message type, such as geometry_msgs/msg/WrenchStamped
    type: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*/msg/[A-Za-z0-9]+$")]
    fields: tuple[str, ...]  # paths in the message: "wrench.force.x", "data", "data[2]", "data[0:6]"
    scale: tuple[Between(-1e9, 1e9), ...] = (1.0,)  # factor of the values, one for all or one per value
    unit: str = ""  # unit of the scaled values
    # if the newest value is older than this at a tick: hold; 0: any age, and zeros until the first message
    max_age_s: Between(0.005, 60.0, off=True) = 0.2
    stamps: Stamps = "header"  # as cameras.NAME.stamps; the age of a type without a header counts from its arrival
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

    joint: str = "robotiq_85_left_knuckle_joint"  # name of the gripper's joint in the robot's joint states
    open: float = 0.0  # value of the joint when fully open, rad (m if prismatic)
    closed: float = 0.8  # value of the joint when fully closed, rad (m if prismatic)
    stroke_m: Between(0.001, 0.5) = 0.085  # distance between the fingers when fully open
    max_speed_m_s: Between(0.001, 1.0) = 0.1  # largest speed of the fingers, kept by the safety node
    max_force_n: Between(0.5, 500.0) = 40.0  # sent if the interface has a field for it
    # how the driver is commanded
    interface: Literal["parallel_gripper_command", "gripper_command", "joint_trajectory", "float64_multi_array", "set_io"] = (
        "parallel_gripper_command"
    )
    topic: Topic = "robotiq_gripper_controller/gripper_cmd"  # topic, action or service of the driver
    # with set_io: digital output that closes the gripper; 16 and 17 are the tool's
    output_pin: Annotated[int, Field(ge=0, le=17)] = 16
    on_stop: Literal["hold", "open"] = "hold"  # what the gripper does when safety stops the robot


class RobotParameters(Section):
    """The robot and the topics of its driver."""

    type: str = "ur5"  # name of a robot, or `module:Class`
    # sim: the simulator; external: a real driver; bag: a recording; gymnasium: an environment
    driver: Literal["sim", "external", "bag", "gymnasium"] = "sim"
    # command interface; pose: of the tool, for a Cartesian compliance controller; none: nothing is commanded
    interface: Literal["trajectory", "velocity", "pose", "twist", "none"] = "trajectory"
    joint_prefix: str = ""  # put in front of the joint names, such as the driver's tf_prefix
    home: Floats = ()  # where episodes start, rad (m if prismatic), one value per joint; empty: zeros
    joint_states_topic: Topic = "joint_states"  # sensor_msgs/JointState from the driver
    # trajectory_msgs/JointTrajectory to the driver, with interface trajectory
    trajectory_topic: Topic = "scaled_joint_trajectory_controller/joint_trajectory"
    # std_msgs/Float64MultiArray to the driver, with interface velocity
    velocity_topic: Topic = "forward_velocity_controller/commands"
    # geometry_msgs/PoseStamped to the driver, with interface pose
    pose_topic: Topic = "cartesian_compliance_controller/target_frame"
    pose_frame: Literal["base", "base_link"] = "base_link"  # frame of the poses; their frame_id has joint_prefix in front
    twist_topic: Topic = "cmd_vel"  # geometry_msgs/Twist or TwistStamped to the driver, with interface twist
    twist_stamped: bool = False  # TwistStamped instead of Twist, as for Jazzy's diff_drive_controller
    program_running_topic: OptionalTopic = ""  # std_msgs/Bool, latched: whether the robot's program runs; empty: not watched
    speed_scaling_topic: OptionalTopic = ""  # std_msgs/Float64, percent (0..100) as from the UR driver; empty: not watched
    # ur_dashboard_msgs/SafetyMode, latched; not watched if empty or the package is missing
    safety_mode_topic: OptionalTopic = ""
    joint_max_age_s: Between(0.005, 2.0) = 0.1  # if joint states are older than this at a tick: hold
    stamps: Stamps = "header"  # as cameras.NAME.stamps, for the joint states
