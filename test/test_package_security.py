"""config/security/policy.xml allows each process what docs/reference/topics.md says of it, and nothing else."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import rclpy

from jsac_ros import parameters, system
from jsac_ros.control import teleop
from jsac_ros.nodes.operator import SERVICES
from jsac_ros.nodes.recorder import topics as recorded
from jsac_ros.nodes.reporter import STATUSES
from jsac_ros.nodes.sim_description import info_topic
from jsac_ros.rig import Rig

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "config" / "security"
ENCLAVES = ElementTree.parse(FOLDER / "policy.xml").getroot().findall("enclaves/enclave")
INCLUDE = "{http://www.w3.org/2001/XInclude}include"
REFERENCE = (ROOT / "docs" / "reference" / "topics.md").read_text()
DOES = {
    ("topics", "publish"): "publishes", ("topics", "subscribe"): "subscribes",
    ("services", "reply"): "serves", ("services", "request"): "calls",
}  # fmt: skip

# Process -> the sections of the reference whose publishers, subscriptions and services it has.
SECTIONS = {
    "safety": ("safety", "measurements", "robot_commands"), "replay": ("replay",),
    "actor": ("actor", "actor_reports", "actor_requests", "driver_topics", "reset_services", "transitions"),
    "learner": ("learner",), "environment": ("environment", "transitions"), "reporter": ("reporter",),
    "dashboard": ("dashboard", "dashboard_watch", "console"), "keyboard": ("keyboard", "console"), "teleop": ("teleop", "console"),
    "scripted_person": ("scripted_person",), "sim_robot": ("sim_robot", "sim_description", "sim_modes"), "target_display": ("target_display",),
    "recorder": (), "player": (), "operator": (), "listening": ("listening", "clocks"),
    "looking": ("looking",),
}  # fmt: skip
OF_NODES = {"operator": "operator_*", "listening": "doctor*", "looking": "looking_*"}
NO_JSAC_NODE = ("operator", "listening", "looking")  # without what `late_diagnostics` publishes

CONFIG = parameters.load(ROOT / "config" / "ur5_reacher.yaml", {"learner.policy_topic": True})
RIG, ROBOT = Rig(CONFIG), CONFIG.robot
SOURCES = [source.topic for source in RIG.sources.values()]
CAMERAS = [RIG.sources[name].topic for name in RIG.images]
SENSORS = [RIG.sources[name].topic for name in RIG.sensors]
# What the reference shows as an expression, for this configuration. One that is new fails here.
VALUES = {
    ("actor", "publishes", "topic"): ["policy_command", "shadow_command"],
    ("actor_requests", "serves", "~/{verb}"): [f"~/{name[6:]}" for name in SERVICES.values() if name.startswith("actor/")],
    ("console", "calls", "service"): list(SERVICES.values()),
    ("dashboard", "subscribes", "topic"): [*STATUSES, "episode"],
    ("dashboard_watch", "subscribes", "topic"): [
        *CAMERAS, "policy_command", "shadow_command", "applied_action", "person_action", "human_action",
        ROBOT.joint_states_topic,
    ],
    ("reporter", "subscribes", "topic"): list(STATUSES),
    ("driver_topics", "subscribes", "topic"): CAMERAS,
    ("driver_topics", "subscribes", "source.topic"): SENSORS,
    ("listening", "subscribes", "source.topic"): SOURCES,
    ("listening", "subscribes", "topic"): ["/doctor_*"],
    ("listening", "publishes", "topic"): ["/doctor_*"],
    ("clocks", "calls", "{other}/get_parameters"): ["/*/get_parameters"],
    ("looking", "subscribes", "source.topic"): SOURCES,
    ("measurements", "subscribes", "topic"): [ROBOT.speed_scaling_topic],
    ("measurements", "subscribes", "wrench_topic"): [],
    ("reset_services", "calls", "name"): ["new_target"],
    ("robot_commands", "publishes", "topic"): [ROBOT.trajectory_topic],
    ("safety", "subscribes", "topic"): [
        "policy_command", "emergency_stop", ROBOT.program_running_topic, ROBOT.safety_mode_topic,
    ],
    ("sim_description", "publishes", "info_topic(topic)"): [info_topic(topic) for topic in CAMERAS],
    ("sim_modes", "publishes", "topic"): [f"io_and_status_controller/{mode}" for mode in ("robot_mode", "safety_mode")],
    ("sim_robot", "publishes", "running"): [ROBOT.program_running_topic],
    ("sim_robot", "publishes", "scaling"): [ROBOT.speed_scaling_topic],
    ("sim_robot", "publishes", "topic"): CAMERAS,
    ("sim_robot", "publishes", "sensor.config.topic"): SENSORS,
    ("sim_robot", "subscribes", "robot.pose_topic"): [],
    ("sim_robot", "subscribes", "robot.twist_topic"): [],
    ("teleop", "subscribes", "mapping.buttons_topic"): [],
    ("teleop", "subscribes", "mapping.topic"): [
        teleop.load(file.stem).topic for file in (ROOT / "config" / "teleop").glob("*.yaml")
    ],
}  # fmt: skip
OTHERS = {  # what these two publish and subscribe to is made by jsac_ros/bags, which the reference does not show
    "recorder": {("subscribes", topic) for topic in recorded(RIG)},
    "player": {("publishes", topic) for topic in [*SOURCES, "recorded_action"]},
    "operator": {("calls", service) for service in SERVICES.values()},
}


def rows(section: str) -> list[tuple[str, str]]:
    """(what it does, name or expression) of each row of a section of the reference."""
    text = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", REFERENCE, re.MULTILINE | re.DOTALL)
    return re.findall(r"^\| (\w+) \| `(.*?)` \|", text[1], re.MULTILINE)


def named(section: str, does: str, name: str) -> list[str]:
    """The topics or services that a row stands for."""
    if (section, does, name) in VALUES:
        return VALUES[section, does, name]
    if name.startswith("robot."):
        return [getattr(ROBOT, name.removeprefix("robot."))]
    assert "_" in name or name.startswith(("/", "~/")) or name in ("keys", "episode", "transitions"), f"not in VALUES: {name}"
    return [name]


def expected(process: str) -> set[tuple[str, str]]:
    sections = (*SECTIONS[process], *(() if process in NO_JSAC_NODE else ("late_diagnostics",)))
    found = {(does, name) for section in sections for does, row in rows(section) for name in named(section, does, row)}
    return found | OTHERS.get(process, set())


def allowed(profile: ElementTree.Element) -> list[tuple[str, str]]:
    return [
        (does, name.text)
        for group in profile
        for (kind, attribute), does in DOES.items()
        if group.tag == kind and group.get(attribute) == "ALLOW"
        for name in group
    ]


@pytest.mark.parametrize("process", SECTIONS)
def test_a_process_may_do_what_it_does_and_nothing_else(process):
    (enclave,) = [enclave for enclave in ENCLAVES if enclave.get("path") == f"/jsac_ros/{process}"]
    (profile,) = enclave.findall("profiles/profile")
    given = allowed(profile)
    assert sorted(given) == sorted(expected(process))  # sorted lists: nothing twice
    assert profile.get("node") == OF_NODES.get(process, process)
    assert profile.find(INCLUDE).get("href") == "common/node.xml" and (FOLDER / "common" / "node.xml").exists()


def test_every_process_has_an_enclave_that_it_names():
    nodes = {file.stem for file in (ROOT / "jsac_ros" / "nodes").glob("*.py") if "\ndef main(" in file.read_text()}
    assert {enclave.get("path") for enclave in ENCLAVES} == {f"/jsac_ros/{name}" for name in SECTIONS} and nodes == {*SECTIONS}
    for name in NO_JSAC_NODE:  # the others are started with `system.ros_arguments`
        assert f'dds.enclave("{name}")' in (ROOT / "jsac_ros" / "nodes" / f"{name}.py").read_text()


def test_the_enclave_of_a_process_reaches_the_graph(tmp_path):
    parameters.dump(CONFIG, tmp_path / "config.yaml")
    context = rclpy.Context()
    rclpy.init(args=["--ros-args", *system.ros_arguments(tmp_path, "/left", "replay")], context=context)
    node = rclpy.create_node("replay", context=context)
    try:
        assert ("replay", "/left", "/jsac_ros/replay") in node.get_node_names_and_namespaces_with_enclaves()
        common = ElementTree.parse(FOLDER / "common" / "node.xml").getroot()
        served = {
            ("serves", f"~/{name.rpartition('/')[2]}")
            for name, _ in node.get_service_names_and_types_by_node("replay", "/left")
        }
        published = {("publishes", name) for name, _ in node.get_publisher_names_and_types_by_node("replay", "/left")}
        assert {*allowed(common)} == served | published | {("subscribes", "/clock")}
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)


def test_a_name_stands_for_itself_or_is_listed():
    assert named("replay", "publishes", "replay_status") == ["replay_status"]
    with pytest.raises(AssertionError, match="not in VALUES: topic"):
        named("replay", "publishes", "topic")
