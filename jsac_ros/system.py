"""The node graph: which processes make a system, in the order in which they start.

The one description behind both ways to start it, `ros2 launch` and `jsac-ros run`. What can move the robot is gated
before it exists: safety starts first and stops last.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from jsac_ros import config as configuration
from jsac_ros import dds
from jsac_ros.config import ConfigError, SystemConfig
from jsac_ros.xla_settings import compilation_cache, learner_environment

# JAX for a batch of one; with `policy.compute_in_calling_thread` inference waits for no other thread and no other core.
ACTING = {"JAX_PLATFORMS": "cpu", "PJRT_NPROC": "1"}


@dataclass(frozen=True)
class Process:
    """One process of the system."""

    name: str
    restart: bool = True  # start it again when it crashes, a bounded number of times
    nice: int = 0
    environment: dict[str, str] = field(default_factory=dict)
    ends_system: bool = False  # when it exits with status 0, the run is complete
    stop_timeout_s: float = 10.0

    @property
    def module(self) -> str:
        return f"jsac_ros.nodes.{self.name}"


def processes(config: SystemConfig) -> list[Process]:
    """Every process of this system, first to start first."""
    driver, system = config.robot.driver, []
    if not config.shadow and driver != "gymnasium":
        system.append(Process("safety"))
    if driver == "sim":
        system.append(Process("sim_robot"))
    elif config.task.name == "ur5_reacher" and driver == "external":
        system.append(Process("target_display"))
    system.append(Process("reporter", nice=5, stop_timeout_s=45.0))
    system.append(Process("replay", nice=config.realtime.replay_nice))
    system.append(
        Process(
            "learner",
            nice=config.realtime.learner_nice,
            environment=compilation_cache() | learner_environment(),
            stop_timeout_s=60.0,  # its last checkpoint
        )
    )
    acts = "environment" if driver == "gymnasium" else "actor"
    system.append(Process(acts, environment=compilation_cache() | ACTING, ends_system=True))
    if config.bag.record:
        system.append(Process("recorder", nice=5))
    if driver == "bag":
        system.append(Process("player", restart=False, ends_system=True))
    shares = ("sim_robot", "player", "actor", "recorder") if _large_pictures(config) else ()
    return [replace(p, environment=p.environment | dds.profile(p.name in shares)) for p in system]


def _large_pictures(config: SystemConfig) -> bool:
    """Whether a picture may need more than one datagram."""
    camera, sim = config.camera, config.sim
    if camera.height == 0 or camera.compressed:
        return False
    height, width = camera.source_height, camera.source_width  # 0: not known
    if config.robot.driver == "sim":
        height, width = sim.camera_height, sim.camera_width
    return not 0 < 3 * height * width <= dds.DATAGRAM_BYTES


def stop_order(system: list[Process]) -> list[list[Process]]:
    """Groups to stop one after the other: first who commands, then who learns, then who guards, then the rest."""
    by_name = {process.name: process for process in system}
    groups = [
        ["player"], ["actor", "environment"], ["learner"], ["replay", "recorder"], ["safety"],
        ["sim_robot", "target_display"], ["reporter"],
    ]  # fmt: skip
    return [present for group in groups if (present := [by_name[name] for name in group if name in by_name])]


def shared_environment(run_folder: Path) -> dict[str, str]:
    """What every process of a system is started with; what the user has set already stays."""
    return dds.discovery() | {
        "JSAC_RUN_FOLDER": str(run_folder),
        "SKIP_DEFAULT_XML_FILE": "1",  # Fast DDS otherwise complains when the working folder has none
        "RCUTILS_LOGGING_USE_STDOUT": "1",
        "RCUTILS_COLORIZED_OUTPUT": "0",
        "RCUTILS_CONSOLE_OUTPUT_FORMAT": "[{severity}] [{time}] {name}: {message}",
        "PYTHONUNBUFFERED": "1",
        "OPENBLAS_NUM_THREADS": "1",  # its threads spin: beside busy cores one QR of the first weights took 10 s
    }


def check(config: SystemConfig) -> None:
    """What can be known to be wrong before anything starts. Raises ConfigError."""
    if config.robot.driver == "bag":
        if not config.bag.path:
            raise ConfigError("bag.path is ''; expected a rosbag2 folder (bag=FOLDER)")
        if not Path(config.bag.path).exists():
            raise ConfigError(f"bag.path {config.bag.path}: no such file or folder")
        if not config.shadow:
            raise ConfigError(f"robot.interface is {config.robot.interface!r}; expected 'none' with robot.driver 'bag'")
    if config.robot.driver != "gymnasium" and (config.agent.algorithm == "dqn") != bool(config.task.action_table):
        raise ConfigError(
            f"agent.algorithm is {config.agent.algorithm!r} and task.action_table has {len(config.task.action_table)} "
            "values; expected a table with 'dqn', and none with the others"
        )
    if (config.robot.driver == "gymnasium") != bool(config.train.gymnasium):
        raise ConfigError(
            f"robot.driver is {config.robot.driver!r} and train.gymnasium {config.train.gymnasium!r}; "
            "expected both or neither (jsac-ros train ENV --asynchronous)"
        )
    if config.learner.resume and not (Path(config.learner.resume) / "checkpoints").is_dir():
        raise ConfigError(f"learner.resume {config.learner.resume}: expected a run folder with checkpoints/ in it")


def make_run_folder(config: SystemConfig) -> Path:
    """Creates `<run.folder>/<run.name>_<date>_<time>` with the resolved configuration in it. Raises ConfigError."""
    base = Path(config.run.folder).expanduser().resolve()
    name = f"{config.run.name}_{time.strftime('%Y%m%d_%H%M%S')}"
    try:
        base.mkdir(parents=True, exist_ok=True)
        folder = base / name
        for number in range(2, 100):
            try:
                folder.mkdir()
                break
            except FileExistsError:  # two runs in one second
                folder = base / f"{name}_{number}"
        (folder / "logs").mkdir()
        configuration.dump(config, folder / "config.yaml")
    except OSError as error:
        raise ConfigError(f"run.folder {base}: {error.strerror}; expected a folder that can be written") from None
    return folder
