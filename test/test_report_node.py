"""The reporter as a process, fed over DDS as the other nodes would."""

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import time

import domains
import pytest
import rclpy
from report_cases import write_run

from jsac_ros.config import RobotParameters, SystemConfig
from jsac_ros.msg import ControlStatus, Episode, ReplayStatus, SafetyStatus, TrainingStatus
from jsac_ros.parameters import dump

DOMAIN = domains.take()


class Feed:
    """What actor, learner, replay and safety say, from one node."""

    def __init__(self):
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=DOMAIN)
        self.node = rclpy.create_node("feed", context=self.context)
        topics = {
            "control_status": ControlStatus, "training_status": TrainingStatus, "replay_status": ReplayStatus,
            "safety_status": SafetyStatus, "episode": Episode,
        }  # fmt: skip
        self.publishers = {name: self.node.create_publisher(message, name, 10) for name, message in topics.items()}

    def wait_for_reporter(self):
        deadline = time.monotonic() + 60
        while any(p.get_subscription_count() == 0 for p in self.publishers.values()):
            assert time.monotonic() < deadline, "the reporter did not subscribe"
            time.sleep(0.05)

    def statuses(self, second: int):
        self.publishers["control_status"].publish(ControlStatus(
            robot="ur5", session=2**63 + 1, state="acting", ticks=25 * second, missed=1, rate_hz=25.0,
            lateness_ms=[0.1, 0.5, 0.9, 1.0], sent=20 * second, policy_age_s=0.2, policy_version=8,
            image_joint_skew_ms=[2.0, 3.0, 4.0, 5.0], policy_age_ms=[100.0, 200.0, 300.0, 400.0],
            episode=second, step=3,
        ))  # fmt: skip
        self.publishers["training_status"].publish(TrainingStatus(
            state="learning", updates=40 * second, updates_per_s=40.0, update_ms=20.0, batch_wait_share=0.002,
            metric_names=["critic_loss"], metric_values=[1.25],
        ))  # fmt: skip
        self.publishers["replay_status"].publish(ReplayStatus(stored=20 * second, received=20 * second))
        self.publishers["safety_status"].publish(
            SafetyStatus(state="moving", ticks=125 * second, rule_names=["acceleration"], rule_counts=[9])
        )

    def episode(self, number: int, **more):
        fields = {"reason": "time limit", "truncated": True, "steps": 100, "success": True} | more
        self.publishers["episode"].publish(Episode(
            robot="ur5", session=2**63 + 1, episode=number, episode_return=10.0 * number, **fields
        ))  # fmt: skip

    def close(self):
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def feed():
    feed = Feed()
    yield feed
    feed.close()


def start(folder):
    """The reporter on the run folder; its output goes to `reporter.log` there."""
    environment = os.environ | {
        "JSAC_RUN_FOLDER": str(folder), "ROS_DOMAIN_ID": str(DOMAIN), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    }  # fmt: skip
    with open(folder / "reporter.log", "ab") as log:
        command = [sys.executable, "-m", "jsac_ros.nodes.reporter"]
        command += ["--ros-args", "--params-file", str(folder / "config.yaml")]
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def wait_until(condition, folder):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, (folder / "reporter.log").read_text()
        time.sleep(0.05)


def table(folder, name):
    with open(folder / name, newline="") as file:
        return list(csv.DictReader(file))


def heard(folder, column, value):
    rows = table(folder, "metrics.csv") if (folder / "metrics.csv").exists() else []
    return any(row.get(column) == value for row in rows)


