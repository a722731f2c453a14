"""The safety node and the simulated arm as processes, over DDS."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.qos import qos_profile_sensor_data
from std_msgs.msg import Bool, Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from jsac_ros.config import dump, from_parameters
from jsac_ros.nodes.observer import Driver
from safety_cell import DOMAINS, ENVIRONMENT, SYSTEM, Cell


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    cell = Cell(tmp_path_factory.mktemp("cell"))
    yield cell
    cell.close()


@pytest.fixture
def fresh_cell(tmp_path):
    cell = Cell(tmp_path)
    yield cell
    cell.close()


def test_every_action_is_answered_and_moves_the_arm(cell):
    cell.observer.answers.clear()
    driver = cell.drive()
    time.sleep(0.5)
    driver.stop()
    ticks = [answer.tick for _, answer in cell.observer.answers]
    assert len(ticks) > 10 and len(set(ticks)) == len(ticks) and ticks == sorted(ticks)
    assert any(answer.velocity[0] > 0.15 for _, answer in cell.observer.answers)
    assert "acceleration" in cell.observer.answers[0][1].rules


def test_it_shares_no_memory_that_a_killed_process_could_leave_locked(cell):
    mapped = (Path("/proc") / str(cell.processes["safety"].pid) / "maps").read_text()
    assert "libfastrtps" in mapped and "/dev/shm/fastrtps" not in mapped


def test_commands_that_end_are_followed_by_rest(cell):
    driver = cell.drive((-0.2, 0.0, 0.2, 0.0, 0.0, 0.0))
    driver.stop()
    cell.comes_to_rest(time.time())
    status = cell.observer.status("safety_status")
    assert dict(zip(status.rule_names, status.rule_counts))["stale_command"] >= 1 and status.state in ("ready", "holding")


def test_the_emergency_stop_latches_until_a_person_releases_it(cell):
    driver = cell.drive((0.2, 0.0, -0.2, 0.0, 0.0, 0.0))
    stopped_s = time.time()
    assert cell.observer.call("safety/emergency_stop", 20)[0]
    cell.comes_to_rest(stopped_s)
    time.sleep(0.5)  # commands go on
    assert not cell.observer.moving()
    status = cell.observer.status("safety_status")
    assert (status.state, status.emergency_stop) == ("stopped", True) and "service" in status.reason
    assert "emergency_stop" in cell.observer.answers[-1][1].rules
    assert cell.observer.call("safety/release", 20)[0]
    assert cell.observer.wait(lambda: cell.observer.moving(0.15), 20)
    driver.stop()


def test_a_protective_stop_holds_and_nothing_is_resumed(cell):
    driver = cell.drive((-0.2, 0.0, -0.2, 0.0, 0.0, 0.0))
    cell.observer.fault("protective_stop 1.0")
    assert cell.observer.wait(lambda: cell.state() == "holding", 20), cell.log()
    driver.stop()
    assert cell.observer.wait(lambda: cell.state() == "ready", 20), cell.log()
    time.sleep(0.3)
    assert not cell.observer.moving()


@pytest.mark.parametrize("name", ["intruder", "safety"])
def test_a_second_publisher_on_the_robots_topic_is_reported(cell, name):
    node = rclpy.create_node(name, context=cell.observer.node.context)
    levels = []
    hears = cell.observer.node.create_subscription(
        DiagnosticArray, "/diagnostics", lambda m: levels.append(m.status[0].level), 10
    )
    node.create_publisher(JointTrajectory, cell.config.robot.trajectory_topic, 1)
    said = lambda: f"/{name} also commands" in cell.observer.status("safety_status").reason  # noqa: E731
    assert cell.observer.wait(said, 10)
    assert cell.observer.wait(lambda: levels and levels[-1] == DiagnosticStatus.ERROR, 10)
    node.destroy_node()
    assert cell.observer.wait(lambda: not said(), 10)
    cell.observer.node.destroy_subscription(hears)


def test_a_robot_that_hears_nothing_is_reported(fresh_cell):
    fresh_cell.processes["sim_robot"].terminate()
    said = lambda: "nobody hears" in fresh_cell.observer.status("safety_status").reason  # noqa: E731
    assert fresh_cell.observer.wait(said, 10)
    fresh_cell.processes["sim_robot"].wait(10)
    fresh_cell.start("sim_robot")
    assert fresh_cell.observer.wait(lambda: not said(), 20), fresh_cell.log()


def test_an_emergency_stop_of_a_best_effort_publisher_is_heard(cell):
    button = cell.observer.node.create_publisher(Bool, "emergency_stop", qos_profile_sensor_data)
    assert cell.observer.wait(lambda: button.get_subscription_count() > 0, 10)
    button.publish(Bool(data=True))
    assert cell.observer.wait(lambda: cell.state() == "stopped", 10), cell.log()
    cell.observer.node.destroy_publisher(button)
    assert cell.observer.call("safety/release", 20)[0]
    assert cell.observer.wait(lambda: cell.state() == "ready", 10)


def test_killed_while_moving_the_arm_comes_to_rest_and_a_person_has_to_release_it(cell):
    driver = cell.drive((0.2, 0.0, 0.2, 0.0, 0.0, 0.0))
    killed_s = time.time()
    cell.processes["safety"].kill()
    cell.processes["safety"].wait()
    cell.comes_to_rest(killed_s)
    cell.start("safety", JSAC_SAFETY_LATCHED="it had died")
    assert cell.observer.wait(lambda: cell.state() == "stopped", 40), cell.log()
    time.sleep(0.5)
    assert not cell.observer.moving()
    assert "it had died" in cell.observer.status("safety_status").reason
    assert cell.observer.call("safety/release", 20)[0]
    assert cell.observer.wait(lambda: cell.observer.moving(0.15), 20), cell.log()
    driver.stop()


def test_terminated_while_moving_it_ends_at_rest(fresh_cell):
    driver = fresh_cell.drive()
    asked_s = time.time()
    fresh_cell.processes["safety"].send_signal(signal.SIGTERM)
    assert fresh_cell.processes["safety"].wait(10) == 0
    path = fresh_cell.comes_to_rest(asked_s)
    assert np.abs(path.q[-1] - path.q[0]).max() < 0.1
    driver.stop()


# The watch breaks as soon as the file is there, and goes on breaking.
BROKEN = """
from pathlib import Path
from jsac_ros.nodes import safety
watch = safety.Safety._watch
def breaks(self, now_s):
    if Path({file!r}).exists():
        raise RuntimeError("broken")
    watch(self, now_s)
