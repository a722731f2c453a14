"""The dashboard as a process, on real topics and a real socket; a plain client stands for the browser."""

import contextlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import domains
import httpx2
import numpy as np
import pytest
import rclpy
from builtin_interfaces.msg import Time
from rclpy.executors import SingleThreadedExecutor
from rig_cases import FIVE, HOME
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool, Header
from std_srvs.srv import Trigger
from websockets.sync.client import connect

from jsac_ros import system
from jsac_ros.msg import Action, AppliedAction, ControlStatus, Episode, PersonAction, SafetyStatus, TrainingStatus
from jsac_ros.parameters import load
from jsac_ros.supervision import STOP

DOMAIN = domains.take()
ENVIRONMENT = os.environ | {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
TOPICS = {
    "control_status": ControlStatus, "training_status": TrainingStatus, "safety_status": SafetyStatus, "episode": Episode,
    "applied_action": AppliedAction, "policy_command": Action, "camera/image_raw": Image, "joint_states": JointState,
    "person_action": PersonAction,
}  # fmt: skip

UR5 = (*FIVE, "wrist_3_joint")

# A second camera on the same topic, grey and cropped.
CLOSE = {
    "cameras.close.topic": "camera/image_raw", "cameras.close.crop": (0, 0, 32, 48), "cameras.close.channels": 1,
    "cameras.close.height": 32, "cameras.close.width": 48, "task.camera": "wrist",
}  # fmt: skip


def start(config, folder, domain=DOMAIN, **changes):
    """The dashboard of a run in `folder`; -> the process and the run folder."""
    values = {"run.folder": str(folder), "dashboard.enabled": True, "dashboard.port": 0} | changes
    run = system.make_run_folder(load(config, values))
    command = [sys.executable, "-m", "jsac_ros.nodes.dashboard", "--ros-args", "--params-file", str(run / "config.yaml")]
    environment = ENVIRONMENT | {"JSAC_RUN_FOLDER": str(run), "ROS_DOMAIN_ID": str(domain)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True), run


class Run:
    """The dashboard and what it talks to: publishers in the place of the other processes, and an actor's `pause`."""

    def __init__(self, config, folder):
        self.popen, self.folder = start(config, folder, **CLOSE)
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=DOMAIN)
        self.node = rclpy.create_node("others", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.publishers = {topic: self.node.create_publisher(kind, topic, 10) for topic, kind in TOPICS.items()}
        self.stopped, self.paused = [], []
        self.node.create_subscription(Bool, "emergency_stop", lambda message: self.stopped.append(message.data), 10)
        self.node.create_service(Trigger, "actor/pause", self._on_pause)
        line = self.popen.stdout.readline()
        assert line.startswith("dashboard: http://127.0.0.1:"), line + self.rest()
        self.url, self.token = re.fullmatch(r"dashboard: (http://[^/]*)/#token=(\S+)\n", line).groups()

    def _on_pause(self, _, response):
        self.paused.append(True)
        response.success, response.message = True, "pause: was acting"
        return response

    def rest(self):
        self.popen.kill()
        return self.popen.stdout.read()

    def post(self, verb, token=None):
        """As a button does, while this side of the services spins."""
        headers = {"x-jsac-token": self.token if token is None else token}
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(httpx2.post, f"{self.url}/do/{verb}", headers=headers, timeout=20)
            self.until(answer.done)
        return answer.result()

    def until(self, condition, seconds=30):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline
            self.executor.spin_once(timeout_sec=0.02)

    def viewer(self):
        return connect(f"{self.url.replace('http', 'ws')}/look", origin=self.url)

    def subscriptions(self, topic):
        return self.publishers[topic].get_subscription_count()

    def close(self):
        self.popen.kill()
        self.popen.wait()
        self.popen.stdout.close()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture(scope="module")
def demo(request):
    return request.config.rootpath / "config" / "ur5_reacher_demo.yaml"


@pytest.fixture(scope="module")
def run(demo, tmp_path_factory):
    run = Run(demo, tmp_path_factory.mktemp("runs"))
    run.until(lambda: run.subscriptions("control_status"))
    yield run
    run.close()


def parts(viewer, *names, seconds=20):
    """What the viewer has been told, once it knows all of `names`."""
    lists = ("episodes", "events", "ticks")
    told, deadline = {name: [] for name in lists}, time.monotonic() + seconds
    while not all(told.get(name) for name in names):
        message = viewer.recv(timeout=max(0.1, deadline - time.monotonic()))
        if isinstance(message, str):
            for name, value in json.loads(message).items():
                told[name] = told[name] + value if name in lists else value
    return told


def test_the_address_with_the_token_is_for_this_user_alone(run):
    for name in ("dashboard_url", "dashboard_token"):
        assert stat.S_IMODE((run.folder / name).stat().st_mode) == 0o600
    assert (run.folder / "dashboard_url").read_text().strip() == f"{run.url}/#token={run.token}"
    assert httpx2.get(run.url).status_code == 200


def test_what_the_processes_publish_reaches_the_viewer(run):
    with run.viewer() as viewer:
        told = parts(viewer, "run")
        assert told["run"]["cameras"] == ["close", "wrist"] and list(told["run"]["actions"]) == ["arm"]
        session = 2**63 + 1
        run.publishers["control_status"].publish(ControlStatus(state="holding", reason="image 0.3 s old", rate_hz=float("nan")))
        for count in (2, 3):
            run.publishers["safety_status"].publish(SafetyStatus(state="moving", rule_names=["box"], rule_counts=[count]))
        run.publishers["episode"].publish(Episode(robot="ur5", session=session, episode=4, episode_return=2.5, success=True))
        told = parts(viewer, "control", "safety", "episodes", "events", "rules")
        assert told["control"]["rate_hz"] is None and told["control"]["state"] == "holding"
        assert (told["safety"]["rule_names"], told["safety"]["rule_counts"]) == (["box"], [3])
        (episode,) = told["episodes"]
        assert (episode["session"], episode["episode"], episode["episode_return"]) == (str(session), 4, 2.5)
        assert told["rules"] == ["box"]
        held = [event for event in told["events"] if event["kind"] == "hold"]
        assert [(event["text"], event["end_s"]) for event in held] == [("holding: image … s old", None)]


def test_without_a_viewer_it_sleeps_whatever_is_published(run):
    """Statuses at 20 Hz, ten seconds of which are in two: a wake for each would be 40, and one to look whether to end 20 more."""
    run.until(lambda: run.subscriptions("policy_command") == 0)
    wakes = lambda: int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (proc / "status").read_text(), re.MULTILINE)[1])
    proc = Path(f"/proc/{run.popen.pid}/task/{run.popen.pid}")
    before = wakes()
    for _ in range(40):
        run.publishers["safety_status"].publish(SafetyStatus(state="moving"))
        time.sleep(0.05)
    assert wakes() - before < 20
    run.publishers["training_status"].publish(TrainingStatus(updates=77))
    with run.viewer() as viewer:
        assert parts(viewer, "training")["training"]["updates"] == 77, "heard without a viewer, and told at once"


