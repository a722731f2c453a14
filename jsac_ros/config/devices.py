"""The devices of a rig: cameras, sensors, grippers and the robot."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from jsac_ros.config.section import Between, Floats, NonNegative, Pixels, Section, Stamps


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
    # File of a pretrained encoder (`jsac-ros encoder convert`): the policy sees its features of the newest frame, part
    # NAME_features of the observation, instead of the image
    encoder: str = ""
    max_age_s: Between(0.005, 2.0) = 0.2  # if older than this at a tick: hold; until then the robot continues
    stamps: Stamps = "header"  # arrival: ages count from the arrival, for a driver without stamps or with another clock
    # The same pixels for longer than this, whatever their stamps: hold; 0: not checked. A real sensor's noise makes
    # every image different; images of a renderer without noise may be equal.
    frozen_max_age_s: Between(0.02, 10.0, off=True) = 0.0
    # Calibration: set position_m, orientation and intrinsics_px together. The dashboard then draws the safety box and the tool
    mount: Literal["base_link", "base", "tool"] = "base_link"  # frame of position_m and orientation
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
    max_speed_m_s: Between(0.001, 1.0) = 0.1  # speed limit of the safety node; electric grippers are slower than 1
    max_force_n: Between(0.5, 500.0) = 40.0  # sent if the interface has a field for it; a Robotiq 2F-85 reaches 235
    interface: Literal["parallel_gripper_command", "gripper_command", "joint_trajectory", "float64_multi_array", "set_io"] = (
        "parallel_gripper_command"
    )
    topic: str = "robotiq_gripper_controller/gripper_cmd"  # of the action, the topic or the service
    output_pin: Annotated[int, Field(ge=0, le=17)] = 16  # set_io: digital output that closes it; 16 is the tool's first
    on_stop: Literal["hold", "open"] = "hold"  # when safety stops the robot


class RobotParameters(Section):
    """The robot and the topics of its driver."""

    type: str = "ur5"
    # What moves: our simulator, a real driver, a recording, or a Gymnasium environment instead of a robot
    driver: Literal["sim", "external", "bag", "gymnasium"] = "sim"
    # pose: of the tool, for a Cartesian compliance controller; none: nothing is commanded
    interface: Literal["trajectory", "velocity", "pose", "twist", "none"] = "trajectory"
    joint_prefix: str = ""
    home: Floats = ()  # rad (m if prismatic), where episodes start, one value per joint; empty: zeros
    joint_states_topic: str = "joint_states"
    trajectory_topic: str = "scaled_joint_trajectory_controller/joint_trajectory"
    velocity_topic: str = "forward_velocity_controller/commands"
    pose_topic: str = "cartesian_compliance_controller/target_frame"
    pose_frame: Literal["base", "base_link"] = "base_link"  # in which poses are sent, after `joint_prefix` in their frame_id
    twist_topic: str = "cmd_vel"
    twist_stamped: bool = False  # TwistStamped instead of Twist, as for Jazzy's diff_drive_controller
    program_running_topic: str = ""  # std_msgs/Bool, latched; empty: not watched
    speed_scaling_topic: str = ""  # std_msgs/Float64, percent (0..100) as from the UR driver; empty: not watched
    safety_mode_topic: str = ""  # ur_dashboard_msgs/SafetyMode, latched; empty, or the package is missing: not watched
    joint_max_age_s: Between(0.005, 2.0) = 0.1  # if joint states are older than this: hold
    stamps: Stamps = "header"  # of the joint states; see cameras.NAME.stamps
