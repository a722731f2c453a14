"""Dashboard: the page on which a run is watched, stopped and judged, from the desk or from the phone beside the robot.

Subscribes  episode, control_status, training_status, replay_status, safety_status, applied_action; while a page is open,
            the cameras
Publishes   emergency_stop
Calls       the operator's services of actor, safety and learner
Serves      HTTP on `dashboard.host`:`dashboard.port` (jsac_ros/dashboard)
A process because a web server, images and a slow link must not touch control. It is told what happens; nothing waits for it.
"""

from __future__ import annotations

import math
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import cv2
from rclpy.qos import QoSProfile, qos_profile_sensor_data

from jsac_ros import documents
from jsac_ros.control.images import to_rgb
from jsac_ros.dashboard.access import access_of
from jsac_ros.dashboard.advice import Adviser
from jsac_ros.dashboard.app import create_app
from jsac_ros.dashboard.hub import Hub
from jsac_ros.dashboard.opening import DOOR, URL, write_address
from jsac_ros.dashboard.recorded import Recorded
from jsac_ros.dashboard.serving import Server, address_of, listen, server_of
from jsac_ros.msg import AppliedAction, ControlStatus, Episode, ReplayStatus, SafetyStatus, TrainingStatus
from jsac_ros.nodes.console import Console
from jsac_ros.nodes.process import JsacNode, run_folder, run_node
from jsac_ros.replay.episodes import to_jpeg
from jsac_ros.report.processes import Processes
from jsac_ros.report.tables import BASELINE, read_rows
from jsac_ros.rig import Rig, read_spaces
from jsac_ros.ros_types import message_class

STATUSES = {
    "control": ("control_status", ControlStatus), "training": ("training_status", TrainingStatus),
    "replay": ("replay_status", ReplayStatus), "safety": ("safety_status", SafetyStatus),
}  # fmt: skip
STALE_S = 3.0  # a status older than this says that its process is gone
IMAGE_PERIOD_S = 0.1  # at the most ten a second of a camera are shown
LARGEST_SIDE = 640  # pixels; larger images are shown smaller


