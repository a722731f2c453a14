"""What every process of ours does the same way: start, one line for a wrong configuration, end when asked.

A node is a class with `run()` (blocks until `stop` is set; by default it spins) and `close()` (always called; what
moves stops there). SIGINT and SIGTERM set `stop`; so does the death of the process that started us, however it died.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import rclpy
from rclpy.duration import Duration
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from jsac_ros.config import ConfigError, SystemConfig
from jsac_ros.nodes.parameters import load_config
from jsac_ros.signals import on_signals
from jsac_ros.system import make_run_folder

_PR_SET_PDEATHSIG = 1
_LAST_WORDS_S = 3.5  # a datagram that is lost comes again with the writer's next heartbeat, 3 s later at most
# Messages find their type support through a package that also holds the code generator, parser included: 7 MB that a
# running node has no use for. The package goes on without it where it cannot be imported, which is what this says.
sys.modules.setdefault("rosidl_generator_py.generate_py_impl", None)


class JsacNode(Node):
    """A node with the shared configuration in `config` and an event that asks it to end in `stop`."""

    def __init__(self, name: str, **options):
        super().__init__(name, automatically_declare_parameters_from_overrides=True, **options)
        self.stop = threading.Event()
        self.exit_code = 0
        self.config = load_config(self)

    def run(self) -> None:
        """Spins in the calling thread until `stop` is set."""
        self.spin_while(lambda: not self.stop.is_set())

    def spin_while(self, condition: Callable[[], bool]) -> None:
        """Asks again after every callback, and ten times a second."""
        executor = SingleThreadedExecutor()
        executor.add_node(self)
        try:
            while condition():
                executor.spin_once(timeout_sec=0.1)
        except ExternalShutdownException:
            pass
        finally:
            executor.remove_node(self)

    def close(self) -> None:
        """Releases what the node holds; called once, on every way out."""

    def fail(self, line: str, exit_code: int = 1) -> None:
        """Says what is wrong and ends the process."""
        self.get_logger().fatal(line)
        self.exit_code = exit_code
        self.stop.set()


class WorkingNode(JsacNode):
    """A node whose work is done in one thread of its own, beside the executor's. `doing` names it."""

    doing = ""

    def __init__(self, name: str, **options):
        super().__init__(name, **options)
        self._worker = threading.Thread(target=self._guarded, name=self.doing)

    def work(self) -> None:
        """Until `stop` is set, which it may do itself."""
        raise NotImplementedError

    def _guarded(self) -> None:
        """An exception ends the process, which must not linger without its thread."""
        try:
            self.work()
        except Exception as error:
            self.get_logger().error(traceback.format_exc())
            self.fail(f"{self.doing} stopped: {error}")

    def run(self) -> None:
        self._worker.start()
        super().run()

    def close(self) -> None:
        self.stop.set()
        if self._worker.is_alive():
            self._worker.join()


def run_node(make_node, args=None) -> int:
    """Starts ROS, makes the node, runs it to its end. Returns the exit status (2: configuration is wrong)."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.environ.get("JSAC_STARTER_PID", str(os.getppid())) != str(os.getppid()):
        print("error: who started this process has died since", file=sys.stderr, flush=True)
        return 1
    asked_to_stop = threading.Event()
    node = None

    def end():
        asked_to_stop.set()
        if node is not None:
            node.stop.set()

    # A launch file asks the processes to end in order with SIGTERM; Ctrl-C in its terminal reaches all at once.
    ignored = bool(os.environ.get("JSAC_IGNORE_SIGINT"))
    if ignored:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    on_signals([signal.SIGTERM] if ignored else [signal.SIGTERM, signal.SIGINT], end)
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = make_node()
        if not asked_to_stop.is_set():
            node.run()
        return node.exit_code
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 2
    finally:
        if node is not None:
            node.close()
            _be_heard(node)
            node.destroy_node()
        rclpy.try_shutdown()


def _be_heard(node: Node) -> None:
    """Waits until the last words have arrived, but not long for a listener that has died unnoticed."""
    end_s = time.monotonic() + _LAST_WORDS_S
    for publisher in node.publishers:
        publisher.wait_for_all_acked(Duration(seconds=max(end_s - time.monotonic(), 0.0)))


def claim(name: str) -> socket.socket:
    """Holds `name` for this process, on this host, until it ends however it ends.

    An abstract Unix socket: the kernel forgets it with the process, so there is nothing to clean up.
    Raises ConfigError when another process holds it.
    """
    held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        held.bind(f"\0{name}")
    except OSError:
        raise ConfigError(f"{name}: another process of this name runs on this host; expected one") from None
    return held


def run_folder(config: SystemConfig) -> Path:
    """Where this run keeps its files: as the starter set it, or a new folder where a node is started alone."""
    folder = os.environ.get("JSAC_RUN_FOLDER", "")
    return Path(folder) if folder else make_run_folder(config)
