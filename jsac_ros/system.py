"""The node graph: the processes of a system, in the order in which they start.

`ros2 launch` and `jsac-ros run` both start a system from this description. Safety starts first and stops last, so that the gate
exists whenever another process could move the robot.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from jsac_ros import dds, domain, parameters, plugins, provenance
from jsac_ros.agent import checkpoint_files, policy_files
from jsac_ros.agent.parameters import check_spaces
from jsac_ros.config import ConfigError, SystemConfig, source_size
from jsac_ros.control import devices, teleop
from jsac_ros.control.safety import gate_of
from jsac_ros.control.sensors import Sensor
from jsac_ros.replay import folders
from jsac_ros.replay.format import read_header
from jsac_ros.report import loggers
from jsac_ros.rig import Rig, with_copies, write_spaces
from jsac_ros.ros_types import message_class, request_class
from jsac_ros.run_key import RunKey
from jsac_ros.sim.sim import check_sim
from jsac_ros.spaces import Spaces
from jsac_ros.supervision import Process
from jsac_ros.tasks.expert import hand_of
from jsac_ros.xla_settings import compilation_cache, learner_environment

# JAX settings for inference; with `policy.compute_in_calling_thread` it waits for no other thread and no other core.
ACTING = {"JAX_PLATFORMS": "cpu", "PJRT_NPROC": "1"}
BAG_GRACE_S = 3.0  # after the last message of a recording, for the actor to close its episode and replay to store it
PERSON = {"device": "teleop", "expert": "scripted_person", "intervener": "scripted_person"}  # person.by -> its process
SIGNING = {"actor", "environment", "replay"}  # they need the run's key
LATCHED = {"JSAC_SAFETY_LATCHED": "the safety process had died and was restarted"}


def processes(config: SystemConfig) -> list[Process]:
    """All processes of this system, in the order in which they start."""
    driver, system = config.robot.driver, []
    if not config.shadow and driver != "gymnasium":
        system.append(Process("safety", restart_environment=LATCHED if config.safety.restart_needs_person else {}))
    if driver == "sim":
        system.append(Process("sim_robot"))
    elif driver == "external":
        system += companions_of(config)
    system.append(Process("reporter", nice=5, stop_timeout_s=45.0))
    if not config.run.policy:
        system.append(Process("replay", nice=config.realtime.replay_nice))
    if not (config.person.episodes or config.run.policy):
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
    if module := PERSON.get(config.person.by):
        system.append(Process(module, is_optional=True))
    if config.dashboard.enabled:
        system.append(Process("dashboard", nice=5, is_optional=True))
    if config.bag.record:
        system.append(Process("recorder", nice=5))
    if driver == "bag":
        system.append(Process("player", restart=False, ends_system=True, grace_s=BAG_GRACE_S))
    shares = ("sim_robot", "player", "actor", "recorder", "dashboard") if _large_images(config) else ()
    return [replace(p, environment=p.environment | dds.profile(p.name in shares)) for p in system]


def companions_of(config: SystemConfig) -> list[Process]:
    """Additional processes that the task needs with a real robot."""
    return [Process(module.rpartition(".")[2], module=module) for module in plugins.load("task", config.task.type).companions]


def _large_images(config: SystemConfig) -> bool:
    """Whether an image may need more than one datagram."""
    sizes = [(camera.source_height, camera.source_width) for camera in config.cameras.values() if not camera.compressed]
    if config.robot.driver == "sim":  # the simulator knows the size of its images
        sizes = [source_size(camera) for camera in config.cameras.values() if not camera.compressed]
    return any(not 0 < 3 * height * width <= dds.DATAGRAM_BYTES for height, width in sizes)


def stop_order(system: list[Process]) -> list[list[Process]]:
    """Groups to stop in order: first the processes that command, then learner and replay, then safety, then the rest."""
    by_name = {process.name: process for process in system}
    groups = [
        ["player", "keyboard", "teleop", "scripted_person"], ["actor", "environment"], ["learner"],
        ["replay", "recorder"], ["safety"], ["sim_robot"], ["dashboard"], ["reporter"],
    ]  # fmt: skip
    known = {name for group in groups for name in group}
    groups.insert(-1, [name for name in by_name if name not in known])  # nodes that a task added
    return [present for group in groups if (present := [by_name[name] for name in group if name in by_name])]


def command(process: Process) -> list[str]:
    """The command of a process, without its ROS arguments."""
    return [sys.executable, "-m", process.module]


def ros_arguments(run_folder: Path, namespace: str, name: str) -> list[str]:
    """The arguments after `--ros-args` for the process of this name. Its log is its output."""
    parameters = str(run_folder / "config.yaml")
    shared = ["--params-file", parameters, "--remap", f"__ns:={namespace}", "--disable-external-lib-logs"]
    return [*shared, *dds.enclave(name)]


def shared_environment(run_folder: Path) -> dict[str, str]:
    """The environment variables of every process of a system; those that the user has set are kept."""
    return dds.discovery() | {
        "JSAC_RUN_FOLDER": str(run_folder),
        "SKIP_DEFAULT_XML_FILE": "1",  # otherwise Fast DDS complains if the working folder has none
        "RCUTILS_LOGGING_USE_STDOUT": "1",
        "RCUTILS_COLORIZED_OUTPUT": "0",
        "RCUTILS_CONSOLE_OUTPUT_FORMAT": "[{severity}] [{time}] {name}: {message}",
        "PYTHONUNBUFFERED": "1",
        "OPENBLAS_NUM_THREADS": "1",  # its threads spin: beside busy cores one QR of the initial parameters took 10 s
    }


def check(config: SystemConfig, here: Collection[str] | None = None) -> None:
    """Checks everything that can be checked before anything starts. Raises ConfigError with all errors, one line each.

    here: names of the processes that start on this computer, which needs what they need; None: all.
    """
    names = {process.name for process in processes(config)} if here is None else set(here)
    found = [*_wrong_files(config, names), *([] if config.robot.driver == "gymnasium" else _misfits(config, names))]
    if found:
        raise ConfigError("\n".join(found))


def findings(checks: Iterable[Callable[[], object]]) -> list[str]:
    """The error lines of all checks that raise ConfigError, each line once. Another exception is of a plug-in, and one line."""
    found: dict[str, None] = {}
    for check_part in checks:
        try:
            with plugins.named("configuration"):
                check_part()
        except ConfigError as error:
            found |= dict.fromkeys(str(error).splitlines())
    return list(found)


def _wrong_files(config: SystemConfig, here: set[str]) -> list[str]:
    found = []
    if config.robot.driver == "bag":
        if not config.bag.path:
            found.append("bag.path is ''; expected a rosbag2 folder (bag=FOLDER)")
        elif not Path(config.bag.path).exists():
            found.append(f"bag.path {config.bag.path}: no such file or folder")
        if not config.shadow:
            found.append(f"robot.interface is {config.robot.interface!r}; expected 'none' with robot.driver 'bag'")
    if config.learner.resume and not (Path(config.learner.resume) / "checkpoints").is_dir():
        found.append(f"learner.resume {config.learner.resume}: expected a run folder with checkpoints/ in it")
    if config.run.key and here & SIGNING:
        found += findings([lambda: RunKey.of(config)])
    if config.robot.driver == "external" and (companions := plugins.load("task", config.task.type)).companions:
        if here & {process.name for process in companions_of(config)}:
            found += companions.companion_problems()
    return [*found, *loggers.problems(config.report)]


def _check_policy(config: SystemConfig, spaces: Spaces) -> None:
    """Raises ConfigError if `run.policy` cannot be read or belongs to another rig."""
    try:
        policy_files.check(Path(config.run.policy), spaces)
    except ValueError as error:
        raise ConfigError(f"run.policy {config.run.policy}: {error}") from None


def _check_learner(config: SystemConfig, spaces: Spaces) -> None:
    """Raises ConfigError if learning cannot start from `learner.resume` or `learner.encoder`."""
    resume, encoder = Path(config.learner.resume) / "checkpoints", config.learner.encoder
    try:
        if config.learner.resume and resume.is_dir():
            checkpoint_files.check_newest(resume, config.agent.type, spaces)
    except ValueError as error:
        raise ConfigError(f"learner.resume: {error}") from None
    try:
        if encoder:
            policy_files.about_of(Path(encoder))
    except ValueError as error:
        raise ConfigError(f"learner.encoder {encoder}: {error}") from None


def _check_demonstrations(config: SystemConfig, spaces: Spaces) -> None:
    """Raises ConfigError if `replay.demonstrations` is not a store, or that of another rig."""
    folder = Path(config.replay.demonstrations).expanduser()
    folders.compare(folder, read_header(folder)[0], spaces)


def _misfits(config: SystemConfig, here: set[str]) -> list[str]:
    """One line for each inconsistency in the rig, the agent, the limits and the simulator."""
    rig = Rig(config)
    found = rig.problems()
    checks: list[Callable[[], object]] = [] if config.shadow else [lambda: gate_of(config, rig.robot)]
    if not found:
        checks.append(lambda: check_spaces(config.agent, rig.spaces))
        if config.run.policy:
            checks.append(lambda: _check_policy(config, rig.spaces))
        if "learner" in here:
            checks.append(lambda: _check_learner(config, rig.spaces))
        if config.replay.demonstrations and "replay" in here:
            checks.append(lambda: _check_demonstrations(config, rig.spaces))
        if PERSON.get(config.person.by) == "scripted_person":
            checks.append(lambda: _check_person(config, rig))
        if config.person.by == "device":
            checks.append(lambda: _check_device(config, rig))
        if not config.shadow:
            checks.append(rig.check_devices)
        if not domain.missing_ros():  # else all message types are missing, which `expect_ros` reports in one line
            checks += [lambda sensor=sensor: _check_type(sensor) for sensor in rig.sensors.values()]
            if not config.shadow:
                checks += [lambda gripper=gripper: request_class(gripper) for gripper in rig.grippers.values()]
        if "sim_robot" in here:
            checks.append(lambda: _check_simulation(rig))
    return list(dict.fromkeys([*found, *findings(checks)]))


def _check_person(config: SystemConfig, rig: Rig) -> None:
    """Raises ConfigError if the task has no scripted person, or if there is no simulator with its ground truth."""
    if config.robot.driver != "sim":
        raise ConfigError(f"person.by is {config.person.by!r}; expected robot.driver 'sim', not {config.robot.driver!r}")
    hand_of(rig)


def _check_device(config: SystemConfig, rig: Rig) -> None:
    """Raises ConfigError if the person's device does not fit the actions, or cannot be read directly."""
    mapping = teleop.load(config.person.mapping)
    teleop.device_of(mapping, rig)
    if config.person.direct:
        devices.opener_of(mapping)


def _check_simulation(rig: Rig) -> None:
    """Raises ConfigError if the rig cannot be simulated."""
    with closing(plugins.make("sim", rig.config.sim.type, rig.config.sim, rig, rig.config.run.seed)) as sim:
        check_sim(sim, rig.sensors)


def _check_type(sensor: Sensor) -> None:
    """Raises ConfigError if its message type is not installed or has no such fields."""
    where = f"sensors.{sensor.name}"
    message = message_class(sensor.config.type, f"{where}.type")()
    try:
        sensor.check(message)
    except ValueError as error:
        raise ConfigError(f"{where}.fields holds {error}") from None


def make_run_folder(config: SystemConfig, spaces: Spaces | None = None) -> Path:
    """Creates `<run.folder>/<run.name>_<date>_<time>` with the resolved configuration and the spaces in it.

    spaces: default those of the rig. Raises ConfigError.
    """
    spaces = Rig.of(config).spaces if spaces is None else spaces
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
        parameters.dump(with_copies(config, folder), folder / "config.yaml")
        write_spaces(folder, spaces)
        provenance.write(folder)
    except OSError as error:
        raise ConfigError(f"run.folder {base}: {error.strerror}; expected a writable folder") from None
    return folder
