"""The page of a made-up run, served in this process: every part of it has something to show, and no ROS is needed."""

from __future__ import annotations

import socket
import threading
import time

import cv2
import numpy as np
import uvicorn
from replay_cases import SPACES, make_episode

from jsac_ros.dashboard.access import Access
from jsac_ros.dashboard.app import create_app
from jsac_ros.dashboard.hub import Hub
from jsac_ros.dashboard.recorded import Recorded
from jsac_ros.dashboard.saliency import HEAT
from jsac_ros.replay.episodes import to_jpeg
from jsac_ros.replay.store import FrameStore

TOKEN = "a-token-of-this-run"
NOW_S = 1.7e9
STORED = 2  # of the episodes


class Served:
    """`url` with the token; `done`: verbs that were asked for; `waits`: cleared, other verbs than the stop are not answered."""

    def __init__(self, folder, episodes=30):
        self.hub, self.done, self.waits = Hub(), [], threading.Event()
        self.waits.set()
        self.store = FrameStore.open(folder / "replay", SPACES, 64)
        for number in range(STORED):
            for transition in make_episode(5, 10 * number, robot="ur5", episode=number):
                self.store.append(transition)
        self._fill(episodes)
        app = create_app(self.hub, Access(TOKEN), Recorded(folder / "replay"), self._do, ("pause", "emergency-stop"))
        listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}/#token={TOKEN}"
        self._server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", ws="websockets-sansio", lifespan="off", timeout_graceful_shutdown=1)
        )
        self._thread = threading.Thread(target=lambda: self._server.run(sockets=[listening]), daemon=True)
        self._thread.start()

    @property
    def connections(self):
        return self._server.server_state.connections

    def _do(self, verb):
        self.done.append(verb)
        if verb != "emergency-stop":
            self.waits.wait(20)
        return True, f"{verb} it is"

    def _fill(self, episodes):
        hub, random = self.hub, np.random.default_rng(0)
        hub.set("run", {"name": "demo", "folder": "demo_1", "robot": "ur5", "task": "ur5_reacher", "driver": "sim", "period_ms": 40.0,
                        "duration_s": 0, "cameras": ["wrist"], "actions": {"arm": "rad/s"}, "verbs": [], "needs_start": False})  # fmt: skip
        four = [0.1, 0.4, 0.6, 0.9]
        hub.set("control", {"state": "acting", "reason": "", "rate_hz": 25.0, "missed": 3, "ticks": 9000, "done_ms": [2.1, 3.5, 5.0, 8.2],
                            "obs_to_command_ms": [24.0, 30.0, 31.0, 35.0], "policy_age_s": 0.3, "lateness_ms": four})  # fmt: skip
        hub.set("training", {"state": "learning", "updates": 4000, "updates_per_s": 31.0})
        hub.set("replay", {"stored": 9000, "received": 9000, "received_before": 0, "waiting_for": ""})
        hub.set(
            "safety",
            {
                "state": "moving",
                "reason": "",
                "emergency_stop": False,
                "rule_names": ["box", "acceleration"],
                "rule_counts": [7, 3100],
            },
        )
        hub.set("rules", ["acceleration"])
        hub.set("baseline", {"still": {"return_mean": 20.0}, "servo": {"return_mean": 90.0}})
        hub.set(
            "processes",
            {"actor": {"alive": True, "rss_mb": 410, "cpu": 0.2}, "learner": {"alive": False, "rss_mb": 880, "cpu": 1.4}},
        )
        hub.set("advice", [{"name": "x", "finding": "Safety cuts 30 % of the commands.", "cure": "Widen `safety.box_lower`."}])
        for k in range(episodes):
            hub.append("episodes", {"robot": "ur5", "session": "1", "episode": k, "steps": 100, "episode_return": 20 + 2.5 * k, "success": k > 12,
                                    "reason": "time limit", "duration": 4.0, "policy_version": 100 * k, "evaluation": False, "unix_s": NOW_S + 6 * (k + 1)})  # fmt: skip
        for at, long, kind, text in (
            (11, 2, "emergency stop", "dashboard: emergency stop"), (30, 9, "hold", "holding: image … s old"), (60, 0, "checkpoint", "after update 1000"),
            (62, 3, "person", "a person took over"), (90, 1, "restart", "learner ended"), (120, 0, "checkpoint", "after update 2000"), (140, 20, "rule", "box"),
        ):  # fmt: skip
            hub.append("events", {"begin_s": NOW_S + at, "end_s": NOW_S + at + long, "kind": kind, "text": text, "count": 1})
        delays = 2.0 + random.gamma(1.5, 1.0, 900)
        hub.append("ticks", *[None if k % 211 == 0 else [round(d, 2), round(d + 1.1, 2)] for k, d in enumerate(delays)])
        hub.set("sources", {"wrist": {"size": [64, 96], "crop": [16, 24, 32, 48]}})
        hub.set("overlay", {"wrist": {"box": [[10, 10, 80, 12], [80, 12, 70, 50]], "tool": [[48, 32]]}})
        hub.set_image("wrist", to_jpeg(np.full((64, 96, 3), (70, 120, 160), np.uint8)))
        hub.set("saliency", "From the checkpoint after 4000 updates.")
        hub.set_image("wrist" + HEAT, cv2.imencode(".png", np.full((32, 48, 4), (0, 200, 255, 150), np.uint8))[1].tobytes())

    def close(self):
        self._server.should_exit = True
        self._thread.join(timeout=5)
        self.store.close()


if __name__ == "__main__":  # to look at it
    import sys
    from pathlib import Path

    served = Served(Path(sys.argv[1]))
    print(served.url, flush=True)
    time.sleep(float(sys.argv[2]))
