"""docs/troubleshooting.md has every reason for which the system holds, waits or refuses, as the source prints it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = " ".join((ROOT / "docs" / "troubleshooting.md").read_text().split())
# Where reasons are made: file -> the functions (or classes) that make them; () is the whole file.
SOURCES = {
    "control/safety/rules.py": (),
    "control/safety/contact.py": ("Contact",),
    "control/safety/grippers.py": ("missing",),
    "control/arrivals.py": ("lost", "cure"),
    "control/inputs.py": ("view", "_problem", "_stale"),
    "control/stamps.py": (),
    "control/session.py": ("start", "pause", "stop", "_step_reset", "_fail"),
    "robots/joint_map.py": ("__call__", "lacking"),
    "robots/joint_sources.py": ("take", "_notice"),
    "tasks/reset.py": ("Home", "Settle", "CallService", "Release", "AskPerson"),
    "replay/flow.py": (),
    "nodes/actor.py": ("_prepare", "_safety_problem"),
    "nodes/replay.py": ("work",),
    "nodes/gripper_commands.py": ("TopicCommands", "RequestCommands", "ActionCommands", "DigitalOutput"),
    "nodes/safety.py": ("_on_emergency_stop", "_on_stop_service", "_come_to_rest"),
    "nodes/drivers.py": ("look",),
    "nodes/measurements.py": ("_on_joints", "_on_wrench"),
}


def reasons(file: str, parts: tuple[str, ...]) -> dict[int, list[str]]:
    """Line -> the constant pieces of a text of words that stands there; docstrings, names and log lines left out."""
    tree = ast.parse((ROOT / "jsac_ros" / file).read_text())
    kinds = (ast.FunctionDef, ast.ClassDef)
    roots = [node for node in ast.walk(tree) if isinstance(node, kinds) and node.name in parts] if parts else [tree]
    documents = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (*kinds, ast.Module)) and node.body and isinstance(node.body[0], ast.Expr)
    }
    found: dict[int, list[str]] = {}
    for root in roots:
        inside = {id(part) for node in ast.walk(root) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)} - {
            id(node) for node in ast.walk(root) if isinstance(node, ast.JoinedStr)
        }
        for node in ast.walk(root):
            if isinstance(node, ast.JoinedStr):
                pieces = [part.value for part in node.values if isinstance(part, ast.Constant)]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents | inside:
                pieces = [node.value]
            else:
                continue
            if any(" " in piece.strip() for piece in pieces):
                found[node.lineno] = [text for piece in pieces if len(text := " ".join(piece.split()).strip(" ,;:()'")) > 3]
    return found


@pytest.mark.parametrize("file", SOURCES)
def test_every_reason_that_can_be_printed_is_explained(file):
    missing = [
        f"line {line}: {piece}"
        for line, pieces in reasons(file, SOURCES[file]).items()
        for piece in pieces
        if piece not in PAGE
    ]
    assert missing == []


def test_reasons_are_found():
    assert "dead man's switch is not held" in str(reasons("control/safety/rules.py", ()))
    assert "is silent" in str(reasons("nodes/actor.py", ("_safety_problem",)))
