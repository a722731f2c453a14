"""`make screenshots`: pictures of the dashboard in each state, on a desktop and a phone, light and dark, for docs/states.md.

Without a robot: a simulated camera and made-up figures stand in for a run; the page, its server and its browser (Chromium) are
the real ones. The pictures are committed.
"""

from __future__ import annotations

import math
import shutil
import socket
import tempfile
import threading
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from jsac_ros.dashboard.access import Access
from jsac_ros.dashboard.app import create_app
from jsac_ros.dashboard.hub import Hub
from jsac_ros.dashboard.projection import Overlay
from jsac_ros.dashboard.recorded import Recorded
from jsac_ros.dashboard.serving import server_of
from jsac_ros.parameters import load
from jsac_ros.replay.episodes import to_jpeg
from jsac_ros.rig import Rig
from jsac_ros.sim.world import World

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "screenshots"
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}
SCHEMES = ("light", "dark")
MOST_BYTES = 150_000
_STATUS = {  # of an actor and of a safety node in good order
    "control": {"state": "acting", "reason": ""},
    "safety": {"state": "moving", "reason": "", "emergency_stop": False},
    "person": False,
    "ended": "",
}
_RESTING = {"state": "ready", "reason": "", "emergency_stop": False}
_STOPPED = "emergency stop: topic emergency_stop"
_OLD = "wrist is 0.31 s old, limit 0.20 s"
# State -> what the processes say in it, and what the page then calls it
STATES: dict[str, tuple[dict[str, Any], str]] = {
    "waiting": ({"control": {"state": "waiting", "reason": "the learner's first policy"}, "safety": _RESTING}, "waiting"),
    "ready": ({"control": {"state": "waiting", "reason": "jsac-ros start"}, "safety": _RESTING}, "ready"),
    "acting": ({}, "acting"),
    "paused": ({"control": {"state": "paused", "reason": "operator"}, "safety": _RESTING}, "paused"),
    "emergency-stop": (
        {
            "control": {"state": "holding", "reason": f"safety stopped: {_STOPPED}"},
            "safety": {"state": "stopped", "reason": _STOPPED, "emergency_stop": True},
        },
        "emergency stop",
    ),
    "holding": (
        {
            "control": {"state": "holding", "reason": _OLD},
            "safety": {**_RESTING, "state": "holding", "reason": "no command yet"},
        },
        "holding",
    ),
    "person": ({"person": True}, "a person acts"),
    "evaluating": ({"control": {"state": "acting", "reason": "evaluation"}}, "evaluating"),
    "ended": ({"control": {"state": "stopped", "reason": "run complete"}, "ended": "runs/ur5_20261128_101500"}, "run ended"),
}


class Shown:
    """The page of a run in which a UR5 has learned for ten minutes; `url` has its token."""

    def __init__(self, folder: Path):
        self.hub, token = Hub(), "a-token-for-pictures"
        self._describe()
        app = create_app(self.hub, Access(token), Recorded(folder), lambda verb: (True, verb), ())
        listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}/#token={token}"
        self._server = server_of(app)
        self._thread = threading.Thread(target=lambda: self._server.run(sockets=[listening]))
        self._thread.start()

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()

    def show(self, state: str) -> None:
        said = _STATUS | STATES[state][0]
        self.hub.set("control", _FIGURES["control"] | said["control"])
        self.hub.set("safety", _FIGURES["safety"] | said["safety"])
        self.hub.set("person", said["person"])
        self.hub.set("ended", said["ended"])

    def _describe(self) -> None:
        hub, random, now_s = self.hub, np.random.default_rng(1), time.time()
        hub.set("run", {
            "name": "ur5", "robot": "ur5", "task": "ur5_reacher", "driver": "external", "period_ms": 40.0, "capacity": 100_000,
            "cameras": ["wrist"],
        })  # fmt: skip
        for part in ("training", "replay", "baseline", "processes", "advice", "rules"):
            hub.set(part, _FIGURES[part])
        begun_s, count = now_s - 600, 98
        for k in range(count):
            skill = 1 / (1 + math.exp(-(k - 40) / 11))
            earned = 48 + 205 * skill + random.normal(0, 10 + 22 * skill * (1 - skill) * 4)
            hub.append("episodes", {
                "robot": "ur5", "session": "7", "episode": k, "steps": 100, "episode_return": round(earned, 1),
                "success": bool(random.random() < 0.97 * skill**2), "reason": "time limit", "duration": 4.0,
                "policy_version": 190 * k, "evaluation": False, "unix_s": begun_s + 6.1 * (k + 1),
            })  # fmt: skip
        for at_s, long_s, kind, text in (
            (62, 4, "hold", "holding: wrist is … s old, limit … s"), (118, 7, "emergency stop", "topic emergency_stop"),
            (150, 0, "checkpoint", "after update 4500"), (244, 9, "person", "a person took over"),
            (300, 0, "checkpoint", "after update 9200"), (371, 2, "restart", "learner ended"),
            (450, 0, "checkpoint", "after update 13800"), (20, 560, "rule", "acceleration"),
        ):  # fmt: skip
            event = {"begin_s": begun_s + at_s, "end_s": begun_s + at_s + long_s, "kind": kind, "text": text, "count": 1}
            hub.append("events", event)
        delays = 1.6 + random.gamma(1.4, 0.8, 900)
        hub.append("ticks", *[None if k == 640 else [round(delay, 2), round(delay + 0.9, 2)] for k, delay in enumerate(delays)])
        self._look()

    def _look(self) -> None:
        """What the simulated camera sees from home, and the safety box in it."""
        scale, small = 5, load("ur5_reacher_demo").cameras["wrist"]
        larger = {
            "cameras.wrist.source_height": scale * small.source_height,
            "cameras.wrist.source_width": scale * small.source_width,
            "cameras.wrist.intrinsics_px": tuple(scale * value for value in small.intrinsics_px),
        }  # fmt: skip
        config = load("ur5_reacher_demo", larger)
        rig = Rig.of(config)
        world = World(rig, seed=3)
        image = world.sim.render("wrist", world.sim.snapshot())
        self.hub.set("sources", {"wrist": {"size": list(image.shape[:2]), "crop": [0, 0, *image.shape[:2]]}})
        self.hub.set("overlay", Overlay(config, rig.robot).at(world.sim.q))
        self.hub.set_image("wrist", to_jpeg(cv2.GaussianBlur(image, (3, 3), 0)))
        world.close()


