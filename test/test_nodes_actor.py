"""What the actor says about itself."""

import math
import os
import time
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from fuzz_nodes import started
from shadow_cases import CONFIG, MS_NS, SECOND_NS
from std_msgs.msg import Float64MultiArray

from jsac_ros.control.rate import SteadyClock, Tick
from jsac_ros.control.session import Choice, Outcome, View
from jsac_ros.nodes import acting, actor_reports
from jsac_ros.nodes.actor_reports import TIMINGS, ActorReports
from jsac_ros.parameters import from_parameters
from jsac_ros.replay import names
from jsac_ros.replay.mailbox import PolicyMailbox
from jsac_ros.replay.outbox import Outbox
from jsac_ros.report.figures import HISTOGRAMS
from jsac_ros.report.histograms import read_histograms
from jsac_ros.report.tables import read_rows
from jsac_ros.rig import Rig
from jsac_ros.types import Command

OK, WARN = DiagnosticStatus.OK, DiagnosticStatus.WARN


class Reports:
    """ActorReports without ROS: ticks go in, `second()` gives what it says then."""

    def __init__(self, folder, shadow=False):
        said, self.name = {}, "/actor"
        self.said = said
        clock = SimpleNamespace(now=lambda: SimpleNamespace(to_msg=Time))
        node = SimpleNamespace(
            config=SimpleNamespace(shadow=shadow, robot=SimpleNamespace(type="ur5")), get_clock=lambda: clock, create_timer=lambda period_s, call: None,
            get_fully_qualified_name=lambda: self.name,
            create_publisher=lambda kind, topic, qos: SimpleNamespace(publish=lambda m: said.update({topic: m})),
        )  # fmt: skip
        rig = Rig.of(from_parameters(CONFIG))
        self.session = SimpleNamespace(rig=rig, session=1, state="acting", reason="", episode=0, step=0)
        self.acting = SimpleNamespace(version=3, policy_age_s=0.2, inference_ms=1.0)
        self.reports = ActorReports(node, folder, self.session, self.acting, Outbox(10), "ur5", SteadyClock())

    def tick(self, image_stamp_ns=0, joint_stamp_ns=0, acted=True, missed=0):
        now_ns = time.monotonic_ns()
        stamps, ages = {"wrist": image_stamp_ns, "joints": joint_stamp_ns}, {"wrist": 0.01, "joints": 0.01}
        view = View(now_ns * 1e-9, 0, 0.0, None, stamps, ages, "")
        outcome = Outcome(Command(np.zeros(6), {}), acted, 3, (), None)
        self.reports.tick(Tick(0, now_ns, now_ns, missed), view, outcome)

    def second(self):
        self.reports._publish()
        return self.said["control_status"], {status.name: status for status in self.said["/diagnostics"].status}


@pytest.fixture
def reports(tmp_path):
    return Reports(tmp_path)


def test_skew_is_the_distance_of_the_stamps_whichever_is_later(reports):
    base_ns = 1_700_000_000 * SECOND_NS  # a float64 of seconds would blur it
    for joints_ns in (4 * MS_NS, -10 * MS_NS, 4 * MS_NS):
        reports.tick(base_ns, base_ns + joints_ns)
    control, _ = reports.second()
    assert control.image_joint_skew_ms[0] == pytest.approx(4) and control.image_joint_skew_ms[3] == pytest.approx(10)


def test_of_a_long_time_in_shadow_mode_one_episode_in_ten_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(actor_reports, "SHADOW_FIRST", 6)
    for begin in (0, 20):  # a restarted actor continues
        reports = Reports(tmp_path, shadow=True).reports
        for episode in range(begin, begin + 20):
            for step in range(2):
                reports.shadow(episode, step, Choice({"arm": np.zeros(6, np.float32)}, 3))
        reports.write()
    rows = read_rows(tmp_path / "shadow_actions.csv")
    assert [row["episode"] for row in rows[::2]] == ["0", "1", "2", "10", "20", "30"] and len(rows) == 12


@pytest.mark.parametrize("view", [{"joint_stamp_ns": 5}, {"image_stamp_ns": 5}, {}])
def test_skew_needs_an_image_and_a_joint_state(reports, view):
    reports.tick(**view)
    control, _ = reports.second()
    assert math.isnan(control.image_joint_skew_ms[3]) and control.image_age_ms[3] == pytest.approx(10)


