"""Which way messages take: who shares memory with whom, and whose choice it is."""

from pathlib import Path

import pytest

from jsac_ros import dds, parameters, system

DEMO = Path(__file__).resolve().parent.parent / "config" / "ur5_reacher_demo.yaml"
NAMES = (
    "ROS_AUTOMATIC_DISCOVERY_RANGE",
    "FASTRTPS_DEFAULT_PROFILES_FILE",
    "FASTDDS_DEFAULT_PROFILES_FILE",
    "RMW_IMPLEMENTATION",
)


LARGE = {"cameras__wrist__source_height": 480, "cameras__wrist__source_width": 640}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def profiles(**changes):
    processes = system.processes(parameters.load(DEMO, {name.replace("__", "."): value for name, value in changes.items()}))
    return {p.name: Path(p.environment.get("FASTRTPS_DEFAULT_PROFILES_FILE", "none")).name for p in processes}


def test_small_pictures_need_no_shared_memory():
    assert set(profiles(bag__record=True).values()) == {"localhost.xml"}
    assert dds.discovery() == {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SYSTEM_DEFAULT"}


@pytest.mark.parametrize(
    "changes", [LARGE, LARGE | {"robot__driver": "external"}, {"cameras__wrist__source_height": 0, "robot__driver": "external"}]
)
def test_large_ones_do_where_they_are_sent_and_taken_and_nowhere_else(changes):
    found = profiles(bag__record=True, **changes)
    shared = {name for name, file in found.items() if file == "localhost_shared_memory.xml"}
    assert shared == {"sim_robot", "actor", "recorder"} & set(found) and found["safety"] == "localhost.xml"
    assert set(profiles(cameras__wrist__compressed=True, **changes).values()) == {"localhost.xml"}


def test_the_users_choice_stays(monkeypatch):
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    assert set(profiles().values()) == {"network.xml"}
    assert dds.discovery() == {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", "/a/lab/own.xml")
    assert set(profiles().values()) == {"none"} and dds.discovery() == {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    monkeypatch.delenv("FASTRTPS_DEFAULT_PROFILES_FILE")
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_cyclonedds_cpp")
    assert set(profiles().values()) == {"none"} and dds.discovery() == {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
