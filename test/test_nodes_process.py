"""What every node has: timers that no clock stops, parameters that nobody changes, ends that still listen."""

import ast
import errno
import inspect
import re
import threading
import time
from pathlib import Path

import domains
import pytest

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

import rclpy
from builtin_interfaces.msg import Time as TimeMessage
from rcl_interfaces.srv import GetParameters, SetParameters, SetParametersAtomically
from rclpy.clock import Clock
from rclpy.executors import SingleThreadedExecutor
from rclpy.impl.rcutils_logger import Throttle
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from rclpy.time import Time
from replay_cases import make_transition
from rosgraph_msgs.msg import Clock as ClockMessage
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from jsac_ros import parameters
from jsac_ros.config import ConfigError, NoRoom
from jsac_ros.msg import Action, SimTruth, Transition, TransitionAck, Vector
from jsac_ros.nodes import process
from jsac_ros.nodes.parameters import READ_ONLY, PolledParameters
from jsac_ros.nodes.process import JsacNode, WorkingNode
from jsac_ros.nodes.transitions import TransitionSender
from jsac_ros.ros_graph import publishers_of
from jsac_ros.run_key import RunKey
from jsac_ros.supervision import NO_ROOM, WRONG_CONFIGURATION

DOMAIN = domains.take()
pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def ros(monkeypatch):
    """A context of its own, in the place of the default one that a node's process has."""
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    monkeypatch.setenv("ROS_DOMAIN_ID", str(DOMAIN))
    rclpy.init(args=[])
    yield
    rclpy.shutdown()


def wait(until, look=lambda: time.sleep(0.02), seconds=20.0):
    deadline = time.monotonic() + seconds
    while not until() and time.monotonic() < deadline:
        look()
    assert until()


def spin(executor, until):
    wait(until, lambda: executor.spin_once(timeout_sec=0.05))


def test_timers_go_on_when_the_clock_is_set_back(ros):
    """By /clock, which rclpy's timers follow like the computer's own."""
    node = JsacNode("timed", parameter_overrides=[Parameter("use_sim_time", value=True)])
    calls = []
    node.create_timer(0.02, lambda: calls.append(node.get_clock().now().nanoseconds))
    clock = node.create_publisher(ClockMessage, "/clock", 10)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        for seconds in (5000, 1000, 1000):  # the last one: it stands still
            before = len(calls)
            clock.publish(ClockMessage(clock=TimeMessage(sec=seconds)))
            spin(executor, lambda: len(calls) > before + 5 and calls[-1] == seconds * 1_000_000_000)
    finally:
        node.destroy_node()


@pytest.fixture(params=[False, True], ids=["as usual", "polled"])
def configured(ros, request):
    """A node with a limit, its client and their executor."""
    limit = Parameter("safety.max_joint_speed_rad_s", value=0.3)
    node = JsacNode("configured", parameter_overrides=[limit], start_parameter_services=not request.param)
    if request.param:
        services = PolledParameters(node)
        node.create_timer(0.02, services.answer)
    client = rclpy.create_node("client")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    executor.add_node(client)
    yield node, client, executor
    client.destroy_node()
    node.destroy_node()
    node._claim.close()


def call(client, executor, kind, name, **request):
    """As `ros2 param` does."""
    service = client.create_client(kind, f"configured/{name}")
    spin(executor, service.service_is_ready)
    future = service.call_async(kind.Request(**request))
    spin(executor, future.done)
    return future.result()


@pytest.mark.parametrize(
    "parameter",
    [
        Parameter("safety.max_joint_speed_rad_s", value=0.1),
        Parameter("use_sim_time", value=True),
        Parameter("safety.max_joint_speed_rad_s"),  # undeclared
        Parameter("unknown", value=1),
    ],
    ids=["a limit", "use_sim_time", "removed", "unknown"],
)
def test_a_parameter_that_is_set_from_outside_is_refused_and_nothing_changes(configured, parameter):
    node, client, executor = configured
    message = parameter.to_parameter_msg()
    (result,) = call(client, executor, SetParameters, "set_parameters", parameters=[message]).results
    atomically = call(client, executor, SetParametersAtomically, "set_parameters_atomically", parameters=[message]).result
    assert not result.successful and not atomically.successful and result.reason
    if parameter.type_ != Parameter.Type.NOT_SET and parameter.name != "unknown":
        assert result.reason == atomically.reason == READ_ONLY
    names = ["safety.max_joint_speed_rad_s", "use_sim_time"]
    values = call(client, executor, GetParameters, "get_parameters", names=names).values
    assert [values[0].double_value, values[1].bool_value] == [0.3, False]
    assert not node._time_source.ros_time_is_active


