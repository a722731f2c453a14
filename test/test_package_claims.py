"""One process of each kind in a namespace of a domain: who holds a place, and where that place is."""

import os
import subprocess
import sys
import time

import pytest

from jsac_ros import claims, domain
from jsac_ros.config import ConfigError
from jsac_ros.replay import names

HOLD = "import sys, time; from jsac_ros import claims; held = claims.claim('/left', 'actor'); print('held', flush=True); time.sleep(60)"


@pytest.fixture(autouse=True)
def own_domain(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(1 + os.getpid() % 200))


def test_the_holder_of_a_place_is_named_until_it_is_killed():
    assert claims.holder("/left", "actor") is None
    environment = os.environ | {"JSAC_RUN_FOLDER": "/data/runs/first", "JSAC_STARTER_PID": str(os.getpid())}
    first = subprocess.Popen([sys.executable, "-c", HOLD], env=environment, stdout=subprocess.PIPE)
    try:
        assert first.stdout.readline() == b"held\n"
        found = claims.holder("/left", "actor")
        assert found.pid == os.getpid() and found.run_folder == "/data/runs/first"  # of the whole system: its starter
        assert 0 <= time.time() - found.since_unix_s < 3600
        with pytest.raises(ConfigError, match=f"namespace /left: actor of process {os.getpid()} since .*/data/runs/first"):
            claims.claim("/left", "actor")
        claims.claim("/right", "actor").close()  # another place
    finally:
        first.kill()
        first.wait()
    claims.claim("/left", "actor").close()


def test_a_place_that_was_looked_at_too_often_is_still_held(monkeypatch):
    monkeypatch.setattr(claims, "_PENDING", 1)
    with claims.claim("/", "replay"):
        held = [claims.holder("/", "replay") for _ in range(5)]
        assert held[0].pid == os.getpid() and held[-1].pid == 0 and "another process" in str(held[-1])
    assert claims.holder("/", "replay") is None


@pytest.mark.parametrize("text", ["abc", "300", "-1", "1.5", "0x10", " 1"])
def test_a_domain_that_is_none_is_one_line(monkeypatch, text):
    monkeypatch.setenv("ROS_DOMAIN_ID", text)
    with pytest.raises(ConfigError, match="ROS_DOMAIN_ID is .*; expected a whole number from 0 to 232"):
        domain.domain_id()


@pytest.mark.parametrize("text", ["le ft", "1left", "a//b", "left-arm", "~x", "a/{b}"])
def test_a_namespace_that_is_none_is_one_line(text):
    with pytest.raises(ConfigError, match="namespace is"):
        domain.absolute(text)


def test_names_of_two_namespaces_never_meet(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", "7")
    assert domain.absolute("") == domain.absolute("/") == "/" and domain.absolute("lab/left/") == "/lab/left"
    assert (
        names.policy("demo") == "/jsac_7_demo_policy" and names.batches("demo", "/lab/left") == "/jsac_7.lab.left.demo_batches"
    )
    assert names.policy("b_c", "/a") != names.policy("c", "/a_b")
