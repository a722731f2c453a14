"""Start and end of every process: one line for a wrong configuration, and an orderly exit on signals.

A node is a class with `run()` (blocks until `stop` is set; by default it spins) and `close()` (always called; stops
everything that moves). The starter's signal, SIGTERM, SIGINT and SIGHUP set `stop`, and so does the death of the starter. After
the starter's own signal the process exits with status 0. After any other signal it shuts down in the same order but dies of the
signal, so that its starter restarts it. A process that hangs dies too (`watchdog`).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node, NodeNameNonExistentError
from rclpy.signals import SignalHandlerOptions

from jsac_ros import domain
from jsac_ros.claims import claim
from jsac_ros.config import ConfigError, NoRoom, SystemConfig
from jsac_ros.files import is_full
from jsac_ros.nodes.parameters import load_config, refuse_changes
from jsac_ros.nodes.refusals import Refusals
from jsac_ros.nodes.steady_logger import SteadyLogger
from jsac_ros.nodes.written import Written
from jsac_ros.output import drop_what_is_lost, drop_what_is_not_read
from jsac_ros.signals import endings, on_signals
from jsac_ros.supervision import NO_ROOM, STOP, WRONG_CONFIGURATION
from jsac_ros.watchdog import END_S, START_S, Watchdog

_PR_SET_PDEATHSIG = 1
_LAST_WORDS_S = 3.5  # a lost datagram is resent with the writer's next heartbeat: after 0.2 s, or 3 s without our DDS profile
# Messages import their type support from a package that also imports its code generator with a parser: 7 MB that a running
# node does not need. None instead of the module prevents that import, which the package tolerates.
sys.modules.setdefault("rosidl_generator_py.generate_py_impl", None)


class JsacNode(Node):
    """A node with the shared configuration in `config`, and an event `stop` that asks it to end. Only one process of a name
    may run per namespace and host. Messages that its callbacks cannot use are refused (`refusals`); files in the run folder may
    wait for space on a full disk (`written`). `watchdog` ends the process if the executor, or a thread that calls it, hangs."""

    kinds: tuple[str, ...] = ("robot", "action", "task")  # kinds of plug-ins that it needs
    max_hang_s = float("inf")  # limits `run.max_hang_s`
    _steady_logger: SteadyLogger | None = None

    def __init__(self, name: str, **options):
        self.refusals, self.written = Refusals(self), Written(self)
        super().__init__(name, automatically_declare_parameters_from_overrides=True, **options)
        self.stop = threading.Event()
        self.exit_code = 0
        self._claim = claim(self.get_namespace(), name)
        self.config = load_config(self, self.kinds)
        is_supervised = "JSAC_STARTER_PID" in os.environ  # only a starter starts it again
        self.watchdog = Watchdog(min(self.config.run.max_hang_s, self.max_hang_s) if is_supervised else 0.0)
        self.watchdog.beat(START_S)
        self.add_on_set_parameters_callback(refuse_changes)

    def get_logger(self) -> SteadyLogger:
        """Like rclpy's, but throttled by the steady clock."""
        if self._steady_logger is None:
            self._steady_logger = SteadyLogger(super().get_logger().name)
        return self._steady_logger

    def create_timer(self, period_s, callback, clock=None, **options):
        """Like rclpy's, but on the steady clock, as the wall clock may be set back and simulated time may stand still. Guarded
        like a subscription, because the callback works with received data."""
        guarded = self.refusals.guarded(f"timer {getattr(callback, '__name__', 'of the node')}", callback)
        return super().create_timer(period_s, guarded, clock=clock or Clock(clock_type=ClockType.STEADY_TIME), **options)

    def create_subscription(self, msg_type, topic, callback, qos_profile, **options):
        """Like rclpy's, but if the callback raises, the message is refused and the node continues."""
        return super().create_subscription(msg_type, topic, self.refusals.guarded(topic, callback), qos_profile, **options)

    def create_service(self, srv_type, srv_name, callback, **options):
        """Like rclpy's, with the same guard."""
        guarded = self.refusals.guarded_service(srv_name, callback, srv_type.Response)
        return super().create_service(srv_type, srv_name, guarded, **options)

    def answered(self, service: str, response, success: bool, message: str):
        """Fills the response of an operator's service, and logs it with the nodes that may have called the service."""
        response.success, response.message = success, message
        log = self.get_logger().info if success else self.get_logger().warning
        log(f"{message} (called by {', '.join(self._clients_of(service)) or 'a client that has gone'})")
        return response

    def _clients_of(self, service: str) -> list[str]:
        """Names of the nodes with a client of the service; a request does not identify its sender."""
        service, found = self.resolve_service_name(service), []
        for name, namespace in self.get_node_names_and_namespaces():
            try:
                clients = self.get_client_names_and_types_by_node(name, namespace)
            except NodeNameNonExistentError:  # it has just exited
                continue
            if any(service == client for client, _ in clients):
                found.append(f"{namespace.rstrip('/')}/{name}")
        return found

    def run(self) -> None:
        """Spins in the calling thread until `stop` is set."""
        self.spin_while(lambda: not self.stop.is_set())

    def spin_while(self, condition: Callable[[], bool], look_s: float = 0.1) -> None:
        """Spins while `condition()` is true; checks it after every callback and every `look_s` seconds."""
        executor = SingleThreadedExecutor()
        executor.add_node(self)
        try:
            while condition():
                self.watchdog.beat()
                executor.spin_once(timeout_sec=look_s)
        except ExternalShutdownException:
            pass
        finally:
            self.watchdog.rest()
            executor.remove_node(self)

    def close(self) -> None:
        """Releases the node's resources; called exactly once, however the process ends."""

    def thread(self, work: Callable[[], None], doing: str, daemon: bool = False) -> threading.Thread:
        """Not started yet. An exception in it ends the process, which must not linger without its thread."""

        def guarded() -> None:
            try:
                work()
            except Exception as error:
                if not isinstance(error, ConfigError):  # else one line tells all
                    self.get_logger().error(traceback.format_exc())
                self.fail(f"{doing} stopped: {error}")
            finally:
                self.watchdog.rest()

        return threading.Thread(target=guarded, name=doing, daemon=daemon)

    def fail(self, line: str, exit_code: int = 1) -> None:
        """Logs the error and ends the process."""
        self.get_logger().fatal(line)
        self.exit_code = exit_code
        self.stop.set()


