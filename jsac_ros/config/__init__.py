"""The whole configuration: one frozen model per component; `parameters.py` reads and writes the files.

A section with a `type` belongs to a plug-in: its fields are those of the plug-in's `Parameters`, which extends the base
given here (`RobotParameters`, `ActionParameters`, `TaskParameters`, `AgentParameters`, `SimParameters`).
"""

from jsac_ros.config.devices import CameraConfig, GripperConfig, RobotParameters, SensorConfig, source_size
from jsac_ros.config.section import (
    Between,
    ConfigError,
    Count,
    Floats,
    NonNegative,
    NoRoom,
    OptionalTopic,
    Positive,
    Section,
    Share,
    Stamps,
    Topic,
)
from jsac_ros.config.system import (
    ActionParameters,
    Actions,
    AgentParameters,
    DashboardConfig,
    PersonConfig,
    ReplayConfig,
    ReportConfig,
    RunConfig,
    SafetyConfig,
    SimParameters,
    SystemConfig,
    TaskParameters,
    TrainConfig,
)

__all__ = [
    "ActionParameters", "Actions", "AgentParameters", "Between", "CameraConfig", "ConfigError", "Count", "DashboardConfig",
    "Floats", "GripperConfig", "NoRoom", "NonNegative", "OptionalTopic", "PersonConfig", "Positive", "ReplayConfig",
    "ReportConfig", "RobotParameters", "RunConfig", "SafetyConfig", "Section", "SensorConfig", "Share", "SimParameters",
    "Stamps", "SystemConfig", "TaskParameters", "Topic", "TrainConfig", "source_size",
]  # fmt: skip