safety.Safety._watch = breaks
raise SystemExit(safety.main())
"""


@pytest.mark.parametrize("acceleration", [1.4, 0.06])  # the second one needs 5 s to come to rest
def test_the_velocity_interface_is_stopped_by_zeros(tmp_path, acceleration):
    cell = Cell(tmp_path, **{"robot.interface": "velocity", "safety.max_joint_acceleration_rad_s2": acceleration})
    try:
        heard = []
        cell.observer.node.create_subscription(
            Float64MultiArray, cell.config.robot.velocity_topic, lambda m: heard.append(list(m.data)), 10
        )
        driver = cell.drive()
        driver.stop()
        cell.comes_to_rest(time.time())
        driver = cell.drive((-0.2, 0.0, 0.0, 0.0, 0.0, 0.0))
        asked_s = time.time()
        cell.processes["safety"].terminate()
        assert cell.processes["safety"].wait(10) == 0
        cell.comes_to_rest(asked_s)
        driver.stop()
        assert heard[-1] == [0.0] * 6
        steps = np.abs(np.diff([velocity[0] for velocity in heard[-20:]]))
        assert steps.max() < 0.03  # braked, not cut off

        cell.start("safety", BROKEN.format(file=str(tmp_path / "break")))
        driver = cell.drive((0.2, 0.0, 0.0, 0.0, 0.0, 0.0))
        (tmp_path / "break").touch()
        assert cell.processes["safety"].wait(10) != 0
        cell.comes_to_rest(time.time())
        driver.stop()
        assert heard[-1] == [0.0] * 6
    finally:
        cell.close()


def test_the_arm_moves_only_while_a_person_holds_the_dead_mans_switch(tmp_path):
    cell = Cell(tmp_path, starts="holding", **{"safety.dead_man_topic": "dead_man"})
    try:
        switch = cell.observer.node.create_publisher(Bool, "dead_man", 10)
        held = threading.Event()
        cell.observer.node.create_timer(0.05, lambda: held.is_set() and switch.publish(Bool(data=True)))
        driver = Driver(cell.observer, lambda _: np.array((0.2, 0.0, 0.0, 0.0, 0.0, 0.0)))
        time.sleep(0.5)
        assert not cell.observer.moving(), "nobody holds it"
        held.set()
        assert cell.observer.wait(lambda: cell.observer.moving(0.15), 20), cell.log()
        held.clear()
        let_go_s = time.time()
        path = cell.comes_to_rest(let_go_s)
        driver.stop()
        status = cell.observer.status("safety_status")
        assert status.state == "holding" and dict(zip(status.rule_names, status.rule_counts))["dead_man"] >= 1
        at_rest = np.abs(path.qd).max(axis=1) < 0.01
        assert path.time_s[at_rest][0] - let_go_s < cell.config.safety.dead_man_max_age_s + 1.0
    finally:
        cell.close()


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"safety.box_frame": "base"}, "error: task.home: tool y is at"),
        ({"robot.interface": "none"}, "error: robot.interface is 'none'"),
        ({"safety.command_max_age_s": 0.03}, "error: safety.command_max_age_s is 0.03"),
    ],
)
def test_a_configuration_that_cannot_be_kept_ends_with_one_line(tmp_path, changes, said):
    dump(from_parameters(SYSTEM | changes), tmp_path / "config.yaml")
    command = [sys.executable, "-m", "jsac_ros.nodes.safety", "--ros-args", "--params-file", str(tmp_path / "config.yaml")]
    environment = ENVIRONMENT | {"ROS_DOMAIN_ID": str(next(DOMAINS))}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    errors = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert result.returncode == 2 and len(errors) == 1 and errors[0].startswith(said), result.stderr


def test_a_process_whose_starter_died_while_it_was_starting_does_not_live_on(tmp_path):
    dump(from_parameters(SYSTEM), tmp_path / "config.yaml")
    command = [sys.executable, "-m", "jsac_ros.nodes.safety", "--ros-args", "--params-file", str(tmp_path / "config.yaml")]
    environment = ENVIRONMENT | {"ROS_DOMAIN_ID": str(next(DOMAINS)), "JSAC_STARTER_PID": "1"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert result.returncode == 1 and "has died since" in result.stderr


def test_the_operators_verbs_stop_and_release(cell):
    def verb(name, **environment):
        command = [sys.executable, "-m", "jsac_ros", name, "--timeout", "15"]
        return subprocess.run(command, env=cell.environment | environment, capture_output=True, text=True, timeout=60)

    stopped = verb("emergency-stop")
    assert (stopped.returncode, "stopped" in stopped.stdout) == (0, True), stopped.stderr
    assert cell.observer.wait(lambda: cell.state() == "stopped", 20)
    assert verb("release").returncode == 0
    assert cell.observer.wait(lambda: cell.state() != "stopped", 20)
    nobody = verb("checkpoint")  # no learner here
    assert nobody.returncode == 1 and nobody.stderr.startswith("error: nobody answers learner/checkpoint")