def test_cameras_are_subscribed_while_a_viewer_is_there(run):
    camera = run.publishers["camera/image_raw"]
    run.until(lambda: run.subscriptions("camera/image_raw") == 0)
    with run.viewer() as viewer:
        run.until(lambda: run.subscriptions("camera/image_raw") == 1)
        viewer.send(json.dumps({"images": ["close", "wrist"]}))
        red = np.zeros((64, 96, 3), np.uint8)
        red[..., 0] = 200
        shown, end_s = {}, time.monotonic() + 60
        while len(shown) < 2:
            assert time.monotonic() < end_s, sorted(shown)
            for height in (7, 64):  # the first is not of the size that it says: refused. Best effort: some may be lost
                camera.publish(Image(height=height, width=96, encoding="rgb8", step=288, data=red.tobytes()))
            with contextlib.suppress(TimeoutError):
                if isinstance(message := viewer.recv(timeout=0.2), bytes):
                    header, _, jpeg = message.partition(b"\0")
                    shown[json.loads(header)["image"]] = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
                    viewer.send(json.dumps({"seen": True}))
    assert shown["wrist"].shape == shown["close"].shape == (64, 96, 3)
    assert shown["wrist"][32, 48, 2] > 180 and shown["wrist"][32, 48, :2].max() < 30
    assert np.ptp(shown["close"][32, 48]) < 3, "grey"
    run.until(lambda: run.subscriptions("camera/image_raw") == 0)


