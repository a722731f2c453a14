"""Whether another computer's clock differs: measured with a driver that reads another time, without anything of ours there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import domains
import other_clock
import pytest

from jsac_ros.doctor import topics
from jsac_ros.nodes import clocks, listening
from jsac_ros.parameters import load

DOMAIN = domains.take()


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc is installed here: no clock can be made to differ")
@pytest.mark.parametrize(("ms", "level"), [(0, "green"), (30, "amber"), (-80, "red")])
def test_a_clock_that_differs_is_measured(ms, level, tmp_path, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(DOMAIN))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    driver = subprocess.Popen(
        [sys.executable, str(Path(other_clock.__file__))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"LD_PRELOAD": str(other_clock.library(tmp_path)), "OTHER_CLOCK_MS": str(ms)},
    )  # fmt: skip
    try:
        assert driver.stdout.readline() == "ready\n"
        config = load("ur5_reacher_demo", {"robot.driver": "external"})
        heard, told = listening.listen(config, "/", 1.0)
    finally:
        driver.communicate("", timeout=10)
    clock = told["/far_driver"]
    assert clock["sources"] == ["joints"] and clock["within_s"] < 0.05
    assert clock["ahead_s"] == pytest.approx(ms * 1e-3, abs=clock["within_s"] + 0.001)
    if clock["within_s"] < 0.01:  # else this computer is too busy to tell
        assert topics.clocks(told)[0].level == level
    assert (heard["joints"]["ahead_s"] > 0.02) == (ms > 0)


def test_the_middle_of_a_round_trip_counts():
    assert clocks._between(1_000_000, 3_500_000, 2_000_000) == pytest.approx((2e-3, 0.5e-3))
    assert clocks._between(1_000_000, 0, 2_000_000) is None and clocks._between(2, 1, 1) is None
