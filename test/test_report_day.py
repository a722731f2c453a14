"""A day's run at speed: what the reporter keeps in memory stays as it was after the first hours, and the folder is bounded."""

import json
import os
import tracemalloc
from types import SimpleNamespace

import domains
import pytest
import rclpy

from jsac_ros import logs
from jsac_ros.config import RobotParameters, RunConfig, SystemConfig
from jsac_ros.msg import ControlStatus, Episode, ReplayStatus, SafetyStatus, TrainingStatus
from jsac_ros.nodes import reporter
from jsac_ros.parameters import dump
from jsac_ros.report import display, events, filmstrip
from jsac_ros.report.loggers import tensorboard
from jsac_ros.report.tables import FIRST_HOUR_S

SLOWER = 24  # than a real run, so that a day takes seconds: of everything that is said one in so many
DAY_S, HOUR_S, EPISODE_S = 86_400, 3600, 6 * SLOWER
MOST_EPISODES = 100
MOST_GROWN = 600  # bytes a row, of which 200 are in series that halve themselves after half a day; a row kept is 8 KB
METRICS, RULES = [f"metric_{k}" for k in range(16)], [f"rule {k}" for k in range(20)]
MB = 1_000_000


class Clock:
    """In the place of the module `time`."""

    def __init__(self):
        self.now_s = 0.0

    def monotonic(self):
        return 1000.0 + self.now_s

    def time(self):
        return 1.7e9 + self.now_s


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in (reporter, display, events, filmstrip, tensorboard):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def node(tmp_path, monkeypatch, clock):
    dump(SystemConfig(robot=RobotParameters(driver="external"), run=RunConfig(report=False)), tmp_path / "config.yaml")
    (tmp_path / "processes.json").write_text(json.dumps(dict.fromkeys(("safety", "actor", "learner", "replay"), os.getpid())))
    monkeypatch.setenv("JSAC_RUN_FOLDER", str(tmp_path))
    monkeypatch.setattr(reporter, "MOST_EPISODES", MOST_EPISODES)
    drawn = SimpleNamespace(poll=lambda: 0, kill=lambda: None, wait=lambda: 0)  # by a process of its own
    monkeypatch.setattr(reporter, "_child", lambda *_: drawn)
    rclpy.init(args=["--ros-args", "--params-file", str(tmp_path / "config.yaml")], domain_id=domains.take())
    node = reporter.Reporter()
    yield node
    node.destroy_node()
    rclpy.shutdown()


def say(node, second, reason):
    """What the others say in a second of a run: their counters grow, the actor is started again now and then."""
    session = 7 + second // 7200
    times = {f"{name}_ms": [0.1 + second % 7, 0.5, 0.9, 1.0] for name in ("lateness", "image_age", "obs_to_command")}
    statuses = {
        "control": ControlStatus(
            robot="ur5", session=session, state="acting" if second % 600 else "holding", reason=reason, ticks=25 * second,
            rate_hz=25.0, sent=20 * second, policy_version=8, episode=second // EPISODE_S, step=second % 100, **times
        ),
        "learner": TrainingStatus(
            state="learning", updates=40 * second, updates_per_s=40.0 + second % 3, update_ms=20.0,
            metric_names=METRICS, metric_values=[0.001 * second + k for k in range(len(METRICS))],
        ),
        "replay": ReplayStatus(stored=20 * second, received=20 * second),
        "safety": SafetyStatus(state="moving", ticks=125 * second, rule_names=RULES, rule_counts=[second // 9] * len(RULES)),
    }  # fmt: skip
    for prefix, message in statuses.items():
        node._on_status(prefix, message)


def finish(node, number):
    node._on_episode(Episode(
        robot="ur5", session=7, episode=number, steps=100, episode_return=10.0 + number % 50, success=number % 2 == 0,
        truncated=True, reason="time limit", duration=4.0, reset_duration=2.0,
    ))  # fmt: skip


def size_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def run_until(node, clock, begin_s, end_s):
    """-> rows of metrics.csv."""
    seconds = range(begin_s, end_s, SLOWER * (1 if begin_s < FIRST_HOUR_S else 10))  # as often as it writes
    for second in seconds:
        clock.now_s = float(second)
        say(node, second, f"camera is {second % 1000 / 1000:.2f} s old" if second % 600 == 0 else "")
        while node.totals.episode_count < second // EPISODE_S:
            finish(node, node.totals.episode_count)
        node._on_timer()
    return len(seconds)


def test_a_day_is_as_large_in_memory_as_its_first_hours(tmp_path, node, clock):
    run_until(node, clock, 0, HOUR_S)
    run_until(node, clock, HOUR_S, 4 * HOUR_S)
    tracemalloc.start()
    run_until(node, clock, 4 * HOUR_S, 8 * HOUR_S)
    before, folder_before = tracemalloc.get_traced_memory()[0], size_of(tmp_path)
    rows = run_until(node, clock, 8 * HOUR_S, DAY_S)
    grown, folder = tracemalloc.get_traced_memory()[0] - before, size_of(tmp_path)
    tracemalloc.stop()
    node.close()
    assert grown < MOST_GROWN * rows
    assert SLOWER * folder < 60 * MB and folder < 3 * folder_before  # 52 MB, the most of it TensorBoard's
    assert len(node.totals.episodes) == MOST_EPISODES < node.totals.episode_count


def test_a_days_logs_are_bounded(tmp_path):
    (tmp_path / "logs").mkdir()
    with open(tmp_path / "logs" / "actor.log", "ab", buffering=0) as log:
        for k in range(60):
            log.write(b"%d " % k * (MB // 3))
            logs.rotate(tmp_path)
            assert size_of(tmp_path) < 2 * logs.MOST_BYTES + 2 * MB
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["actor.log", "actor.log.old"]
    assert (
        b"59 "
        in (tmp_path / "logs" / "actor.log").read_bytes()[-100:] + (tmp_path / "logs" / "actor.log.old").read_bytes()[-100:]
    )
