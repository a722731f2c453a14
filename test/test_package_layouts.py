"""The layouts in config/layouts show topics and fields that a system has: Foxglove, PlotJuggler, RViz, diagnostics."""

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

from jsac_ros import parameters, shipped
from jsac_ros.nodes.recorder import topics
from jsac_ros.rig import Rig
from jsac_ros.robots import ur
from jsac_ros.ros_types import message_class

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "config" / "layouts"
IMAGE, DIAGNOSTICS = "sensor_msgs/msg/Image", "/diagnostics"
OF_THE_DRIVER = {"/robot_description"}  # or of the simulator: nodes/sim_description.py


def published():
    """Topic -> type of everything that a recording of a shipped configuration holds, and of what else is published."""
    found = {DIAGNOSTICS: "diagnostic_msgs/msg/DiagnosticArray"}
    for name in shipped.names():
        config = parameters.load(name)
        if config.cameras:
            found |= {"/" + topic.lstrip("/"): kind for topic, kind in topics(Rig.of(config)).items()}
    return found


TOPICS = published()


def check_fields(topic, path):
    """`path`: [".field", "[2]", "{name==...}", ...]. Raises AssertionError where the messages of `topic` have no such field."""
    kind = TOPICS[topic]
    for step in path:
        if step[0] in ".{":
            name = re.match(r"\w+", step[1:])[0]
            fields = message_class(kind.removeprefix("sequence<").removesuffix(">")).get_fields_and_field_types()
            assert name in fields, f"{topic} has no {name}"
            if step[0] == ".":
                kind = re.sub(r"(\w+)/(\w+)(?=>|$)", r"\1/msg/\2", fields[name])
        else:
            length = re.search(r"\[(\d+)\]$", kind)
            assert length or kind.startswith("sequence<"), f"{topic}: {kind} is no list"
            assert step == "[:]" or not length or int(step[1:-1]) < int(length[1]), f"{topic}: {kind} has no {step}"
            kind = re.sub(r"\[\d+\]$", "", kind).removeprefix("sequence<").removesuffix(">")
    assert kind in ("float", "double", "boolean", "string") or re.fullmatch(r"u?int\d+", kind), f"{topic}{path} is a {kind}"


def foxglove_names(document):
    """Topics of images, of anything else, and paths in messages."""
    images, others, paths = set(), set(), []
    for panel in document["configById"].values():
        images |= {panel.get("imageMode", {}).get("imageTopic")} - {None}
        others |= {panel.get("topicToRender")} - {None}
        others |= {layer["topic"] for layer in panel.get("layers", {}).values() if layer.get("topic")}
        drawn = [*panel.get("paths", []), *([panel["xAxisPath"]] if "xAxisPath" in panel else [])]
        assert all(path["enabled"] for path in drawn)
        paths += [path["value"] for path in drawn]
    return images, others, paths


def test_foxglove_shows_what_is_published():
    images, others, paths = foxglove_names(json.loads((FOLDER / "foxglove.json").read_text()))
    assert images and {TOPICS[topic] for topic in images} == {IMAGE}
    assert others - OF_THE_DRIVER <= set(TOPICS)
    seen = set()
    for path in paths:
        topic, rest = re.fullmatch(r"(/[\w/]+)(.+)", path).groups()
        check_fields(topic, re.findall(r"\.\w+|\[[^]]*\]|\{[^}]*\}", rest))
        seen.add(topic)
    assert seen >= {
        "/policy_command", "/applied_action", "/joint_states", "/safety_status", "/episode", "/control_status",
        "/training_status", "/transitions",
    }  # fmt: skip
    (tool,) = {name for path in paths for name in re.findall(r'name=="(\w+)"', path)}
    assert tool in parameters.load("lift").task.observe


def test_foxglove_arranges_every_panel_once():
    document = json.loads((FOLDER / "foxglove.json").read_text())

    def leaves(part):
        return [part] if isinstance(part, str) else leaves(part["first"]) + leaves(part["second"])

    assert sorted(leaves(document["layout"])) == sorted(document["configById"])


def test_plotjuggler_plots_what_is_published():
    root = ElementTree.parse(FOLDER / "plotjuggler.xml").getroot()
    names = [curve.get("name") for curve in root.iter("curve")]
    for splitter in root.iter("DockSplitter"):
        assert len(list(splitter)) == int(splitter.get("count")) == len(splitter.get("sizes").split(";"))
    for name in names:
        topic = next(topic for topic in sorted(TOPICS, key=len, reverse=True) if name.startswith(topic + "/"))
        rest = name.removeprefix(topic + "/")
        if TOPICS[topic] == "sensor_msgs/msg/JointState":  # named by its joints
            joint, value = rest.split("/")
            assert joint in ur.JOINTS and value in ("position", "velocity", "effort"), name
        else:
            check_fields(topic, re.findall(r"\.\w+|\[\d+\]", "." + rest.replace("/", ".")))
    assert len(names) == len(set(names)) > 30


def test_rviz_shows_what_is_published():
    document = yaml.safe_load((FOLDER / "jsac.rviz").read_text())["Visualization Manager"]
    named = {}
    for display in document["Displays"]:
        topic = (display.get("Topic") or display.get("Description Topic") or {}).get("Value")
        named[display["Class"].rpartition("/")[2]] = named.get(display["Class"].rpartition("/")[2], set()) | {topic}
    assert {TOPICS[topic] for topic in named["Image"]} == {IMAGE}
    assert named["RobotModel"] == OF_THE_DRIVER
    assert document["Global Options"]["Fixed Frame"] == parameters.load("ur5_reacher").safety.box_frame


def test_what_is_not_published_is_seen():
    check_fields("/control_status", [".image_age_ms", "[3]"])
    for topic, path in (
        ("/control_status", [".image_age_ms", "[4]"]), ("/control_status", [".age"]), ("/control_status", [".state", "[0]"]),
        ("/transitions", [".observation", "[:]", '{names=="x"}', ".values", "[0]"]), ("/transitions", [".observation"]),
    ):  # fmt: skip
        with pytest.raises(AssertionError):
            check_fields(topic, path)


def test_every_node_has_one_branch_of_the_diagnostics():
    (node,) = yaml.safe_load((FOLDER / "diagnostics.yaml").read_text()).values()
    branches = {name: part for name, part in node["ros__parameters"].items() if isinstance(part, dict)}
    names = {
        match[1]
        for file in (ROOT / "jsac_ros" / "nodes").glob("*.py")
        if (match := re.search(r'super\(\).__init__\("(\w+)"', file.read_text()))
    }
    assert len(names) > 10
    for name in names:
        for said in (f"jsac_ros/{name}: state", f"jsac_ros/left/{name}: refused"):
            fits = [branch for branch, part in branches.items() if any(text in said for text in part["contains"])]
            assert fits == [name if name in branches else "others"], said
    assert all(part["type"] == "diagnostic_aggregator/GenericAnalyzer" for part in branches.values())


def test_the_documentation_names_every_layout():
    text = (ROOT / "docs" / "watching.md").read_text()
    assert all(f"config/layouts/{file.name}" in text for file in FOLDER.iterdir())
