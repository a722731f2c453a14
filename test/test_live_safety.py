"""The safety node and the simulated arm as processes, over DDS."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import domains
import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.qos import qos_profile_sensor_data
from rig_cases import WRENCH
from safety_cell import ENVIRONMENT, SYSTEM, Cell, Driver
from std_msgs.msg import Bool, Float64, Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from jsac_ros.bench.observer import SecondSource
from jsac_ros.parameters import dump, from_parameters

SIX = tuple(f"wrench.{part}.{axis}" for part in ("force", "torque") for axis in "xyz")  # as the simulator measures it


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
    assert cell.observer.wait(lambda: len(cell.observer.answers) > 10, 20), cell.log()
    driver.stop()
    ticks = [answer.tick for _, answer in cell.observer.answers]
    assert len(set(ticks)) == len(ticks) and ticks == sorted(ticks)
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
    time.sleep(0.5)  # commands continue
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
    said = lambda: f"/{name} also commands" in cell.observer.status("safety_status").reason
    assert cell.observer.wait(said, 10)
    assert cell.observer.wait(lambda: levels and levels[-1] == DiagnosticStatus.ERROR, 10)
    node.destroy_node()
    assert cell.observer.wait(lambda: not said(), 10)
    cell.observer.node.destroy_subscription(hears)


def test_a_second_source_of_the_joints_stops_the_robot_until_a_person_has_looked(cell):
    """Each message of a node that repeats "the arm stands" is believable by itself; the arm went at six times its limit."""
    driver = cell.drive((0.2, 0.0, -0.2, 0.0, 0.0, 0.0))
    began_s = time.time()
    stranger = SecondSource(cell.observer)
    try:
        path = cell.comes_to_rest(began_s)
        assert np.abs(path.qd).max() < 0.3
        status = cell.observer.status("safety_status")
        assert status.emergency_stop and "two sources" in status.reason
        assert "/sim_robot" in status.reason and "/observer" in status.reason, "who publishes them"
    finally:
        stranger.stop()
    assert cell.observer.call("safety/release", 20)[0]
    assert cell.observer.wait(lambda: cell.observer.moving(0.15), 20), cell.log()
    driver.stop()
    cell.comes_to_rest(time.time())


def test_at_half_speed_of_the_slider_the_arm_moves_half_as_fast(cell):
    percent, node = [], cell.observer.node
    topic = cell.config.robot.speed_scaling_topic
    hears = node.create_subscription(Float64, topic, lambda m: percent.append(m.data), 10)
    cell.observer.fault("slider")
    assert cell.observer.wait(lambda: percent[-1:] == [50.0], 20)
    driver = Driver(cell.observer, lambda _: np.array((-0.2, 0.0, 0.2, 0.0, 0.0, 0.0)))
    since_s = time.time()
    assert cell.observer.wait(lambda: cell.observer.moving(0.09), 20), cell.log()
    time.sleep(1.0)
    driver.stop()
    path = cell.comes_to_rest(since_s)
    # 0.1 rad/s but for single steps of the simulator that come late: the arm then catches up with its trajectory.
    assert np.quantile(np.abs(path.qd).max(axis=1), 0.9) < 0.12
    assert np.abs(path.qd).max() < 0.2
    cell.observer.fault("none")
    assert cell.observer.wait(lambda: percent[-1:] == [100.0], 20)
    node.destroy_subscription(hears)


def test_a_robot_that_hears_nothing_is_reported(fresh_cell):
    fresh_cell.processes["sim_robot"].terminate()
    said = lambda: "no subscriber on" in fresh_cell.observer.status("safety_status").reason
    assert fresh_cell.observer.wait(said, 10)
    fresh_cell.processes["sim_robot"].wait(10)
    fresh_cell.start("sim_robot")
    assert fresh_cell.observer.wait(lambda: not said(), 20), fresh_cell.log()


def test_an_emergency_stop_of_a_best_effort_publisher_is_heard(cell):
    button = cell.observer.node.create_publisher(Bool, "emergency_stop", qos_profile_sensor_data)

    def pressed():  # what is sent before both sides have found each other is lost
        button.publish(Bool(data=True))
        return cell.observer.wait(lambda: cell.state() == "stopped", 0.5)

    assert any(pressed() for _ in range(40)), cell.log()
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
    assert fresh_cell.processes["safety"].wait(10) == -signal.SIGTERM
    path = fresh_cell.comes_to_rest(asked_s)
    assert np.abs(path.q[-1] - path.q[0]).max() < 0.1
    driver.stop()


# The watch breaks as soon as the file is there, and keeps breaking.
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


@pytest.mark.parametrize("acceleration", [1.4, 0.1])  # the second one needs 3 s to come to rest
def test_the_velocity_interface_is_stopped_by_zeros(tmp_path, acceleration):
    # Ages are not what is tried here: on a busy machine the slow one would never get up to speed.
    ages = {"safety.command_max_age_s": 0.3, "safety.joint_max_age_s": 0.5}
    cell = Cell(tmp_path, **{"robot.interface": "velocity", "safety.max_joint_acceleration_rad_s2": acceleration} | ages)
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
        assert cell.processes["safety"].wait(10) == -signal.SIGTERM
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


def test_an_arm_that_presses_backs_off_and_one_without_a_wrench_holds(tmp_path):
    cell = Cell(
        tmp_path,
        **WRENCH
        | {
            "sensors.wrench.fields": SIX,
            "sensors.wrench.scale": (1.0,),
            "safety.wrench": "wrench",
            "safety.max_force_n": 40.0,
            "safety.retreat_m": 0.03,
        },
    )
    place = lambda q: cell.observer.arm.tool_positions(q, "base")
    try:
        driver = cell.drive()
        time.sleep(0.5)
        began_s = time.time()
        cell.observer.fault("contact 0.5")
        assert cell.observer.wait(lambda: cell.state() == "holding", 20), cell.log()
        assert "contact: force " in cell.observer.status("safety_status").reason
        driver.stop()
        assert cell.observer.wait(lambda: cell.state() == "ready", 20), cell.log()
        path = cell.comes_to_rest(began_s)
        assert np.abs(path.qd).max() < 0.35
        back_m = np.linalg.norm(place(path.q) - place(path.q[-1:]), axis=1)
        assert back_m.max() == pytest.approx(0.03, abs=0.006)
        driver = cell.drive((-0.2, 0.0, -0.2, 0.0, 0.0, 0.0))
        cell.observer.fault("wrench_missing 1.0")
        assert cell.observer.wait(lambda: cell.state() == "holding", 20), cell.log()
        assert "s old; expected at most 0.2 s" in cell.observer.status("safety_status").reason
        assert cell.observer.wait(lambda: cell.observer.moving(0.15), 20), cell.log()
        driver.stop()
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
        assert cell.observer.wait(lambda: cell.state() == "holding", 20), cell.log()
        cell.comes_to_rest(let_go_s)
        driver.stop()
        status = cell.observer.status("safety_status")
        assert status.state == "holding" and "dead man" in status.reason
        assert dict(zip(status.rule_names, status.rule_counts))["dead_man"] >= 1
    finally:
        cell.close()


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"safety.box_frame": "base"}, "error: robot.home: tool y is at"),
        ({"robot.interface": "none"}, "error: robot.interface is 'none'"),
        ({"safety.command_max_age_s": 0.03}, "error: safety.command_max_age_s is 0.03"),
    ],
)
def test_a_configuration_that_cannot_be_kept_ends_with_one_line(tmp_path, changes, said):
    dump(from_parameters(SYSTEM | changes), tmp_path / "config.yaml")
    command = [sys.executable, "-m", "jsac_ros.nodes.safety", "--ros-args", "--params-file", str(tmp_path / "config.yaml")]
    environment = ENVIRONMENT | {"ROS_DOMAIN_ID": str(domains.take())}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    errors = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert result.returncode == 2 and len(errors) == 1 and errors[0].startswith(said), result.stderr


def test_a_process_whose_starter_died_while_it_was_starting_does_not_live_on(tmp_path):
    dump(from_parameters(SYSTEM), tmp_path / "config.yaml")
    command = [sys.executable, "-m", "jsac_ros.nodes.safety", "--ros-args", "--params-file", str(tmp_path / "config.yaml")]
    environment = ENVIRONMENT | {"ROS_DOMAIN_ID": str(domains.take()), "JSAC_STARTER_PID": "1"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert result.returncode == 1 and "the parent process has exited" in result.stderr


def test_the_operators_verbs_stop_and_release(cell):
    def verb(name, timeout_s="15"):
        command = [sys.executable, "-m", "jsac_ros", name, "--timeout", timeout_s]
        return subprocess.run(command, env=cell.environment, capture_output=True, text=True, timeout=60)

    stopped = verb("emergency-stop")
    assert (stopped.returncode, "stopped" in stopped.stdout) == (0, True), stopped.stderr
    assert cell.observer.wait(lambda: cell.state() == "stopped", 20)
    assert verb("release").returncode == 0
    assert cell.observer.wait(lambda: cell.state() != "stopped", 20)
    nobody = verb("checkpoint", "1")  # no learner here
    assert nobody.returncode == 1 and nobody.stderr.startswith("error: no answer from /learner/checkpoint")
