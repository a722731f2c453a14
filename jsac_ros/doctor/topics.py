"""Checks of messages: DDS on this computer, and the cameras, joints and sensors of a configuration."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from jsac_ros import dds
from jsac_ros.config import SystemConfig
from jsac_ros.control.arrivals import are_lost, cure
from jsac_ros.doctor.finding import Finding, graded
from jsac_ros.rig import JOINTS

LISTEN_S = 4.0
TIMEOUT_S = 16.0
BLACK, WHITE = 25.0, 230.0  # of 255: mean of an image below or above which it is too dark or too bright
AHEAD_S = 0.005  # clock offset above which the finding is amber; NTP keeps clocks closer
FAR_S = 0.05  # messages whose stamps are further ahead are refused (control/stamps.py)
_CLOCKS = (
    "keep the clocks of both computers together: `sudo apt install chrony` on both, with `server THIS_COMPUTER iburst` in "
    "/etc/chrony/chrony.conf of the other one, or PTP (ptp4l, phc2sys); until then `stamps: arrival` (docs/cameras.md)"
)
Heard = Mapping[str, Any]  # measurements of one source by nodes/listening.py


def check_topics(config: SystemConfig, file: str, overrides: Mapping[str, Any], namespace: str) -> list[Finding]:
    """file: of the configuration; '': check only DDS."""
    asked = {"config": file, "overrides": dict(overrides), "namespace": namespace, "seconds": LISTEN_S}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "jsac_ros.nodes.listening", json.dumps(asked)],
            env=os.environ | dds.discovery() | dds.profile(shared_memory=True),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return [Finding("DDS", "red", f"a test node did not start and exit within {TIMEOUT_S:g} s", _dds_cure())]
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        return [Finding("DDS", "red", last, "`make setup` installs ROS 2 where none is sourced")]
    told = json.loads(done.stdout.splitlines()[-1])
    heard = [judged(name, heard, config) for name, heard in told["sources"].items()]
    return [loopback(told["loopback"]), *heard, *clocks(told["clocks"])]


def loopback(took_s: Mapping[str, float | None]) -> Finding:
    """took_s: seconds until a small and a large message arrived; None: never."""
    lost = [name for name, seconds in took_s.items() if seconds is None]
    if "small" in lost:
        return Finding("DDS", "red", "no message arrived from one node of this computer at another", _dds_cure())
    if lost:
        cure = "large images use /dev/shm: make room there; with another middleware, see its settings for large messages"
        return Finding("DDS", "red", "small messages arrive, but one of a megabyte does not", cure)
    return Finding(
        "DDS", "green", f"messages of a megabyte arrive through shared memory ({1e3 * took_s['large']:.0f} ms after the start)"
    )


def judged(name: str, heard: Heard, config: SystemConfig) -> Finding:
    """The finding for one source of the configuration."""
    title = name if name == JOINTS or not heard["is_camera"] else f"camera {name}"
    if not heard["count"]:
        return _silent(title, heard, config)
    if heard["problem"]:
        return Finding(title, "red", f"{heard['topic']}: {heard['problem']}", "docs/troubleshooting.md has the cure")
    if heard["rate_hz"] is None:
        return Finding(title, "red", f"{heard['topic']}: one message in {LISTEN_S:g} s", "raise the rate of its driver")
    return _timely(title, name, heard, config)


def _silent(title: str, heard: Heard, config: SystemConfig) -> Finding:
    if config.robot.driver != "external":
        return Finding(title, "green", f"nothing on {heard['topic']} yet; the run publishes it ({config.robot.driver})")
    if not heard["max_age_s"]:
        return Finding(title, "green", f"nothing on {heard['topic']} yet; it has no age limit")
    cure = (
        "start its driver; `ros2 topic list` shows existing topics. A driver on another computer needs "
        "ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET"
    )
    return Finding(title, "red", f"nothing on {heard['topic']} in {LISTEN_S:g} s", cure)


def _timely(title: str, name: str, heard: Heard, config: SystemConfig) -> Finding:
    """Checks the rate of a source, its age against its limit and, for a camera, its exposure."""
    limit_s = heard["max_age_s"]
    if name == JOINTS:
        limit_s = min(limit_s, config.safety.joint_max_age_s)
    between_s, control_hz = 1 / heard["rate_hz"], 1 / config.control.period_s
    is_late = limit_s and heard["age_s"] + between_s > limit_s
    was_late = limit_s and heard["oldest_s"] + heard["largest_gap_s"] > limit_s
    is_slow = heard["is_camera"] and heard["rate_hz"] < 0.9 * control_hz
    brightness, counts = heard["brightness"], heard["arrivals"]
    loses = are_lost(counts)
    said = f"{heard['rate_hz']:.1f} Hz, {1e3 * heard['age_s']:.0f} ms old on arrival"
    said += f", mean {brightness:.0f} of 255" if brightness is not None else ""
    said += f"; {counts[0]} of {counts[1]} images arrive" if loses else ""
    if is_late or was_late:
        said += f"; up to {1e3 * (heard['oldest_s'] + heard['largest_gap_s']):.0f} ms at a tick, limit {1e3 * limit_s:.0f} ms"
        helps = "raise its driver's rate, shorten the exposure, synchronise the clocks; raise the limit last (docs/cameras.md)"
    elif is_slow:
        helps = f"control needs {control_hz:.0f} images per second: raise the camera's rate, or `control.period_s`"
    else:
        helps = "light the scene, or set the exposure of the camera's driver manually"
    is_ahead = heard["ahead_s"] > AHEAD_S
    if is_ahead:
        said, helps = f"{said}; stamps up to {1e3 * heard['ahead_s']:.0f} ms ahead of their arrival", _CLOCKS
    is_dark = brightness is not None and not BLACK < brightness < WHITE
    if loses:
        helps = cure(name, heard["image_bytes"])
    return graded(title, said, helps, red=bool(is_late), amber=bool(was_late or is_slow or is_dark or loses or is_ahead))


def clocks(told: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """One finding for each node whose computer's clock differs from this one's, and one for all others."""
    apart = {node: clock for node, clock in told.items() if clock["ahead_s"] is not None and _certain_s(clock) > AHEAD_S}
    alike = [clock for node, clock in told.items() if clock["ahead_s"] is not None and node not in apart]
    found = [_apart(node, clock) for node, clock in apart.items()]
    if alike:
        largest_s = max(abs(clock["ahead_s"]) + clock["within_s"] for clock in alike)
        found.append(
            Finding("clocks", "green", f"{len(alike)} publishing nodes: within {1e3 * largest_s:.1f} ms of this computer's")
        )
    silent = [node for node, clock in told.items() if clock["ahead_s"] is None]
    if silent:
        said = f"{', '.join(silent)}: no parameter service answers, so the clock of that computer is unknown"
        found.append(Finding("clocks", "green", said))
    return found


def _certain_s(clock: Mapping[str, Any]) -> float:
    """The smallest offset that the measurement allows."""
    return abs(clock["ahead_s"]) - clock["within_s"]


def _apart(node: str, clock: Mapping[str, Any]) -> Finding:
    ahead_s, ms = clock["ahead_s"], f"{1e3 * abs(clock['ahead_s']):.1f} ms"
    where, seem = ("ahead of", "younger") if ahead_s > 0 else ("behind", "older")
    said = (
        f"{ms} {where} this computer's, to within {1e3 * clock['within_s']:.1f} ms: messages of "
        f"{', '.join(clock['sources'])} appear {seem} than they are by that much"
    )
    return graded(f"clock of {node}", said, _CLOCKS, red=_certain_s(clock) > FAR_S, amber=True)


def _dds_cure() -> str:
    return (
        "possible causes: a firewall that blocks UDP on 127.0.0.1, a wrong ROS_DOMAIN_ID, or your own DDS profile: unset "
        "FASTRTPS_DEFAULT_PROFILES_FILE and RMW_IMPLEMENTATION and try again"
    )