_FIGURES: dict[str, Any] = {
    "control": {
        "rate_hz": 25.0, "missed": 1, "ticks": 15_020, "done_ms": [2.4, 4.1, 5.2, 7.9],
        "obs_to_command_ms": [24.1, 33.0, 35.0, 41.0],
        "policy_age_s": 0.3, "lateness_ms": [0.1, 0.6, 0.9, 1.4],
    },
    "safety": {"rule_names": ["acceleration", "box", "speed", "stale_image"], "rule_counts": [3120, 41, 7, 2]},
    "training": {"state": "learning", "updates": 18_420, "updates_per_s": 31.2},
    "replay": {"stored": 9_898, "received": 9_898, "received_before": 0, "waiting_for": ""},
    "baseline": {"still": {"return_mean": 59.0}, "servo": {"return_mean": 262.4}},
    "processes": {
        "actor": {"alive": True, "rss_mb": 412, "cpu": 0.19}, "learner": {"alive": True, "rss_mb": 884, "cpu": 1.21},
        "replay": {"alive": True, "rss_mb": 241, "cpu": 0.11}, "safety": {"alive": True, "rss_mb": 79, "cpu": 0.12},
        "reporter": {"alive": True, "rss_mb": 148, "cpu": 0.02}, "dashboard": {"alive": True, "rss_mb": 131, "cpu": 0.06},
    },
    "advice": [
        {
            "name": "safety cuts commands",
            "finding": "Rule acceleration changed 21% of the commands; the executed actions differ from the policy's by 27% "
            "of their size.",
            "cure": "Lower the scale of the action (actions.NAME.scale), or raise safety.max_joint_acceleration_rad_s2 if "
            "the robot and its surroundings allow it.",
        }
    ],
    "rules": ["acceleration"],
}  # fmt: skip


def picture_of(state: str, size: str, scheme: str) -> Path:
    return FOLDER / f"{state}-{size}-{scheme}.webp"


def main() -> None:
    from playwright.sync_api import sync_playwright

    FOLDER.mkdir(exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        shown = Shown(Path(folder))
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            for size, (width, height) in SIZES.items():
                for scheme in SCHEMES:
                    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
                    page.goto(shown.url)
                    page.wait_for_selector("#strip svg")
                    for state, (_, called) in STATES.items():
                        shown.show(state)
                        page.locator("#state", has_text=called).wait_for()
                        page.wait_for_timeout(300)  # until what belongs to it is drawn, too
                        _write(picture_of(state, size, scheme), page.screenshot())
                    page.close()
        finally:
            browser.close()
            shown.close()


def _write(path: Path, png: bytes) -> None:
    Image.open(BytesIO(png)).convert("RGB").save(path, quality=82, method=6)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