def test_a_run_is_written_down_and_goes_on_after_a_kill_on_a_full_disk(tmp_path, feed):
    dump(SystemConfig(robot=RobotParameters(driver="external")), tmp_path / "config.yaml")
    reporter = start(tmp_path)
    try:
        feed.wait_for_reporter()
        (tmp_path / "processes.json").write_text(json.dumps({"reporter": reporter.pid}))
        feed.statuses(10)
        for number in (1, 2):
            feed.episode(number)
        wait_until(lambda: len(table(tmp_path, "episodes.csv")) == 2, tmp_path)
        wait_until(lambda: heard(tmp_path, "learner.metric.critic_loss", "1.25"), tmp_path)
        limits = resource.prlimit(reporter.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(reporter.pid, resource.RLIMIT_FSIZE, (1, limits[1]))  # its disk is full
        feed.statuses(11)
        time.sleep(1.2)  # a row that does not fit
        reporter.send_signal(signal.SIGKILL)
        reporter.wait()
        reporter = start(tmp_path)
        (tmp_path / "processes.json").write_text(json.dumps({"reporter": reporter.pid}))
        # The killed one counts as a subscriber until its lease ends: repeat until the new one has heard.
        wait_until(lambda: feed.statuses(20) or heard(tmp_path, "control.ticks", "500"), tmp_path)
        feed.episode(3, evaluation=True)
        feed.episode(4, reason="actor stopped", steps=30)
        wait_until(lambda: len(table(tmp_path, "episodes.csv")) == 4, tmp_path)
        reporter.send_signal(signal.SIGTERM)
        assert reporter.wait(120) == -signal.SIGTERM
    finally:
        reporter.kill()
        reporter.wait()

    episodes = table(tmp_path, "episodes.csv")
    assert [row["env_steps"] for row in episodes] == ["100", "200", "200", "230"]
    assert episodes[0]["session"] == str(2**63 + 1)
    metrics = table(tmp_path, "metrics.csv")
    times = [float(row["time_s"]) for row in metrics]
    assert times == sorted(times) and times[-1] > 1
    assert heard(tmp_path, "safety.rule.acceleration", "9")
    assert heard(tmp_path, "control.image_joint_skew_ms.p99", "3")
    assert heard(tmp_path, "control.policy_age_ms.max", "400")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["control"]["ticks"] == 500 and summary["control"]["missed"] == 1
    assert summary["transitions"] == {"sent": 400, "received": 400, "lost": 0}
    assert (summary["episodes"], summary["updates"], summary["return_last10_mean"]) == (3, 800, 15)
    assert summary["policy_age_s"]["p50"] == pytest.approx(0.2)
    assert 20 < summary["peak_rss_mb"]["reporter"] < 120
    assert (tmp_path / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    assert "actor stopped 1" in (tmp_path / "report.html").read_text()
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2
    words = (tmp_path / "reporter.log").read_text().splitlines()
    assert "3 episodes, 233 steps, 800 updates; return 15" in words[-1]


def test_without_a_run_folder_it_says_so(tmp_path):
    dump(SystemConfig(robot=RobotParameters(driver="external")), tmp_path / "config.yaml")
    folder = tmp_path / "absent"
    environment = os.environ | {"JSAC_RUN_FOLDER": str(folder), "ROS_DOMAIN_ID": str(DOMAIN)}
    command = [sys.executable, "-m", "jsac_ros.nodes.reporter"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1] == f"error: JSAC_RUN_FOLDER is '{folder}'; expected the folder of the run"


def test_report_of_a_run_folder_is_one_self_contained_page(tmp_path):
    folder = write_run(tmp_path / "run", minutes=1)
    command = [sys.executable, "-m", "jsac_ros", "report", str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert ended.returncode == 0, ended.stderr
    text = (folder / "report.html").read_text()
    for title in ("Learning", "What happened", "Control timing", "Safety", "Learner", "Processes", "How to reproduce this run"):
        section = text.split(f"<h2>{title}</h2>")[1].split("</section>")[0]
        assert "Nothing was measured" not in section, title
    assert text.count("<svg class=drawn") == 7 and "http" not in text.split("<pre>")[0]


def test_report_of_something_else_is_refused(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-m", "jsac_ros", "report", str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 2
    assert ended.stderr == f"error: run folder {tmp_path}: has no episodes.csv; expected the folder of a run\n"
