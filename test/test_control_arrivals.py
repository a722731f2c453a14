"""How many of a camera's images arrive, by their numbers; and that the actor says so, with the cure."""

import random

import pytest
from test_control_inputs import Lines, image, inputs_of, joints, view

from jsac_ros import dds
from jsac_ros.control.arrivals import Arrivals, are_lost, cure, lost

RAW = 640 * 480 * 3


def counted(numbers):
    arrivals = Arrivals()
    for number in numbers:
        arrivals.take(number)
    return arrivals.counts


@pytest.fixture(autouse=True)
def no_profile(monkeypatch):
    for name in (dds.PROFILE, "FASTDDS_DEFAULT_PROFILES_FILE", "RMW_IMPLEMENTATION", "ROS_AUTOMATIC_DISCOVERY_RANGE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("numbers", "counts"),
    [
        (range(7, 7 + 60), (40, 40)),
        (range(1, 21), (20, 20)),
        (range(1, 20), None),  # too few
        (range(0, 200, 5), (8, 40)),
        ([0, 100, 200], (1, 40)),
        ([*range(0, 200, 5), *range(200, 240)], (40, 40)),  # what was is forgotten
        ([*range(500, 560), *range(1, 10)], None),  # the driver was started again
        ([k for n in range(1, 60) for k in (n, 300 + n)], None),  # two publishers
        ([5] * 40, None),
        ([None] * 60, None),
        ([], None),
    ],
)
def test_arrivals_are_counted_among_the_newest(numbers, counts):
    assert counted(numbers) == counts


def test_what_is_lost_at_random_is_measured():
    heard = [number for number in range(3000) if random.Random(number).random() < 0.5]
    arrived, published = counted(heard)
    assert published == 40 and 10 <= arrived <= 30 and are_lost((arrived, published))
    assert not are_lost(None) and not are_lost((37, 40)) and are_lost((35, 40))


def test_the_cure_names_the_profile_that_is_installed(monkeypatch, tmp_path):
    said = lost((9, 40), "wrist", RAW)
    (file,) = [word.rstrip(",").partition("=")[2] for word in said.split() if word.startswith(dds.PROFILE)]
    assert file.endswith("jsac_ros/dds/localhost_shared_memory.xml") and "<segment_size>" in open(file).read()
    assert said.startswith("9 of 40 images arrive; start the camera's driver with") and "cameras.wrist.compressed" in said
    assert lost((40, 40), "wrist", RAW) == "" == lost(None, "wrist", RAW)
    assert cure("wrist", 50_000) == "the network or this computer is too busy"
    installed = tmp_path / "share" / "jsac_ros" / "dds"
    installed.mkdir(parents=True)
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/nowhere:{tmp_path}")
    assert f"={installed}/localhost_shared_memory.xml" in cure("wrist", RAW)
    for name, value in (dds.discovery() | dds.profile(shared_memory=True)).items():  # as the actor is started
        monkeypatch.setenv(name, value)
    assert f"={installed}/localhost_shared_memory.xml" in cure("wrist", RAW)
    monkeypatch.setenv(dds.PROFILE, str(installed / "localhost_shared_memory.xml"))  # a person has done as it says
    assert dds.profile() and f"={installed}/localhost_shared_memory.xml" in cure("wrist", RAW)
    monkeypatch.setenv(dds.PROFILE, "/a/lab/own.xml")
    assert "room for large messages" in cure("wrist", RAW)


def test_the_actor_says_it_in_its_log_and_where_it_holds(monkeypatch):
    lines = Lines()
    inputs, arm = inputs_of(lines, cameras__wrist__source_height=480)
    for number in range(1, 101, 4):
        inputs.on_image("wrist", image(480, 640), 0, number)
    inputs.on_joints(joints(arm.names))
    assert view(inputs).problem == "" and "camera/image_raw: 10 of 40 images arrive; start" in lines[-1]
    now_ns = inputs.clock.now_ns() + 300_000_000
    monkeypatch.setattr(inputs.clock, "now_ns", lambda: now_ns, raising=False)
    inputs.on_joints(joints(arm.names))
    problem = view(inputs).problem
    assert "camera/image_raw is 0.3" in problem and "limit 0.20 s: 10 of 40 images arrive; start the camera's driver" in problem
    lines.clear()
    for number in range(98, 140):
        inputs.on_image("wrist", image(480, 640), 0, number)
    now_ns += 300_000_000
    inputs.on_joints(joints(arm.names))
    assert view(inputs).problem.endswith("limit 0.20 s") and "40 of 40" not in str(lines)