class Sends(WorkingNode):
    """Sends transitions when it is asked to end, and waits until replay has them."""

    doing = "sending"

    def __init__(self):
        super().__init__("sends")
        self.sender = TransitionSender(self, "arm", 7, RunKey(None))

    def work(self):
        self.stop.wait()
        for _ in range(3):
            self.sender.send(make_transition())
        self.sender.drain()


class Refuses(WorkingNode):
    doing = "learning"

    def work(self):
        raise ConfigError(
            "shared memory /jsac_0_batches: it belongs to user 1001 with mode 0666; expected user 0 with mode 0600"
        )


def test_work_that_finds_what_is_not_ours_ends_in_one_line(ros, capfd):
    node = Refuses("refuses")
    node.run()
    node.destroy_node()
    (line,) = capfd.readouterr().err.splitlines()
    assert node.exit_code == 1 and "learning stopped: shared memory /jsac_0_batches: it belongs to user 1001" in line


def test_what_is_sent_at_the_end_is_still_acknowledged(ros):
    """By a replay that takes a moment for it, in an executor and a thread of its own."""
    replay, sender, seen = rclpy.create_node("replay"), Sends(), []
    acks = replay.create_publisher(TransitionAck, "transition_ack", 10)

    def on_transition(message):
        seen.append(message.sequence)
        time.sleep(0.1)
        acks.publish(TransitionAck(robot="arm", session=7, next_sequence=message.sequence + 1))

    replay.create_subscription(Transition, "transitions", on_transition, 10)
    executor = SingleThreadedExecutor()
    executor.add_node(replay)
    ended = threading.Event()

    def listen():
        while not ended.is_set():
            executor.spin_once(timeout_sec=0.05)

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        found = lambda: replay.count_subscribers("transition_ack") and sender.count_subscribers("transitions")
        wait(found)
        sender.stop.set()
        sender.run()
        sender.close()
        assert len(sender.sender.outbox) == 0 and seen == [0, 1, 2]
    finally:
        ended.set()
        thread.join()
        replay.destroy_node()
        sender.destroy_node()


def test_a_timer_that_fails_is_counted_and_its_process_continues(ros):
    node, calls = JsacNode("failing"), []

    def looks():
        calls.append(1)
        raise KeyError("tip")

    node.create_timer(0.02, looks)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        spin(executor, lambda: len(calls) > 3)
        assert node.refusals.count["timer looks"] >= 3
    finally:
        node.destroy_node()


@pytest.mark.parametrize(
    "verb, said", [("emergency_stop", "jsac-ros release"), ("release", "it was not stopped"), ("", "stopped")]
)
def test_safety_writes_to_the_log_who_asked(ros, capfd, verb, said):
    """By both services, and by the topic of the emergency stop."""
    from jsac_ros.nodes.safety import Safety

    safety, panel = Safety(), rclpy.create_node("panel")
    client = panel.create_client(Trigger, f"safety/{verb or 'release'}")
    publisher = None if verb else panel.create_publisher(Bool, "emergency_stop", 10)
    executor = SingleThreadedExecutor()
    executor.add_node(safety)
    executor.add_node(panel)
    try:
        spin(executor, client.service_is_ready)
        if publisher:
            spin(executor, publisher.get_subscription_count)
            spin(executor, lambda: publishers_of(safety, "emergency_stop") == ["/panel"])  # names come after their topics
            publisher.publish(Bool(data=True))
            spin(executor, lambda: safety._gate.stopped)
        else:
            answer = client.call_async(Trigger.Request())
            spin(executor, answer.done)
            assert answer.result().success and said in answer.result().message
        log = []
        spin(executor, lambda: log.append(capfd.readouterr().err) or "by /panel" in "".join(log))
        assert said in "".join(log)
    finally:
        safety.close()
        safety._claim.close()
        safety.destroy_node()
        panel.destroy_node()