def test_policy_age_is_taken_at_every_tick_that_acts(reports, tmp_path):
    for reports.acting.policy_age_s in (0.1, 0.3, 0.2):
        reports.tick()
    reports.acting.policy_age_s = 5.0
    reports.tick(acted=False)
    control, _ = reports.second()
    assert control.policy_age_ms[0] == pytest.approx(200) and control.policy_age_ms[3] == pytest.approx(300)
    assert control.policy_age_s == 5.0
    reports.acting.version, reports.acting.policy_age_s = None, 0.0
    reports.tick()
    assert math.isnan(reports.second()[0].policy_age_ms[3]), "no policy has no age"
    reports.reports.write()
    assert read_histograms(tmp_path)["policy_age"].counts.sum() == 3


def test_every_timing_is_in_the_status_the_run_folder_the_diagnostics_and_the_report(reports, tmp_path):
    reports.tick(1 * MS_NS, 2 * MS_NS)
    control, said = reports.second()
    reports.reports.write()
    assert set(TIMINGS) == set(HISTOGRAMS) == set(read_histograms(tmp_path))
    shown = {pair.key: float(pair.value) for pair in said["jsac_ros/actor: timing"].values}
    for name in TIMINGS:
        assert read_histograms(tmp_path)[name].counts.sum() == 1, name
        in_words = name.replace("_", " ")
        for key, value in zip(("p50", "p99", "p99.9", "max"), getattr(control, f"{name}_ms")):
            assert shown[f"{in_words} {key} ms"] == pytest.approx(value, rel=1e-3), name


@pytest.mark.parametrize(
    "state, level",
    [("acting", OK), ("resetting", OK), ("holding", WARN), ("paused", WARN), ("waiting", WARN), ("stopped", WARN)],
)
def test_diagnostics_have_a_level_for_every_state(reports, state, level):
    reports.session.state, reports.session.reason = state, "why"
    _, said = reports.second()
    assert list(said) == ["jsac_ros/actor: state", "jsac_ros/actor: timing"]
    status = said["jsac_ros/actor: state"]
    assert (status.level, status.message, status.hardware_id) == (level, "why", "ur5")
    assert said["jsac_ros/actor: timing"].level == OK


def test_diagnostics_of_several_robots_have_names_of_their_own(reports):
    reports.name = "/left/actor"
    _, said = reports.second()
    assert list(said) == ["jsac_ros/left/actor: state", "jsac_ros/left/actor: timing"]
    assert said["jsac_ros/left/actor: state"].hardware_id == "left/ur5"


def test_a_missed_tick_is_a_warning_until_the_next_message(reports):
    levels = []
    for missed in (0, 2, 0, 1):
        reports.tick(missed=missed)
        levels.append(reports.second()[1]["jsac_ros/actor: timing"].level)
    assert levels == [OK, WARN, OK, WARN]


def test_a_policy_that_cannot_be_taken_is_said_and_tried_again(monkeypatch):
    monkeypatch.setattr(acting, "WAIT_S", 0.05)
    config, said = from_parameters(CONFIG | {"run.name": f"acts{os.getpid()}"}), []
    logger = SimpleNamespace(error=lambda line, **_: said.append(line))
    made = acting.Acting(config, Rig.of(config).spaces, 1, "/", logger)
    mailbox = PolicyMailbox.create(names.policy(config.run.name), made._count, made._layout_hash)
    take, failures = made.take, [RuntimeError("the device has\nno memory")]

    def sometimes(*policy):
        if failures:
            raise failures.pop()
        take(*policy)

    try:
        made.take = sometimes
        mailbox.write(8, 1, np.zeros(made._count, np.float32))
        end_s = time.monotonic() + 20
        while made.version != 8:
            assert time.monotonic() < end_s
            time.sleep(0.01)
        assert said == ["policy not taken: the device has no memory"]
    finally:
        made.close()
        mailbox.close()


def test_who_takes_over_from_the_policy_is_written_to_the_log(tmp_path, monkeypatch, capfd):
    for name in ("ROS_DOMAIN_ID", "JSAC_RUN_FOLDER", "ROS_AUTOMATIC_DISCOVERY_RANGE"):
        monkeypatch.setenv(name, "0")  # is put back
    with started("actor", tmp_path) as node:
        node.create_publisher(Float64MultiArray, "human_action", 1)
        for _ in range(2):
            node._on_human(Float64MultiArray(data=[0.0] * 6))
    said = [line.partition("a person ")[2] for line in capfd.readouterr().err.splitlines() if "a person " in line]
    assert said == ["takes over by human_action (/actor)"]