class WorkingNode(JsacNode):
    """A node that works in one thread beside the executor's. `doing` names it.

    The executor spins until the work has ended, because ending may need messages.
    """

    doing = ""

    def __init__(self, name: str, **options):
        super().__init__(name, **options)
        self._worker = self.thread(self.work, self.doing)

    def work(self) -> None:
        """Works until `stop` is set, which it may do itself."""
        raise NotImplementedError

    def run(self) -> None:
        self._worker.start()
        self.spin_while(self._worker.is_alive)

    def close(self) -> None:
        self.stop.set()
        if self._worker.is_alive():
            self._worker.join()


def run_node(make_node, args=None) -> int:
    """Starts ROS, creates the node and runs it to its end. Returns the exit status, see `supervision`."""
    drop_what_is_lost()
    drop_what_is_not_read(is_ours="JSAC_OWN_OUTPUT" in os.environ)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.environ.get("JSAC_STARTER_PID", str(os.getppid())) != str(os.getppid()):
        print("error: the parent process has exited; not starting", file=sys.stderr, flush=True)
        return 1
    asked: list[int] = []  # signals received to end
    node = None

    def end(number: int) -> None:
        asked.append(number)
        if node is not None:
            node.watchdog.beat(END_S)
            node.stop.set()

    on_signals(_endings(), end)
    try:
        rclpy.init(args=args, domain_id=domain.domain_id(), signal_handler_options=SignalHandlerOptions.NO)
        node = make_node()
        node.watchdog.rest()  # watched again while it spins
        if not asked:
            node.run()
        status = node.exit_code
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        status = NO_ROOM if isinstance(error, NoRoom) else WRONG_CONFIGURATION
    except OSError as error:
        if node is not None or not is_full(error):
            raise
        print(f"error: {error.filename or 'the disk'}: {error.strerror}", file=sys.stderr, flush=True)
        status = NO_ROOM
    finally:
        if node is not None:
            node.watchdog.beat(END_S)
            node.close()
            _be_heard(node)
            node.destroy_node()
        rclpy.try_shutdown()
    if asked and STOP not in asked and status == 0:
        _die_of(asked[0])
    return status


def _endings() -> list[int]:
    """The signals that end the process. The launch file starts it with SIGINT and SIGHUP ignored, since Ctrl-C and a closing
    terminal would reach all processes at once, and stops the processes in turn."""
    return [STOP, *(number for number in endings() if signal.getsignal(number) != signal.SIG_IGN)]


def _die_of(number: int) -> None:
    """Dies of the signal itself, so that starters, shells and process managers see it."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _be_heard(node: Node) -> None:
    """Waits until the last messages are acknowledged, but not long, as a subscriber may have died unnoticed."""
    end_s = time.monotonic() + _LAST_WORDS_S
    for publisher in node.publishers:
        publisher.wait_for_all_acked(Duration(seconds=max(end_s - time.monotonic(), 0.0)))


def run_folder(config: SystemConfig) -> Path:
    """The run folder set by the starter, or a new one if the node is started alone."""
    folder = os.environ.get("JSAC_RUN_FOLDER", "")
    if folder:
        return Path(folder)
    from jsac_ros.system import make_run_folder  # imported late: saves 2 of the 80 MB of the safety process

    return make_run_folder(config)
