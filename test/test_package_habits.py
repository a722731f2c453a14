"""The files around the package agree with it: version, tools, targets of make, containers."""

import json
import re
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def text(name):
    return (ROOT / name).read_text()


def test_one_version_everywhere():
    version = tomllib.loads(text("pyproject.toml"))["project"]["version"]
    assert ElementTree.parse(ROOT / "package.xml").findtext("version") == version
    assert yaml.safe_load(text("CITATION.cff"))["version"] == version
    assert re.findall(r"^## ([0-9.]+)$", text("CHANGELOG.md"), re.MULTILINE)[0] == version


def test_pages_name_targets_of_make_that_exist():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        named = re.findall(r"(?:^ {4,}|`|&& )make ([a-z-]+)", page.read_text(), re.MULTILINE)
        assert set(named) <= TARGETS, page


def test_hooks_run_the_tools_that_the_tests_run():
    (repository,) = yaml.safe_load(text(".pre-commit-config.yaml"))["repos"]
    tools = {hook["entry"].split()[2] for hook in repository["hooks"]}
    assert tools == {"ruff", "mypy"} and all(hook["entry"].startswith(".venv/bin/python") for hook in repository["hooks"])


def test_the_dev_container_is_the_image():
    container = json.loads(text(".devcontainer/devcontainer.json"))
    assert (ROOT / ".devcontainer" / container["build"]["dockerfile"]).resolve() == ROOT / "Dockerfile"
    assert re.search(r"^FROM ros:jazzy$", text("Dockerfile"), re.MULTILINE) and re.search(
        r"^ARG JAX=cpu$", text("Dockerfile"), re.MULTILINE
    )


def test_the_dockerfile_passes_its_linter():
    linter = Path(sys.executable).parent / "hadolint"
    if not linter.exists():
        pytest.skip("hadolint is not installed; `make setup` does it")
    done = subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_quick_tests_are_parts_that_exist():
    parts = re.search(r"^QUICK = (.*)$", text("Makefile").replace("\\\n", ""), re.MULTILINE)[1].split()
    assert parts and all(list((ROOT / "test").glob(f"test_{part}*.py")) for part in parts)
