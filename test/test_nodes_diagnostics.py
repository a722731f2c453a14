"""What nodes say in /diagnostics: names that a tree is made of, levels, and on what hardware."""

from types import SimpleNamespace

import pytest

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

from builtin_interfaces.msg import Time
from full_disk import files_of_at_most

from jsac_ros.control.timing import Percentiles
from jsac_ros.files import write_text
from jsac_ros.msg import ReplayStatus, SafetyStatus, TrainingStatus
from jsac_ros.nodes.diagnostics import (
    ERROR,
    OK,
    WARN,
    learner_diagnostics,
    refusal_diagnostics,
    replay_diagnostics,
    safety_diagnostics,
)
from jsac_ros.nodes.written import Written


def node(name):
    config = SimpleNamespace(robot=SimpleNamespace(type="ur5"))
    return SimpleNamespace(config=config, get_fully_qualified_name=lambda: name)


@pytest.mark.parametrize(
    ("state", "problem", "level"),
    [
        ("compiling", "", OK), ("waiting", "", OK), ("learning", "", OK), ("paused", "", WARN), ("stopped", "", WARN),
        ("learning", "No space left on device", ERROR),
    ],
)  # fmt: skip
def test_of_the_learner(state, problem, level):
    message = TrainingStatus(state=state, updates=700, update_ms=20.5, problem=problem)
    (said,) = learner_diagnostics(node("/learner"), Time(sec=3), message).status
    assert (said.name, said.hardware_id, said.level, said.message) == (
        "jsac_ros/learner: state",
        "ur5",
        level,
        problem or state,
    )
    values = {pair.key: pair.value for pair in said.values}
    assert values["updates"] == "700" and values["update ms"] == "20.5"


def test_of_replay():
    waits, full = ReplayStatus(stored=12, waiting_for="warm-up 12/500"), ReplayStatus()
    (said,) = replay_diagnostics(node("/left/replay"), Time(), waits).status
    assert (said.name, said.hardware_id, said.level) == ("jsac_ros/left/replay: state", "left/ur5", OK)
    assert said.message == "waiting for warm-up 12/500" and ("stored", "12") in [(p.key, p.value) for p in said.values]
    no_room = ReplayStatus(problem="disk (No space left on device)")
    (said,) = replay_diagnostics(node("/replay"), Time(), no_room).status
    assert (said.level, said.message) == (ERROR, "disk (No space left on device)")
    assert replay_diagnostics(node("/replay"), Time(), full).status[0].message == "sampling"


def test_of_safety_and_of_what_was_refused():
    message, gate = SafetyStatus(state="stopped", reason="emergency stop"), Percentiles(0.1, 0.2, 0.3, 0.4)
    state, timing = safety_diagnostics(node("/safety"), Time(), message, gate, 8.0, alarm=False).status
    assert (state.name, state.level, state.message) == ("jsac_ros/safety: state", ERROR, "emergency stop")
    assert (timing.name, timing.level) == ("jsac_ros/safety: timing", OK)
    (refused,) = refusal_diagnostics(node("/reporter"), Time(), {"/episode": 3}, 1).status
    assert (refused.name, refused.level) == ("jsac_ros/reporter: refused", WARN)


def test_a_full_disk_is_seen_until_everything_is_written(tmp_path):
    lines, said, named = [], [], node("/actor")
    named.get_logger = lambda: SimpleNamespace(error=lambda line, **_: lines.append(line))
    named.get_clock = lambda: SimpleNamespace(now=lambda: SimpleNamespace(to_msg=Time))
    named.create_publisher = lambda *_: SimpleNamespace(publish=lambda message: said.append(message.status[0]))
    named.create_timer = lambda period_s, call: None
    written = Written(named)
    written("a.json", lambda: None)
    written.publish()
    assert not said, "a node that can write says nothing"
    with files_of_at_most(1):
        written("a.json", lambda: write_text(tmp_path / "a.json", "longer"))
    written.say("b.csv", "b.csv: No space left on device")
    written.publish()
    assert said[-1].name == "jsac_ros/actor: disk" and said[-1].level == ERROR
    assert said[-1].message == "a.json: File too large; b.csv: No space left on device"
    assert len(lines) == 2 and lines[1] == "b.csv: No space left on device; retried when there is room"
    written("a.json", lambda: write_text(tmp_path / "a.json", "longer"))
    assert (said[-1].level, said[-1].message) == (ERROR, "b.csv: No space left on device")
    written.say("b.csv", "")
    assert (said[-1].level, said[-1].message) == (OK, "everything is written")
