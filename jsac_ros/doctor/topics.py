"""Checks of what arrives: DDS on this computer, and the cameras, joints and sensors of a configuration."""

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
BLACK, WHITE = 25.0, 230.0  # of 255: mean of an image that is too dark, too bright
AHEAD_S = 0.005  # a clock that NTP keeps differs by less; more is amber
FAR_S = 0.05  # messages whose stamps are further ahead are refused (control/stamps.py)
_CLOCKS = (
    "keep the clocks of both computers together: `sudo apt install chrony` on both, with `server THIS_COMPUTER iburst` in "
    "/etc/chrony/chrony.conf of the other one, or PTP (ptp4l, phc2sys); until then `stamps: arrival` (docs/cameras.md)"
)
Heard = Mapping[str, Any]  # of one source, as nodes/listening.py tells it


def check_topics(config: SystemConfig, file: str, overrides: Mapping[str, Any], namespace: str) -> list[Finding]:
    """file: of the configuration; '': DDS alone."""
    asked = {"config": file, "overrides": dict(overrides), "namespace": namespace, "seconds": LISTEN_S}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "jsac_ros.nodes.listening", json.dumps(asked)],
            env=os.environ | dds.discovery() | dds.profile(shared_memory=True),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return [Finding("DDS", "red", f"a node did not start and end within {TIMEOUT_S:g} s", _dds_cure())]
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        return [Finding("DDS", "red", last, "`make setup` installs ROS 2 where none is sourced")]
    told = json.loads(done.stdout.splitlines()[-1])
    heard = [judged(name, heard, config) for name, heard in told["sources"].items()]
    return [loopback(told["loopback"]), *heard, *clocks(told["clocks"])]


def loopback(took_s: Mapping[str, float | None]) -> Finding:
    """Seconds until a small and a large message came; None: never."""
    lost = [name for name, seconds in took_s.items() if seconds is None]
    if "small" in lost:
        return Finding("DDS", "red", "no message came from one node of this computer to another", _dds_cure())
    if lost:
        cure = "large images use /dev/shm: make room there; with another middleware, see its settings for large messages"
        return Finding("DDS", "red", "small messages come, one of a megabyte does not", cure)
    return Finding(
        "DDS", "green", f"messages of a megabyte come through shared memory ({1e3 * took_s['large']:.0f} ms from the start)"
    )


def judged(name: str, heard: Heard, config: SystemConfig) -> Finding:
    """One source of the configuration."""
    title = name if name == JOINTS or not heard["is_camera"] else f"camera {name}"
    if not heard["count"]:
        return _silent(title, heard, config)
    if heard["problem"]:
        return Finding(title, "red", f"{heard['topic']}: {heard['problem']}", "docs/troubleshooting.md names the cure")
    if heard["rate_hz"] is None:
        return Finding(title, "red", f"{heard['topic']}: one message in {LISTEN_S:g} s", "raise the rate of its driver")
    return _timely(title, name, heard, config)


def _silent(title: str, heard: Heard, config: SystemConfig) -> Finding:
    if config.robot.driver != "external":
        return Finding(title, "green", f"nothing on {heard['topic']} before the run, which brings it ({config.robot.driver})")
    if not heard["max_age_s"]:
        return Finding(title, "green", f"nothing on {heard['topic']} yet; it may be of any age")
    cure = (
        "start its driver; `ros2 topic list` names what there is. Another computer's needs ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET"
    )
    return Finding(title, "red", f"nothing on {heard['topic']} in {LISTEN_S:g} s", cure)


def _timely(title: str, name: str, heard: Heard, config: SystemConfig) -> Finding:
    """Its rate, its age against its limit and, of an image, its exposure."""
    limit_s = heard["max_age_s"]
    if name == JOINTS:
        limit_s = min(limit_s, config.safety.joint_max_age_s)
    between_s, control_hz = 1 / heard["rate_hz"], 1 / config.control.period_s
    is_late = limit_s and heard["age_s"] + between_s > limit_s
    was_late = limit_s and heard["oldest_s"] + heard["largest_gap_s"] > limit_s
    is_slow = heard["is_camera"] and heard["rate_hz"] < 0.9 * control_hz
    brightness, counts = heard["brightness"], heard["arrivals"]
    loses = are_lost(counts)
    said = f"{heard['rate_hz']:.1f} Hz, {1e3 * heard['age_s']:.0f} ms old when they come"
    said += f", mean {brightness:.0f} of 255" if brightness is not None else ""
    said += f"; {counts[0]} of {counts[1]} images arrive" if loses else ""
    if is_late or was_late:
        said += f"; up to {1e3 * (heard['oldest_s'] + heard['largest_gap_s']):.0f} ms at a tick, limit {1e3 * limit_s:.0f} ms"
        helps = "raise its driver's rate, shorten the exposure, synchronise the clocks; the limit last (docs/cameras.md)"
    elif is_slow:
        helps = f"control wants {control_hz:.0f} images a second: raise the camera's rate, or `control.period_s`"
    else:
        helps = "light the scene, or set the exposure of the camera's driver by hand"
    is_ahead = heard["ahead_s"] > AHEAD_S
    if is_ahead:
        said, helps = f"{said}; stamps up to {1e3 * heard['ahead_s']:.0f} ms ahead of their arrival", _CLOCKS
    is_dark = brightness is not None and not BLACK < brightness < WHITE
    if loses:
        helps = cure(name, heard["image_bytes"])
    return graded(title, said, helps, red=bool(is_late), amber=bool(was_late or is_slow or is_dark or loses or is_ahead))


def clocks(told: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """One of every node whose computer's clock differs from this one's, and one of all others."""
    apart = {node: clock for node, clock in told.items() if clock["ahead_s"] is not None and _certain_s(clock) > AHEAD_S}
    alike = [clock for node, clock in told.items() if clock["ahead_s"] is not None and node not in apart]
    found = [_apart(node, clock) for node, clock in apart.items()]
    if alike:
        largest_s = max(abs(clock["ahead_s"]) + clock["within_s"] for clock in alike)
        found.append(
            Finding("clocks", "green", f"of {len(alike)} nodes that publish these: within {1e3 * largest_s:.1f} ms of ours")
        )
    silent = [node for node, clock in told.items() if clock["ahead_s"] is None]
    if silent:
        said = f"{', '.join(silent)}: no parameter service answers, so what that computer's clock says is not known"
        found.append(Finding("clocks", "green", said))
    return found


def _certain_s(clock: Mapping[str, Any]) -> float:
    """By how much it differs at least."""
    return abs(clock["ahead_s"]) - clock["within_s"]


def _apart(node: str, clock: Mapping[str, Any]) -> Finding:
    ahead_s, ms = clock["ahead_s"], f"{1e3 * abs(clock['ahead_s']):.1f} ms"
    where, seem = ("ahead of", "younger") if ahead_s > 0 else ("behind", "older")
    said = (
        f"{ms} {where} ours, to within {1e3 * clock['within_s']:.1f} ms: messages of {', '.join(clock['sources'])} seem that "
        f"much {seem} than they are"
    )
    return graded(f"clock of {node}", said, _CLOCKS, red=_certain_s(clock) > FAR_S, amber=True)


def _dds_cure() -> str:
    return (
        "a firewall that blocks UDP on 127.0.0.1, a wrong ROS_DOMAIN_ID, or a DDS profile of yours: unset "
        "FASTRTPS_DEFAULT_PROFILES_FILE and RMW_IMPLEMENTATION and try again"
    )