def test_commands_and_joints_are_listened_to_while_a_viewer_is_there(run):
    """Ticks as columns of the latency strip, the safety box where the tool's camera sees it."""
    run.until(lambda: run.subscriptions("policy_command") == 0)
    with run.viewer() as viewer:
        run.until(lambda: all(run.subscriptions(topic) for topic in ("policy_command", "applied_action", "joint_states")))
        for tick in range(40):
            stamp = Time(sec=1000 + tick // 25, nanosec=40_000_000 * (tick % 25) + 3_000_000)
            run.publishers["policy_command"].publish(Action(tick=tick, header=Header(stamp=stamp)))
            stamp = Time(sec=stamp.sec, nanosec=stamp.nanosec + 1_000_000)
            run.publishers["applied_action"].publish(AppliedAction(tick=tick, header=Header(stamp=stamp)))
            if tick in (20, 21, 22):
                run.publishers["control_status"].publish(ControlStatus(state="acting", done_ms=[3.0] * 4))
            run.publishers["joint_states"].publish(JointState(name=list(UR5), position=HOME, velocity=[0.0] * 6))
            run.executor.spin_once(timeout_sec=0.02)
        told = parts(viewer, "ticks", "overlay")
    assert told["ticks"][-1] == pytest.approx([3.0, 4.0], abs=0.1)
    assert list(told["overlay"]) == ["wrist"] and len(told["overlay"]["wrist"]["box"]) >= 4
    run.until(lambda: run.subscriptions("policy_command") == run.subscriptions("joint_states") == 0)


def test_that_a_person_acts_is_said_while_they_do(run):
    with run.viewer() as viewer:
        run.until(lambda: run.subscriptions("person_action"))
        for holds in (True, False):
            told = {}
            while told.get("person") is not holds:
                run.publishers["person_action"].publish(PersonAction(holds=holds))
                with contextlib.suppress(TimeoutError):
                    message = viewer.recv(timeout=0.1)
                    told = json.loads(message) if isinstance(message, str) else told


def test_buttons_call_what_the_command_line_calls(run):
    assert run.post("pause", token="wrong").status_code == 403 and not run.paused
    answer = run.post("pause")
    assert answer.json() == {"success": True, "message": "pause: was acting"} and run.paused == [True]
    answer = run.post("checkpoint")
    assert answer.status_code == 409 and "no process serves learner/checkpoint" in answer.json()["message"]


def test_the_emergency_stop_needs_no_service(run):
    assert run.post("emergency-stop").json()["success"]
    run.until(lambda: run.stopped)
    assert run.stopped == [True]


def test_where_the_port_is_taken_another_is(demo, run, tmp_path):
    taken = int(run.url.rpartition(":")[2])
    popen, _ = start(demo, tmp_path, domains.take(), **{"dashboard.port": taken})
    url = popen.stdout.readline()
    popen.kill()
    popen.communicate()
    assert re.match(r"dashboard: http://127\.0\.0\.1:\d+/", url) and f":{taken}/" not in url


def test_it_ends_when_asked_though_a_page_is_open(run):
    with run.viewer() as viewer:
        parts(viewer, "run")
        began_s = time.monotonic()
        run.popen.send_signal(STOP)
        assert parts(viewer, "ended")["ended"] == str(run.folder)
        assert time.monotonic() - began_s < 1.0, "it is asleep, but not deaf"
        assert run.popen.wait(10) == 0, run.rest()
    assert not (run.folder / "dashboard_url").exists()
    assert "Traceback" not in run.popen.stdout.read()


def test_an_address_of_another_computer_is_one_line(demo, tmp_path):
    popen, _ = start(demo, tmp_path, **{"dashboard.host": "203.0.113.1"})
    words = popen.communicate(timeout=60)[0]
    assert popen.returncode == 2
    (line,) = words.splitlines()
    assert "dashboard.host 203.0.113.1" in line and "expected an address of this computer" in line


def test_killed_without_a_starter_it_dies_of_the_signal(demo, tmp_path):
    popen, _ = start(demo, tmp_path)
    assert popen.stdout.readline().startswith("dashboard: ")
    popen.send_signal(signal.SIGTERM)
    popen.communicate(timeout=30)
    assert popen.returncode == -signal.SIGTERM
