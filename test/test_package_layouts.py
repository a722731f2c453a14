"""The layouts in config/layouts show topics and fields that a system has: Foxglove, PlotJuggler, RViz, diagnostics."""

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

from jsac_ros import parameters, shipped
from jsac_ros.config import SystemConfig
from jsac_ros.nodes.recorder import topics
from jsac_ros.rig import Rig
from jsac_ros.robots import ur
from jsac_ros.robots.box import safety_box
from jsac_ros.ros_types import message_class

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "config" / "layouts"
IMAGE, DIAGNOSTICS = "sensor_msgs/msg/Image", "/diagnostics"
DESCRIPTIONS = {"/robot_description", "/safety_box"}  # of the robot's driver or the simulator, and of the reporter
REFERENCE = (ROOT / "docs" / "reference" / "topics.md").read_text()
OF_THE_CONFIGURATION = {"/camera/image_raw", "/wrist/image_raw", "/joint_states"}  # what the reference shows as a field
PANELS = {  # of Foxglove, with the settings that its panels have, beside the title
    "Image": {"imageMode"},
    "3D": {"followTf", "followMode", "cameraState", "scene", "transforms", "topics", "layers", "imageMode"},
    "Plot": {
        "paths", "showLegend", "legendDisplay", "showXAxisLabels", "showYAxisLabels", "isSynced", "xAxisVal", "xAxisPath",
        "followingViewWidth",
    },
    "StateTransitions": {"isSynced", "paths"},
    "DiagnosticSummary": {"minLevel", "pinnedIds", "hardwareIdFilter", "topicToRender", "sortByLevel"},
}  # fmt: skip


def published():
    """Topic -> type of everything that a recording of a shipped configuration holds, and of what else is published."""
    found = {DIAGNOSTICS: "diagnostic_msgs/msg/DiagnosticArray"}
    for name in shipped.names():
        config = parameters.load(name)
        if config.cameras:
            found |= {"/" + topic.lstrip("/"): kind for topic, kind in topics(Rig.of(config)).items()}
    return found


TOPICS = published()
LINKS = ElementTree.fromstring(Rig.of(parameters.load("ur5_reacher_demo")).robot.description).findall("link")


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
    assert DESCRIPTIONS <= others <= set(TOPICS)
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


def test_foxglove_knows_every_setting():
    document = json.loads((FOLDER / "foxglove.json").read_text())
    assert set(document) == {"configById", "globalVariables", "userNodes", "playbackConfig", "layout"}
    for name, panel in document["configById"].items():
        kind = name.partition("!")[0]
        assert set(panel) <= PANELS[kind] | {"foxglovePanelTitle"}, name
        for path in panel.get("paths", []):
            assert {"value", "enabled", "timestampMethod"} <= set(path) <= {
                "value", "enabled", "timestampMethod", "label", "color", "showLine",
            }  # fmt: skip
    layers = document["configById"]["3D!robot"]["layers"]
    assert {layer["layerId"] for layer in layers.values()} == {"foxglove.Grid", "foxglove.Urdf"}
    assert all(name == layer["instanceId"] for name, layer in layers.items())


def test_the_reference_has_every_topic_that_a_layout_shows():
    images, others, paths = foxglove_names(json.loads((FOLDER / "foxglove.json").read_text()))
    curves = [curve.get("name") for curve in ElementTree.parse(FOLDER / "plotjuggler.xml").getroot().iter("curve")]
    shown = images | others | {topic for topic in TOPICS if any(name.startswith(f"{topic}/") for name in curves)}
    shown |= {re.match(r"/[\w/]+", path)[0] for path in paths} | set(
        re.findall(r"Value: (/\S+)", (FOLDER / "jsac.rviz").read_text())
    )
    assert len(shown) > 12
    lacking = {topic for topic in shown if f"`{topic}`" not in REFERENCE and f"`{topic[1:]}`" not in REFERENCE}
    assert lacking == OF_THE_CONFIGURATION & shown


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
    assert named["RobotModel"] == DESCRIPTIONS
    robot = next(display for display in document["Displays"] if display["Name"] == "Robot")
    tool = robot["Links"]["tool0"]
    assert tool["Show Trail"] and any(link.get("name") == "tool0" for link in LINKS), "the path of the tool"
    assert document["Global Options"]["Fixed Frame"] == parameters.load("ur5_reacher").safety.box_frame


def test_the_safety_box_is_drawn_where_it_is():
    config = parameters.load("ur5_reacher_demo", {"robot.joint_prefix": "left_"})
    (link,) = ElementTree.fromstring(safety_box(config).partition("\n")[2]).findall("link")
    centre, size = (
        np.array(link.find(part).get(name).split(), float)
        for part, name in (("visual/origin", "xyz"), ("visual/geometry/box", "size"))
    )
    assert link.get("name") == "left_base_link"
    np.testing.assert_allclose(centre - size / 2, config.safety.box_lower, atol=1e-6)
    np.testing.assert_allclose(centre + size / 2, config.safety.box_upper, atol=1e-6)
    assert safety_box(SystemConfig()) == ""


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
