"""README and docs name commands, configuration fields, files and messages that exist."""

import importlib
import re
from functools import cache
from pathlib import Path

import pytest

from jsac_ros import api, plugins
from jsac_ros.__main__ import VERBS
from jsac_ros.config import CameraConfig, GripperConfig, SensorConfig, SystemConfig

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMED = {"cameras": CameraConfig, "sensors": SensorConfig, "grippers": GripperConfig}  # sections by a name of the user's
OTHERS = ("section", "glibc")  # what stands for any section; tunables of the C library
PLUGINS = {"robot": "robot", "task": "task", "agent": "agent", "sim": "sim", "actions": "action"}
SECTIONS = "|".join(SystemConfig.model_fields)
FIELD = re.compile(rf"(?<![\w./-])({SECTIONS})\.(?!(?:py|xml|html)\b)([a-z0-9_]+|[A-Z]+)(?:\.([a-z0-9_]+))?(?![\w/(])")


@cache
def fields_of(section: str) -> set[str]:
    """Names of the fields that a section may have; of a plug-in's, those of every plug-in that is shipped."""
    if section in NAMED:
        return set(NAMED[section].model_fields)
    if kind := PLUGINS.get(section):
        return {field for name in plugins.names(kind) for field in plugins.load(kind, name).Parameters.model_fields}
    attributes = dir(api.Run) if section == "run" else ()  # what a page on the Python API calls a run
    return {*SystemConfig.model_fields[section].annotation.model_fields, *attributes}


def code_of(page: Path) -> str:
    """What stands in backticks or is set as code."""
    text = page.read_text()
    return "\n".join([*re.findall(r"`([^`\n]+)`", text), *re.findall(r"^ {4,}(.*)$", text, re.MULTILINE)])


def unknown_fields(text: str) -> list[str]:
    heads = re.findall(r"(?<![\w./=-])([a-z_]+)\.[a-z_.]+=", text)
    wrong = [name for name in heads if name not in SystemConfig.model_fields and name not in OTHERS]
    for section, name, inner in FIELD.findall(text):
        by_name = section in NAMED or section == "actions"
        if by_name and not inner:
            continue  # a section by its name
        if (inner if by_name else name) not in fields_of(section):
            wrong.append(".".join(filter(None, (section, name, inner))))
    return wrong


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.stem not in ("summary", "topics", "cli")], ids=lambda page: page.stem
)
def test_every_field_of_the_configuration_that_is_named_exists(page):
    assert unknown_fields(code_of(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_that_is_named_exists(page):
    verbs = re.findall(r"jsac-ros ([a-z][a-z-]*)", code_of(page))
    assert [verb for verb in verbs if verb not in (*VERBS, "help")] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_cannot_run_on_every_machine_says_what_it_needs(page):
    assert [line for line in re.findall(r"^ {4,}(.*)$", page.read_text(), re.MULTILINE) if without_its_needs(line)] == []


def without_its_needs(line: str) -> bool:
    """Whether a command of ROS, Docker, pip or another computer stands there without "needs"."""
    return (
        bool(re.search(r"(?:^|[$&|] ?\(?)(?:ros2|docker|sudo|pip|ssh|scp|tensorboard) |-m pip install", line))
        and "need" not in line
    )


def test_missing_needs_are_seen():
    lines = [
        "ros2 topic list",
        "(a) && scp a b:",
        "a=$(ros2 pkg prefix b)",
        "pip install a  # needs the network",
        "jsac-ros run ros2 ",
    ]
    assert list(map(without_its_needs, lines)) == [True, True, True, False, False]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_file_of_ours_that_is_named_exists(page):
    text = page.read_text()
    names = re.findall(r"(?<![\w/])((?:jsac_ros|config|docs|launch|msg|requirements|test|tools)/[\w/.-]*\.\w+)\b", text)
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text)
    wrong = [name for name in names if not (ROOT / name).exists()]
    assert wrong + [link for link in links if not (page.parent / link).exists()] == []


def test_the_site_has_every_page():
    pages = re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(pages) == sorted(str(page.relative_to(ROOT / "docs")) for page in PAGES if page.parent != ROOT)


def test_what_does_not_exist_is_seen():
    assert unknown_fields("`task.action_scale`, run.seed=3, camera.topic=x, robot.urdf, `cameras.wrist.stack`, cameras.wrist.no, actions.arm.scale") == [
        "camera", "task.action_scale", "cameras.wrist.no",
    ]  # fmt: skip


def test_every_function_in_the_table_of_the_algorithm_exists():
    """`module.function` of `jsac_ros/agent` in the last column."""
    page = (ROOT / "docs" / "algorithm.md").read_text().split("\n### ")[0]
    named = [
        name for row in page.splitlines() if row.count("|") == 4 for name in re.findall(r"`((?:\w+\.)+\w+)`", row.split("|")[3])
    ]
    assert len(named) > 10
    for name in named:
        module, _, function = name.rpartition(".")
        assert hasattr(importlib.import_module(f"jsac_ros.agent.{module}"), function), name
