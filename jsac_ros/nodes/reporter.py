"""Reporter: writes the tables and reports of a run, and shows its progress on standard output.

Subscribes  episode, control_status, training_status, replay_status, safety_status
Publishes   safety_box (std_msgs/String, latched: a URDF of the box, for RViz and Foxglove)
Writes      `episodes.csv`, `metrics.csv` (one row per second), the logs of `report.loggers` (`tensorboard/`), `summary.json`
            (every ten seconds, so that a killed run has one); in child processes of low priority `baseline.json`,
            `learning_curve.png` and `report.html`
A process because disks, plots and terminals must not delay a control tick or an update; it starts first and stops last.
"""

from __future__ import annotations

import math
import subprocess
import sys
import time

from rclpy.qos import QoSProfile
from std_msgs.msg import String

from jsac_ros import elapsed, plugins
from jsac_ros.config import ConfigError
from jsac_ros.msg import ControlStatus, Episode, ReplayStatus, SafetyStatus, TrainingStatus
from jsac_ros.nodes.process import JsacNode, run_folder, run_node
from jsac_ros.nodes.qos import LATCHED
from jsac_ros.replay.format import ROBOT_BYTES
from jsac_ros.report.display import Display
from jsac_ros.report.events import Events
from jsac_ros.report.processes import Processes
from jsac_ros.report.progress import Progress, closing
from jsac_ros.report.summary import read_totals, summary_of, write_summary
from jsac_ros.report.tables import (
    BASELINE,
    MOST_EPISODES,
    PERCENTILES,
    ROW_PERIOD_S,
    Row,
    Table,
    flatten,
    number,
    row_period_s,
)  # fmt: skip
from jsac_ros.robots.box import safety_box

STATUSES = {  # topic -> (message, prefix of its columns)
    "control_status": (ControlStatus, "control"),
    "training_status": (TrainingStatus, "learner"),
    "replay_status": (ReplayStatus, "replay"),
    "safety_status": (SafetyStatus, "safety"),
}
SUMMARY_PERIOD_S = 10.0
CURVE_PERIOD_S = 300.0  # two CPU seconds each
STALE_S = 3.0  # a status older than this is not written again
LAST_WORDS_S = 4.0  # how long to wait at the end for messages of processes that are still exiting
QUIET_S = 0.5
LAST_DRAWING_S = 30.0
MOST_ROBOTS, MOST_COLUMNS = 16, 500


def _fields(message) -> dict:
    return {name: getattr(message, name) for name in message.get_fields_and_field_types()}


def _columns(message_type, prefix: str) -> list[str]:
    """The columns known before the first message; those of named values are added when they arrive."""
    columns = []
    for field, kind in message_type.get_fields_and_field_types().items():
        if kind == "float[4]":
            columns += [f"{prefix}.{field}.{p}" for p in PERCENTILES]
        elif "/" not in kind and "sequence" not in kind:
            columns.append(f"{prefix}.{field}")
    return columns


def _child(nice: int, *words: str) -> subprocess.Popen:
    """Starts `jsac-ros WORDS` as a child process, so that its memory is freed when it ends; it dies with this process."""
    command = ["nice", "-n", str(nice), sys.executable, "-m", "jsac_ros.report.child", *words]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


