"""The fault campaign: how it judges, and a small one on a whole running system."""

import argparse
from pathlib import Path

import numpy as np
import pytest
from live_system import TINY

from jsac_ros.bench import faults
from jsac_ros.bench.fault_kinds import CLOCK, FAULTS, campaign
from jsac_ros.bench.faults import (
    Campaign,
    Outcome,
    peak_acceleration,
    summarise,
    table,
    time_to_rest_s,
    time_to_stand_s,
    violations,
)
from jsac_ros.control.safety.bounds import bounds_of
from jsac_ros.parameters import load
from jsac_ros.rig import Rig
from jsac_ros.sim.faults import FAULTS as SIM_FAULTS

CONFIG = Path(__file__).resolve().parent.parent / "config" / "ur5_reacher_demo.yaml"
TIME = np.arange(0, 1, 0.008)


def braking(from_s, speed=0.3, acceleration=1.4):
    """rad/s [T, 6]: constant speed, then an even brake that begins at `from_s`."""
    qd = np.zeros((len(TIME), 6))
    qd[:, 2] = np.clip(speed - acceleration * (TIME - from_s), 0, speed)
    return qd


def test_a_whole_campaign_makes_every_fault_about_a_hundred_times_in_all():
    whole = campaign(0, None)
    assert set(whole) == set(FAULTS) and len(whole) == sum(FAULTS.values()) and 95 <= len(whole) <= 140
    assert set(campaign(0, None, with_clock=True)) == set(FAULTS) | set(CLOCK)
    assert set(SIM_FAULTS) <= set(FAULTS)  # every fault that the simulator can make
    assert campaign(3, 20) == campaign(3, 20) != campaign(4, 20) and len(set(campaign(3, 20))) == 20


def test_time_to_rest_is_found_and_a_pass_through_zero_is_none():
    assert time_to_rest_s(TIME, braking(0.1)) == pytest.approx(0.1 + 0.29 / 1.4, abs=0.009)
    assert time_to_rest_s(TIME, np.full((len(TIME), 6), 0.2)) is None
    turning = np.zeros((len(TIME), 6))
    turning[:, 0] = 0.3 - TIME  # through zero at 0.3 s and on
    assert time_to_rest_s(TIME, turning) is None
    assert time_to_stand_s(TIME, turning) == pytest.approx(0.3, abs=0.011)
    assert time_to_stand_s(TIME, np.full((len(TIME), 6), 0.2)) is None


def test_peak_acceleration_is_that_of_the_brake():
    assert peak_acceleration(TIME, braking(0.1)) == pytest.approx(1.4, rel=0.01)


def test_a_joint_or_the_tool_outside_is_counted():
    rig = Rig.of(load(CONFIG))
    bounds, home = bounds_of(rig.config.safety, rig.robot), rig.robot.home
    inside = np.tile(home, (5, 1))
    assert violations(inside, bounds) == 0
    joint, tool = inside.copy(), inside.copy()
    joint[2, 4] = bounds.joint_upper[4] + 0.001
    tool[1:3, 1] += 0.8  # inside its range, but the tool leaves the box
    assert violations(joint, bounds) == 1 and violations(tool, bounds) == 2
    assert violations(np.empty((0, 6)), bounds) == 0


def test_the_summary_has_the_promised_keys_and_the_table_every_fault():
    outcomes = [
        Outcome("kill_safety", 210.0, 0.3, 1.4, 0, 3.0),
        Outcome("kill_safety", 250.0, 0.2, 1.5, 0, None),
        Outcome("kill_replay", None, 0.3, 1.4, 1, 2.0),
    ]
    summary = summarise(outcomes, 2, ["process 7"])
    assert list(summary) == [
        "cases", "by_fault", "rest_ms_max", "limit_violations", "rest_late", "not_recovered", "lost_acknowledged", "leftovers",
    ]  # fmt: skip
    assert summary["rest_late"] == [] and not faults.keeps_promises(summary)
    assert (summary["cases"], summary["rest_ms_max"], summary["not_recovered"]) == (3, 250.0, 1)
    assert summary["limit_violations"] == 1 and summary["by_fault"]["kill_safety"]["cases"] == 2
    shown = table(summary)
    assert "| kill_safety | 2 | 250 |" in shown and "| kill_replay | 1 | continues |" in shown and "never" in shown


@pytest.mark.timeout(400)  # a system of six processes is started, and faulted eight times
def test_a_small_campaign_on_a_running_system(monkeypatch, capsys):
    planned = ["contact", "joints_missing", "slider", "second_source", "kill_safety", "hangup_actor", "full_disk", "stranger"]
    monkeypatch.setattr(faults, "campaign", lambda seed, cases, with_clock: planned)
    monkeypatch.setattr(faults, "MOST_REST_MS", 2000.0)  # the promise is measured on a quiet machine, not here
    monkeypatch.setitem(faults.OVERRIDES, "task.episode_s", 60.0)  # each fault meets an open episode
    for name in ("agent.conv_channels", "agent.latent_dim", "agent.hidden", "replay.batch_size"):
        monkeypatch.setitem(faults.OVERRIDES, name, TINY[name])
    ended, judge = [], Campaign._outcome

    def judged(self, *arguments):
        ended.append(self.observer.status("episode").reason)
        return judge(self, *arguments)

    problems, end = {}, Campaign._end

    def ending(self, fault):
        problems[fault] = self.observer.status("replay_status").problem
        end(self, fault)

    monkeypatch.setattr(Campaign, "_outcome", judged)
    monkeypatch.setattr(Campaign, "_end", ending)
    parser = argparse.ArgumentParser()
    faults.add_arguments(parser)
    status = faults.main(parser.parse_args(["--config", str(CONFIG)]))
    said = capsys.readouterr().out
    assert status == 0, said
    assert all(name in said for name in planned)
    assert ended[0] == "contact" and "contact" not in ended[1:], ended
    assert problems.pop("full_disk") == "disk (File too large)" and not any(problems.values()), problems
