"""Dashboard: a web page to watch, stop and evaluate a run, from a desk or a phone.

Subscribes  episode, control_status, training_status, replay_status, safety_status: taken once a second, for the timeline;
            while a page is open ten times a second, and the cameras, policy_command (or shadow_command), applied_action,
            person_action, human_action, and, if a camera is calibrated, the joint states
Publishes   emergency_stop
Calls       the operator's services of actor, safety and learner
Serves      HTTP on `dashboard.host`:`dashboard.port` (jsac_ros/dashboard)
A process because a web server, images and a slow link must not delay control. Nothing waits for it.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from pathlib import Path

from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription

from jsac_ros import documents
from jsac_ros.dashboard import plain
from jsac_ros.dashboard.access import access_of
from jsac_ros.dashboard.advice import Adviser
from jsac_ros.dashboard.app import create_app
from jsac_ros.dashboard.events import Events, events_before
from jsac_ros.dashboard.hub import Hub
from jsac_ros.dashboard.opening import DOOR, URL, write_address
from jsac_ros.dashboard.recorded import Recorded
from jsac_ros.dashboard.saliency import HEAT, Saliency
from jsac_ros.dashboard.serving import Server, address_of, listen, server_of
from jsac_ros.msg import ControlStatus, Episode, ReplayStatus, SafetyStatus, TrainingStatus
from jsac_ros.nodes.console import Console
from jsac_ros.nodes.dashboard_watch import PERIOD_S, Watch
from jsac_ros.nodes.polled import Polled, take
from jsac_ros.nodes.process import JsacNode, run_folder, run_node
from jsac_ros.nodes.qos import HEARS_QUIETLY
from jsac_ros.report.processes import Processes
from jsac_ros.report.tables import BASELINE, read_rows
from jsac_ros.rig import Rig, read_spaces

STATUSES = {
    "control": ("control_status", ControlStatus), "training": ("training_status", TrainingStatus),
    "replay": ("replay_status", ReplayStatus), "safety": ("safety_status", SafetyStatus),
}  # fmt: skip
STALE_S = 3.0  # age of a status after which its process counts as gone
STATUSES_HELD = 100  # messages per topic between two polls; safety publishes ten per second, and more when its state changes
LAST_WORDS_S = 0.5  # time for the pages to receive the end of the run


class Dashboard(JsacNode):
    kinds = ("robot", "action", "task")

    def __init__(self):
        super().__init__("dashboard")
        self.folder = run_folder(self.config)
        self.spaces = read_spaces(self.folder)
        # A Gymnasium environment has no camera topics.
        rig = None if self.config.robot.driver == "gymnasium" else Rig.of(self.config)
        self._viewer_came = self.create_guard_condition(self._begin_to_look)
        self._asked_to_end = self.create_guard_condition(lambda: None)  # wakes the executor when the node shall end
        self.hub = Hub(self._viewer_came.trigger)
        self.watch = Watch(self, self.hub, rig, [image.name for image in self.spaces.images] if rig else [])
        self._processes, self._adviser = Processes(self.folder), Adviser(self.folder)
        self._saliency = Saliency(self.folder, self.hub.set_image, lambda text: self.hub.set("saliency", text))
        self._newest: dict[str, float] = {}  # part -> time of arrival
        self._events = Events(lambda event: self.hub.append("events", event))
        self._rules: set[str] = set()  # rules that acted in this second
        self._has_baseline = False
        self._console = Console(self)
        self._statuses: list[Subscription] = []
        for part, (topic, kind) in STATUSES.items():
            self._statuses.append(self._hear(kind, topic, lambda message, _, part=part: self._on_status(part, message)))
        self._statuses.append(self._hear(Episode, "episode", self._on_episode))
        self._looks = self.create_timer(PERIOD_S, self._look)
        self._looks.cancel()  # until a page is open
        self.create_timer(1.0, self._each_second)
        self._describe()
        self._server, self._address = self._make_server()

    def _hear(self, kind, topic: str, callback) -> Subscription:
        """A polled subscription: an executor that wakes for each status uses 2 % of a core even without a viewer."""
        qos = QoSProfile(depth=STATUSES_HELD)
        return self.create_subscription(kind, topic, callback, qos, callback_group=Polled(), event_callbacks=HEARS_QUIETLY)

    # -- data for the page -----------------------------------------------------------------------------------------

    def _begin_to_look(self) -> None:
        self._looks.reset()
        self._look()

    def _look(self) -> None:
        """Ten times a second while a page is open, and once more."""
        self._take_statuses()
        self.watch.update()
        if not self.hub.viewers:
            self._looks.cancel()

    def _take_statuses(self) -> None:
        for subscription in self._statuses:
            take(subscription)

    def _describe(self) -> None:
        config = self.config
        self.hub.set(
            "run",
            {
                "name": config.run.name, "folder": self.folder.name, "robot": config.robot.type, "task": config.task.type,
                "driver": config.robot.driver, "period_ms": 1e3 * config.control.period_s,
                "duration_s": config.run.duration_s, "capacity": config.replay.capacity, "cameras": self.watch.cameras,
                "actions": {part.name: part.command for part in self.spaces.actions},
                "verbs": list(self._console.verbs), "needs_start": config.robot.driver == "external",
            },
        )  # fmt: skip
        # From before the start of this node
        self.hub.append("episodes", *map(plain.of_row, read_rows(self.folder / "episodes.csv")))
        self.hub.append("events", *events_before(self.folder))

    def _on_status(self, part: str, message) -> None:
        self._newest[part] = time.monotonic()
        self.hub.set(part, plain.of_message(message))
        if part == "safety":
            counts = dict(zip(message.rule_names, message.rule_counts))
            self._rules |= {*self._events.safety(message.emergency_stop, message.reason, counts)}
        elif part == "control":
            self._events.control(message.state, message.reason)
            self.watch.strip.align(message.done_ms[0])
        elif part == "training" and message.checkpoint >= 0:
            self._events.checkpoint(message.checkpoint)

    def _on_episode(self, message: Episode, _) -> None:
        values = plain.of_message(message) | {"unix_s": time.time()}
        self.hub.append("episodes", values)
        self._events.episode(values)

    def _each_second(self) -> None:
        self._take_statuses()
        now_s = time.monotonic()
        self.hub.set("heard_s", round(now_s))  # a page that receives nothing has lost its connection
        ages = {part: now_s - when for part, when in self._newest.items()}
        self.hub.set("ages", {part: round(age_s, 1) if age_s > STALE_S else 0 for part, age_s in ages.items()})
        self.hub.set("rules", sorted(self._rules))
        self._rules.clear()
        alive = self._processes.alive()
        self._events.processes(alive)
        self._events.close_what_ended()
        self._saliency.update(any(name.endswith(HEAT) for name in self.hub.wanted()))
        if self.hub.viewers:
            self._look_at_processes(alive)
            if (advice := self._adviser.newest()) is not None:
                self.hub.set("advice", advice)
        baseline = self.folder / BASELINE
        if not self._has_baseline and baseline.exists():
            self._has_baseline = True
            with self.refusals.guard(BASELINE):
                self.hub.set("baseline", documents.json_of(documents.read(baseline, documents.JSON_BYTES)))

    def _look_at_processes(self, alive: set[str]) -> None:
        sample = self._processes.sample()
        table = {
            name: {
                "alive": name in alive,
                "rss_mb": round(sample.get(f"process.{name}.rss_mb", 0)),
                "cpu": round(sample.get(f"process.{name}.cpu", 0.0), 2),
            }
            for name in self._processes.pids()
        }
        self.hub.set("processes", table)

    # -- life ------------------------------------------------------------------------------------------------------

    def _make_server(self) -> tuple[Server, socket.socket]:
        config = self.config.dashboard
        access = access_of(self.folder, config.host)
        do = lambda verb: self._console.do(verb, "dashboard")
        app = create_app(self.hub, access, Recorded(self._store_folder()), do, self._console.verbs)
        listening = listen(config.host, config.port)
        self.url = f"{address_of(config.host, listening)}/#token={access.token}"
        write_address(self.folder, self.url)
        return server_of(app), listening

    def _store_folder(self) -> Path:
        return Path(self.config.replay.folder or self.folder / "replay").expanduser()

    def run(self) -> None:
        thread = threading.Thread(target=self._serve, name="web", daemon=True)
        thread.start()
        ending = threading.Thread(target=self._end_when_asked, name="end", daemon=True)
        ending.start()
        print(f"dashboard: {self.url}", flush=True)
        self.spin_while(lambda: not self.stop.is_set(), look_s=60.0)
        self.stop.set()
        ending.join()
        if self.hub.viewers and not self._processes.alive() & {"actor", "environment"}:
            self.hub.set("ended", str(self.folder))
            time.sleep(LAST_WORDS_S)
        self._server.should_exit = True
        thread.join(timeout=3.0)

    def _end_when_asked(self) -> None:
        """Wakes the executor at the end: checking for it ten times a second would be the largest cost without a viewer."""
        self.stop.wait()
        self._asked_to_end.trigger()

    def _serve(self) -> None:
        """Serves the page; if the server stops, the node ends too."""
        try:
            self._server.run(sockets=[self._address])
        finally:
            if not self.stop.is_set():
                self.fail("the web server has stopped")

    def close(self) -> None:
        self._adviser.close()
        self._saliency.close()
        self._address.close()
        for name in (URL, DOOR):
            (self.folder / name).unlink(missing_ok=True)


def main(args=None) -> int:
    return run_node(Dashboard, args)


if __name__ == "__main__":
    sys.exit(main())