class Dashboard(JsacNode):
    kinds = ("robot", "action", "task")

    def __init__(self):
        super().__init__("dashboard")
        self.folder = run_folder(self.config)
        self.spaces = read_spaces(self.folder)
        # An environment in the robot's place has no topics of cameras.
        self.sources = {} if self.config.robot.driver == "gymnasium" else Rig.of(self.config).sources
        self.cameras = [image.name for image in self.spaces.images if image.name in self.sources]
        self.hub = Hub()
        self._processes, self._adviser = Processes(self.folder), Adviser(self.folder)
        self._newest: dict[str, tuple[float, Any]] = {}  # part -> when it came, message
        self._shown: dict[str, float] = {}  # topic -> when its last image was shown
        self._watching: list[Any] = []  # subscriptions of cameras, while a page is open
        self._before: dict[str, Any] = {}  # what the timeline has been told last
        self._console = Console(self)
        for part, (topic, kind) in STATUSES.items():
            self.create_subscription(
                kind, topic, lambda message, part=part: self._on_status(part, message), QoSProfile(depth=10)
            )
        self.create_subscription(Episode, "episode", self._on_episode, QoSProfile(depth=50))
        self.create_subscription(AppliedAction, "applied_action", self._on_applied, 10)
        self.create_timer(0.2, self._watch)
        self.create_timer(1.0, self._each_second)
        self._describe()
        self._server, self._address = self._make_server()

    # -- what is shown ---------------------------------------------------------------------------------------------

    def _describe(self) -> None:
        config = self.config
        self.hub.set(
            "run",
            {
                "name": config.run.name, "folder": self.folder.name, "robot": config.robot.type, "task": config.task.type,
                "driver": config.robot.driver, "period_ms": 1e3 * config.control.period_s,
                "duration_s": config.run.duration_s, "cameras": self.cameras,
                "actions": {part.name: part.unit for part in self.spaces.actions},
                "verbs": list(self._console.verbs), "needs_start": config.robot.driver == "external",
            },
        )  # fmt: skip
        for row in read_rows(self.folder / "episodes.csv"):  # of before this page was opened
            self.hub.append("episodes", _episode_of_row(row))
        for event in _events_of(self.folder):
            self.hub.append("events", event)

    def _on_status(self, part: str, message) -> None:
        self._newest[part] = (time.monotonic(), message)
        self.hub.set(part, _plain(message))
        if part == "safety":
            self._note("safety", message.state, message.state, message.reason)
        elif part == "control":
            if message.state in ("holding", "stopped", "paused"):
                self._note("actor", (message.state, _kind(message.reason)), f"actor {message.state}", message.reason)
            else:
                self._before["actor"] = message.state
        elif part == "training" and message.checkpoint >= 0:
            self._note("checkpoint", message.checkpoint, "checkpoint", f"after update {message.checkpoint}")

    def _on_episode(self, message: Episode) -> None:
        values = _plain(message) | {"unix_s": time.time(), "session": str(message.session)}
        self.hub.append("episodes", values)

    def _on_applied(self, message: AppliedAction) -> None:
        if message.intervened:
            self._before["rules"] = {*self._before.get("rules", ()), *message.rules}

    def _note(self, what: str, value: Any, title: str, text: str) -> None:
        """On the timeline, when it has changed."""
        if self._before.get(what, None) != value:
            first = what not in self._before
            self._before[what] = value
            if not (first and what == "checkpoint"):
                self.hub.append("events", {"unix_s": time.time(), "kind": what, "title": title, "text": text})

    def _each_second(self) -> None:
        now_s = time.monotonic()
        alive = {part: now_s - when for part, (when, _) in self._newest.items()}
        self.hub.set("ages", {part: round(age_s, 1) if age_s > STALE_S else 0 for part, age_s in alive.items()})
        rules = sorted(self._before.pop("rules", ()))
        self.hub.set("rules", rules)
        names = self._processes.alive()
        for name in self._before.get("processes", set()) - names:
            self.hub.append("events", {"unix_s": time.time(), "kind": "process", "title": f"{name} ended", "text": ""})
        self._before["processes"] = names
        if self.hub.viewers:
            sample = self._processes.sample()
            table = {
                name: {
                    "alive": name in names,
                    "rss_mb": round(sample.get(f"process.{name}.rss_mb", 0)),
                    "cpu": round(sample.get(f"process.{name}.cpu", 0.0), 2),
                }
                for name in self._processes.pids()
            }
            self.hub.set("processes", table)
            if (advice := self._adviser.newest()) is not None:
                self.hub.set("advice", advice)
        baseline = self.folder / BASELINE
        if "baseline" not in self._before and baseline.exists():
            self._before["baseline"] = True
            with self.refusals.guard(BASELINE):
                self.hub.set("baseline", documents.json_of(documents.read(baseline, documents.JSON_BYTES)))

    # -- cameras, while a page is open ------------------------------------------------------------------------------

    def _watch(self) -> None:
        if self.hub.viewers and not self._watching:
            topics: dict[str, list[str]] = {}
            for name in self.cameras:
                topics.setdefault(self.sources[name].topic, []).append(name)
            for topic, names in topics.items():
                shown = lambda message, topic=topic, names=names: self._on_image(topic, names, message)
                kind = message_class(self.sources[names[0]].type)
                self._watching.append(self.create_subscription(kind, topic, shown, qos_profile_sensor_data))
        elif not self.hub.viewers and self._watching:
            for subscription in self._watching:
                self.destroy_subscription(subscription)
            self._watching.clear()

    def _on_image(self, topic: str, cameras: list[str], message) -> None:
        """Shown whole, without the crop of each camera."""
        now_s = time.monotonic()
        if now_s - self._shown.get(topic, -math.inf) < IMAGE_PERIOD_S:
            return
        for name in cameras:
            camera = self.config.cameras[name]
            image = to_rgb(message, camera.channels, camera.depth_range_m)
            self._shown[topic] = now_s  # a damaged image does not take the place of the next one
            scale = LARGEST_SIDE / max(image.shape[:2])
            if scale < 1:
                image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            self.hub.set_image(name, to_jpeg(image if camera.channels == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)))

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
        print(f"dashboard: {self.url}", flush=True)
        super().run()
        self._server.should_exit = True
        thread.join(timeout=3.0)

    def _serve(self) -> None:
        """A node without its page must not linger."""
        try:
            self._server.run(sockets=[self._address])
        finally:
            if not self.stop.is_set():
                self.fail("the web server has stopped")

    def close(self) -> None:
        self._adviser.close()
        self._address.close()
        for name in (URL, DOOR):
            (self.folder / name).unlink(missing_ok=True)


def _plain(message: Any) -> dict[str, Any]:
    """A status message as JSON: numbers that are not finite are null."""
    values = {}
    for name in message.get_fields_and_field_types():
        value = getattr(message, name)
        if name == "header":
            continue
        if isinstance(value, (bool, str, int)):
            values[name] = value
        elif isinstance(value, float):
            values[name] = _number(value)
        else:
            values[name] = [v if isinstance(v, str) else _number(float(v)) for v in value]
    return values


def _number(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def _kind(reason: str) -> str:
    """A reason without its figures, so that an age that grows is one event."""
    return "".join(letter for letter in reason if not letter.isdigit())


def _episode_of_row(row: dict[str, str]) -> dict[str, Any]:
    """A line of episodes.csv as an Episode."""

    def value(text: str) -> Any:
        if text in ("True", "False"):
            return text == "True"
        try:
            number = float(text)
        except ValueError:
            return text
        return _number(number)

    return {name: value(text) for name, text in row.items()} | {"session": row.get("session", "")}


def _events_of(folder: Path) -> list[dict[str, Any]]:
    """Checkpoints that were there before."""
    checkpoints = [path for path in (folder / "checkpoints").glob("*") if path.name.isdigit()]
    return [
        {"unix_s": path.stat().st_mtime, "kind": "checkpoint", "title": "checkpoint", "text": f"after update {path.name}"}
        for path in sorted(checkpoints, key=lambda path: int(path.name))
    ]


def main(args=None) -> int:
    return run_node(Dashboard, args)


if __name__ == "__main__":
    sys.exit(main())