class Reporter(JsacNode):
    kinds = ()  # it needs no plug-in

    def __init__(self):
        super().__init__("reporter")
        self.folder = run_folder(self.config)
        if not self.folder.is_dir():
            raise ConfigError(f"JSAC_RUN_FOLDER is {str(self.folder)!r}; expected the folder of the run")
        episode_columns = [name for name in Episode.get_fields_and_field_types() if name != "header"]
        metric_columns = [c for message, prefix in STATUSES.values() for c in _columns(message, prefix)]
        self.episodes_table = Table(self.folder / "episodes.csv", ["time_s", "unix_s", "env_steps", *episode_columns])
        self.metrics_table = Table(self.folder / "metrics.csv", ["time_s", "unix_s", *metric_columns])
        self.totals = read_totals(self.folder, MOST_EPISODES)
        self.began_s = self._run_began()
        self.latest: Row = {}
        self.events = Events.of(self.config, self.folder)
        self.processes = Processes(self.folder)
        self.display = Display()
        self.drawing: subprocess.Popen | None = None
        self.baseline = self._measure_baseline()
        self._heard: dict[str, dict[str, tuple[float, dict]]] = {}  # prefix -> source -> (when, columns)
        self._columns: set[str] = set()  # of all status messages
        self._summary_due_s = self._curve_due_s = 0.0
        for topic, (message, prefix) in STATUSES.items():
            self.create_subscription(message, topic, lambda m, p=prefix: self._on_status(p, m), QoSProfile(depth=10))
        self.create_subscription(Episode, "episode", self._on_episode, QoSProfile(depth=10))
        if box := safety_box(self.config):
            self._box = self.create_publisher(String, "safety_box", LATCHED)
            self._box.publish(String(data=box))
        self._row_due_s = 0.0
        self.create_timer(ROW_PERIOD_S, self._on_timer)

    def _measure_baseline(self) -> subprocess.Popen | None:
        """Measures the baselines of the learning curve in a child process while the system starts."""
        file = self.folder / BASELINE
        if self.config.robot.driver != "sim" or not plugins.load("sim", self.config.sim.type).is_light or file.exists():
            return None
        return _child(19, "baseline", str(self.folder / "config.yaml"), "--episodes", "20", "--json", str(file))

    def _run_began(self) -> float:
        """`elapsed.now_s()` at `time_s` 0. A restarted reporter continues counting; after a reboot, from its last row."""
        file = self.folder / "began"
        began_s = elapsed.marked(file)
        if began_s is None:
            rows = self.metrics_table.rows or self.episodes_table.rows
            began_s = elapsed.now_s() - (number(rows[-1], "time_s", 0.0) if rows else 0.0)
            self.written(file.name, lambda: elapsed.mark(file, began_s))
        return began_s

    def _times(self) -> dict[str, str]:
        return {"time_s": f"{elapsed.now_s() - self.began_s:.2f}", "unix_s": f"{time.time():.3f}"}

    def _on_status(self, prefix: str, message) -> None:
        """Raises ValueError for a malformed status, and if there are more robots or columns than a table can have."""
        source = getattr(message, "robot", "")  # there may be several robots, but only one of each other source
        columns, sources = flatten(prefix, _fields(message)), self._heard.setdefault(prefix, {})
        if len(source) > ROBOT_BYTES or len(sources.keys() | {source}) > MOST_ROBOTS:
            raise ValueError(f"robot is {source[:ROBOT_BYTES]!r}; expected at most {MOST_ROBOTS} names of {ROBOT_BYTES} bytes")
        if len(self._columns | columns.keys()) > MOST_COLUMNS:
            raise ValueError(f"names of {len(columns)} columns; expected at most {MOST_COLUMNS} in all")
        self._columns |= columns.keys()
        sources[source] = (time.monotonic(), columns)

    def _on_episode(self, message: Episode) -> None:
        """Raises ValueError if a number is not finite or implausibly large."""
        columns = flatten("", _fields(message))
        for name in ("episode_return", "duration", "reset_duration"):
            if not math.isfinite(getattr(message, name)):
                raise ValueError(f"{name} is {getattr(message, name)}; expected a finite number")
        values = self._times() | {name.removeprefix("."): value for name, value in columns.items()}
        steps = 0 if message.evaluation else message.steps
        self.totals.add_episode(self.episodes_table.append(values | {"env_steps": self.totals.finished_steps + steps}))
        self.events.episode(self.totals.finished_steps, values)

    def _on_timer(self) -> None:
        now = time.monotonic()
        if now >= self._row_due_s:
            self._row_due_s = now + row_period_s(elapsed.now_s() - self.began_s) - ROW_PERIOD_S / 2
            self._write_rows(now)
        if self.baseline is not None:
            self.baseline.poll()  # reaps it, so that it does not remain a zombie
        if now >= self._summary_due_s:
            self._summary_due_s = now + SUMMARY_PERIOD_S
            self.written("summary.json", lambda: write_summary(self.folder, self.totals))
        if self._curve_due_s == 0.0:
            self._curve_due_s = now + CURVE_PERIOD_S
        elif now >= self._curve_due_s:
            self._curve_due_s = now + CURVE_PERIOD_S
            if self.drawing is None or self.drawing.poll() is not None:  # never two at a time
                self.drawing = _child(19, "report", str(self.folder), "--curve-only")
        duration_s = self.totals.duration_s if self.totals.started_s is not None else 0.0
        self.display.show(Progress.of(duration_s, self.config.run.duration_s, self.totals, self.latest))

    def _write_rows(self, now: float) -> None:
        """Writes one row of metrics.csv, or one per robot if there are several."""
        columns: dict = self.processes.sample()
        for prefix, sources in self._heard.items():
            for when, values in sources.values():
                if prefix != "control" and now - when < STALE_S:
                    columns |= values
        robots = [values for when, values in self._heard.get("control", {}).values() if now - when < STALE_S]
        for control in robots or [{}]:
            self.latest = self.metrics_table.append(self._times() | columns | control)
            self.totals.add_metrics(self.latest)
        self.events.metrics(self.totals, self.latest)
        for table in (self.episodes_table, self.metrics_table):
            self.written.say(table.path.name, table.problem)
        for problem in self.events.new_problems():
            self.get_logger().error(f"{problem}; the run continues without it")

    def run(self) -> None:
        """Runs until asked to end; then receives messages until the other processes have exited."""
        super().run()
        asked_s = time.monotonic()
        self.spin_while(lambda: self._more_to_hear(time.monotonic() - asked_s))

    def _more_to_hear(self, passed_s: float) -> bool:
        return passed_s < QUIET_S or (passed_s < LAST_WORDS_S and bool(self.processes.alive() - {"reporter"}))

    def close(self) -> None:
        self._write_rows(time.monotonic())
        self.written("summary.json", lambda: write_summary(self.folder, self.totals))
        self.display.close(closing(summary_of(self.folder, self.totals)))
        for table in (self.episodes_table, self.metrics_table):
            table.close()
        for child in (self.drawing, self.baseline):
            if child is not None:
                child.kill()
                child.wait()
        report = _child(0, "report", str(self.folder)) if self.config.run.report else None
        due_s = time.monotonic() + LAST_DRAWING_S
        self.events.close()  # while the report is written, as remote services may take long
        if report is not None:
            self._wait_for(report, due_s)

    def _wait_for(self, report: subprocess.Popen, due_s: float) -> None:
        try:
            report.wait(max(due_s - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            report.kill()
            report.wait()
            self.get_logger().warning(f"the report took longer than {LAST_DRAWING_S} s; run `jsac-ros report` to write it")


def main(args=None) -> int:
    return run_node(Reporter, args)


if __name__ == "__main__":
    sys.exit(main())
