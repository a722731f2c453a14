"""One process of each kind in a namespace of a domain: who holds a place, and where that place is."""

import os
import subprocess
import sys
import time

import domains
import pytest
from bag_files import talk, write_mcap

from jsac_ros import claims, domain
from jsac_ros.__main__ import main
from jsac_ros.config import ConfigError
from jsac_ros.replay import names

HOLD = "import sys, time; from jsac_ros import claims; held = claims.claim('/left', 'actor'); print('held', flush=True); time.sleep(60)"


@pytest.fixture(autouse=True)
def own_domain(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domains.take()))


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


@pytest.mark.parametrize(
    "words",
    [
        ["start"], ["emergency-stop"], ["evaluate"], ["dashboard"], ["record", "FOLDER"], ["play", "bag.mcap"],
        ["run", "ur5_reacher_demo"], ["describe", "ur5_reacher_demo"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_no_verb_ends_in_a_traceback_in_a_domain_that_is_none(monkeypatch, tmp_path, capsys, words):
    pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")
    monkeypatch.chdir(tmp_path)
    for variable in ("ROS_AUTOMATIC_DISCOVERY_RANGE", "FASTRTPS_DEFAULT_PROFILES_FILE"):  # the verbs set them
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    write_mcap(tmp_path / "bag.mcap", talk(10))
    monkeypatch.setenv("ROS_DOMAIN_ID", "abc")
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said == "error: ROS_DOMAIN_ID is 'abc'; expected a whole number from 0 to 232\n"
    assert os.listdir(tmp_path) == ["bag.mcap"], "nothing is begun"


def test_where_a_system_runs_is_found_wrong_with_everything_else(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    held = claims.claim("/left", "actor")
    words = ["run", "ur5_reacher_demo", "learner.resume=/nowhere", "--only", "actor,lerner", "--namespace"]
    assert main([*words, "left"]) == 2
    assert [line.split(":")[0] for line in capsys.readouterr().err.removeprefix("error: ").splitlines()] == [
        "--only lerner (did you mean 'learner'?)", "learner.resume /nowhere",
    ]  # fmt: skip
    words[4] = "actor,learner"
    assert main([*words, "left"]) == 2
    first, second = capsys.readouterr().err.removeprefix("error: ").splitlines()
    assert first.startswith("learner.resume") and "namespace /left: actor of process" in second
    held.close()
    monkeypatch.setenv("ROS_DOMAIN_ID", "abc")
    assert main([*words, "le ft", "run.sed=1"]) == 2
    assert [line.split()[0] for line in capsys.readouterr().err.removeprefix("error: ").splitlines()] == [
        "ROS_DOMAIN_ID", "namespace", "run.sed:",
    ]  # fmt: skip
    assert not os.listdir(tmp_path)


def test_a_node_that_is_started_alone_in_a_domain_that_is_none_is_one_line():
    pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")
    environment = os.environ | {"ROS_DOMAIN_ID": "300"}
    ended = subprocess.run([sys.executable, "-m", "jsac_ros.nodes.replay"], env=environment, capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr == "error: ROS_DOMAIN_ID is '300'; expected a whole number from 0 to 232\n"


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