def test_every_verb_that_a_node_serves_is_written_to_the_log_with_who_asked():
    """By `answered`, of which the test above sees what it writes."""
    served = []
    for file in Path(process.__file__).parent.glob("*.py"):
        tree = ast.parse(file.read_text())
        functions = {item.name: ast.unparse(item) for item in ast.walk(tree) if isinstance(item, ast.FunctionDef)}
        for call in (item for item in ast.walk(tree) if isinstance(item, ast.Call)):
            kind, name, handler = [ast.unparse(argument) for argument in call.args[:3]] if len(call.args) > 2 else ("", "", "")
            if ast.unparse(call.func).endswith("create_service") and kind == "Trigger":
                (method,) = re.findall(r"self\.(\w+)", handler)
                assert ".answered(" in functions[method], f"{file.name}: {name}"
                served.append(f"{file.stem}: {name}")
    assert len(served) == 6, served


@pytest.mark.parametrize("values", [(), (("tip", (0.0, 0.0, 0.0)),), (("tip", (float("nan"),) * 3),)])
def test_a_scripted_person_survives_a_truth_that_is_no_scene_of_ours(monkeypatch, tmp_path, values):
    from jsac_ros.nodes.scripted_person import ScriptedPerson

    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    monkeypatch.setenv("ROS_DOMAIN_ID", str(DOMAIN))
    file = tmp_path / "lift.yaml"
    parameters.dump(parameters.load("lift", {"person.by": "expert"}), file)
    rclpy.init(args=["--ros-args", "--params-file", str(file)])
    try:
        person, stranger = ScriptedPerson(), rclpy.create_node("stranger")
        truths = stranger.create_publisher(SimTruth, "sim_truth", qos_profile_sensor_data)
        ticks = stranger.create_publisher(Action, "policy_command", 1)
        executor = SingleThreadedExecutor()
        executor.add_node(person)

        def say():
            truths.publish(SimTruth(values=[Vector(name=name, values=numbers) for name, numbers in values]))
            ticks.publish(Action(policy_version=1))
            for _ in range(15):
                executor.spin_once(timeout_sec=0.02)

        wait(lambda: person.refusals.count, say)
        assert set(person.refusals.count) == {"sim_truth"}
        person._claim.close()
        person.destroy_node()
        stranger.destroy_node()
    finally:
        rclpy.shutdown()


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "t.csv"), NO_ROOM),
        (NoRoom("replay store: no room"), NO_ROOM),
        (ConfigError("run.name is 1; expected text"), WRONG_CONFIGURATION),
    ],
)
def test_a_node_that_cannot_start_says_whether_room_is_all_that_it_needs(monkeypatch, capsys, error, status):
    monkeypatch.setattr(process, "on_signals", lambda *_: None)

    def make_node():
        raise error

    assert process.run_node(make_node, []) == status
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")


def test_a_thread_that_fails_ends_its_process(ros):
    node = JsacNode("failing")
    try:
        node.thread(lambda: {}["no gauge"], "counting").start()
        node.run()
        assert node.exit_code == 1
    finally:
        node.destroy_node()
        node._claim.close()


class SetBack(Clock):
    """The computer's clock, an hour earlier every time it is asked."""

    def __new__(cls):
        clock = super().__new__(cls)
        clock.seconds = 1_800_000_000
        return clock

    def now(self):
        self.seconds -= 3600
        return Time(seconds=self.seconds)


def test_throttled_lines_come_when_the_computers_clock_is_set_back(ros, monkeypatch):
    monkeypatch.setitem(Throttle.params, "throttle_time_source_type", SetBack())
    node = JsacNode("throttled")
    try:
        said = []
        for _ in range(3):
            said += [node.get_logger().error("the disk is full", throttle_duration_sec=0.1) for _ in range(2)]
            assert node.get_logger().info("another line") and node.get_logger().warning("and one", throttle_duration_sec=0.01)
            time.sleep(0.12)
        assert said == [True, False] * 3
    finally:
        node.destroy_node()
        node._claim.close()


def test_no_node_overwrites_an_attribute_of_rclpys():
    """`self._services` of a node of ours once made rclpy's own list of services unreachable: the node ended in a traceback."""
    theirs = set(re.findall(r"self\.(_\w+)", inspect.getsource(rclpy.node.Node)))
    for file in Path(process.__file__).parent.glob("*.py"):
        nodes = [item for item in ast.walk(ast.parse(file.read_text())) if isinstance(item, ast.ClassDef) and is_a_node(item)]
        for node in nodes:
            ours = {item.attr for item in ast.walk(node) if isinstance(item, ast.Attribute) and isinstance(item.ctx, ast.Store)}
            assert ours & theirs == set(), file.name


def is_a_node(definition):
    return any(isinstance(base, ast.Name) and base.id.endswith("Node") for base in definition.bases)
