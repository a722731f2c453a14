"""Two systems of one name on one domain and host, each in a namespace."""

import subprocess
from contextlib import ExitStack

import live_system
import pytest
from live_system import System, leftovers, tiny_config

from jsac_ros.replay.store import FrameStore

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    with ExitStack() as stack:
        systems = []
        for name in ("left", "lab/right"):
            place = folder / name.replace("/", "_")
            place.mkdir()
            systems.append(System(tiny_config(place), namespace=name))
            stack.callback(systems[-1].close)
        for system in systems:
            system.wait_until("it learns and acts", lambda system=system: _learns_and_acts(system), 240)
        yield systems


def _learns_and_acts(system):
    control, training = system.latest["control_status"], system.latest["training_status"]
    return control.state == "acting" and control.policy_version >= 8 and training.updates > 20


def test_each_hears_its_own_robot_only(two):
    robots = [system.latest["control_status"].robot for system in two]
    sessions = [system.latest["training_status"].session for system in two]
    assert robots == ["left", "lab/right"] and sessions[0] != sessions[1]
    topics = dict(two[0].node.get_topic_names_and_types())
    assert {"/left/joint_states", "/lab/right/joint_states", "/left/transitions"} <= topics.keys()
    assert not {"/joint_states", "/transitions", "/policy_command", "/safety_status"} & topics.keys()


def test_a_second_one_in_its_namespace_is_refused_with_its_place(two, tmp_path):
    first = two[0]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    second = live_system.start(tiny_config(tmp_path, run__name="other"), "--namespace", "left", **pipes)
    words = second.communicate(timeout=90)[0]
    assert second.returncode == 2 and not (tmp_path / "runs").exists()
    (line,) = words.splitlines()
    assert f"process {first.popen.pid} since" in line and str(first.folder) in line and "namespace /left" in line


def test_a_process_that_was_killed_comes_back_inside_its_namespace(two):
    first = two[0]
    session = first.latest["control_status"].session
    first.kill("actor")
    first.forget()
    first.wait_until("another actor", lambda: first.latest["control_status"].session != session)
    first.wait_until("it acts", lambda: _learns_and_acts(first))
    assert first.latest["control_status"].robot == "left"


def test_the_operator_reaches_one_of_them(two):
    first, second = two
    words = [live_system.sys.executable, "-m", "jsac_ros", "pause", "--namespace", "left"]
    assert subprocess.run(words, env=live_system.environment(), timeout=60).returncode == 0
    first.wait_until("it pauses", lambda: first.latest["control_status"].state == "paused")
    assert second.latest["control_status"].state != "paused"


def test_both_end_and_leave_nothing(two):
    for system in two:
        assert system.end() == 0, system.words()
    assert leftovers() == []
    for system, name in zip(two, (b"left", b"lab/right")):
        store = FrameStore.read(system.folder / "replay")
        assert set(store.rows["robot"][store.live_slots()]) == {name} and system.summary()["transitions"]["lost"] == 0
