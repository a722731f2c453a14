"""The fault campaign: every fault of the simulator and `kill -9` of every process, at random moments of a running system.

For each fault it measures how long the arm takes to rest, its peak speed and acceleration until then, whether it crossed a
limit, and whether the system continued by itself as docs/safety.md says. It judges the true joint states of the simulator, not
those that safety receives. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import signal
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jsac_ros.bench.fault_kinds import (
    BY_CAMERA,
    CONTINUES,
    EITHER,
    NEEDS_RELEASE,
    OWN_STOP,
    SIGNALS,
    SIM_FAULTS,
    UNSEEN,
    campaign,
)
from jsac_ros.bench.system_run import SystemRun
from jsac_ros.config import ConfigError

CONFIG = "config/ur5_reacher_demo.yaml"
OVERRIDES = {
    "run.max_restarts": 1000, "replay.warmup_steps": 100, "safety.max_joint_speed_rad_s": 0.3,
    "sensors.wrench.topic": "wrench", "sensors.wrench.type": "geometry_msgs/msg/WrenchStamped",
    "sensors.wrench.fields": ["wrench.force.x", "wrench.force.y", "wrench.force.z",
                              "wrench.torque.x", "wrench.torque.y", "wrench.torque.z"],
    "sensors.wrench.max_age_s": 0.05, "safety.wrench": "wrench", "safety.max_force_n": 40.0,
}  # fmt: skip

FAULT_S = 1.5
CLOCK_STEP_S = 2.0
CONTACT_S = 0.4  # the contact ends once the arm has backed off
AT_REST_RAD_S = 0.01
MOST_REST_MS = 300.0  # promised time to rest
_STILL_S = 0.1
_WINDOW = 3  # joint states over which an acceleration is computed
_ROUNDING = 1e-4  # rad, m
_READY_S = 120.0  # until the system acts again after a kill of the learner, which compiles under load
_RECOVERED_S = 90.0


class Outcome(NamedTuple):
    fault: str
    rest_ms: float | None  # None: the arm need not rest, or could not be observed
    peak_speed_rad_s: float
    peak_acceleration_rad_s2: float | None  # None: the arm's controller stopped it
    violations: int  # joint states outside a limit
    recovered_s: float | None  # None: it did not recover


# -- judging, pure ---------------------------------------------------------------------------------------------------


def time_to_rest_s(time_s: np.ndarray, qd: np.ndarray) -> float | None:
    """Time from the first sample until all joints are at rest for _STILL_S; None: they never are."""
    still = np.abs(qd).max(axis=1, initial=0.0) < AT_REST_RAD_S
    for k in np.flatnonzero(still):
        ahead = (time_s >= time_s[k]) & (time_s <= time_s[k] + _STILL_S)
        if still[ahead].all() and time_s[-1] >= time_s[k] + _STILL_S:
            return float(time_s[k] - time_s[0])
    return None


def time_to_stand_s(time_s: np.ndarray, qd: np.ndarray) -> float | None:
    """Time from the first sample until all joints are at rest, even if only to reverse; None: they never are."""
    standing = np.flatnonzero(np.abs(qd).max(axis=1, initial=0.0) < AT_REST_RAD_S)
    return float(time_s[standing[0]] - time_s[0]) if len(standing) else None


def peak_acceleration(time_s: np.ndarray, qd: np.ndarray) -> float:
    """rad/s^2, over _WINDOW joint states, as two adjacent ones are dominated by the jitter of their stamps."""
    if len(time_s) <= _WINDOW:
        return 0.0
    span = np.maximum(time_s[_WINDOW:] - time_s[:-_WINDOW], 1e-3)
    return float((np.abs(qd[_WINDOW:] - qd[:-_WINDOW]) / span[:, None]).max())


def violations(q: np.ndarray, bounds) -> int:
    """Number of joint states q [T, N] outside the joint limits or the tool box by more than rounding errors."""
    if not len(q):
        return 0
    outside = ((q > bounds.joint_upper + _ROUNDING) | (q < bounds.joint_lower - _ROUNDING)).any(axis=1)
    if bounds.box is not None:
        place = bounds.arm.tool_positions(q, bounds.frame)
        outside |= ((place > bounds.box[1] + _ROUNDING) | (place < bounds.box[0] - _ROUNDING)).any(axis=1)
    return int(outside.sum())


# -- the campaign ----------------------------------------------------------------------------------------------------


class Campaign:
    def __init__(self, run: SystemRun, seed: int):
        from jsac_ros.bench.observer import Observer
        from jsac_ros.control.safety.bounds import bounds_of

        self.run = run
        self.random = random.Random(seed)
        self.observer = Observer(run.config, run.domain)
        self._second_source = None  # while the fault lasts
        self._limited: dict[int, tuple[int, int]] = {}  # pid -> file size limit before the fault
        self.bounds = bounds_of(run.config.safety, self.observer.arm)

    def case(self, fault: str) -> Outcome:
        """Waits until the arm moves, injects the fault, observes the arm, and waits until the system acts again."""
        see = self.observer
        if not see.wait(lambda: self._acting() and see.moving(0.15), _READY_S):
            return Outcome(fault, None, 0.0, 0.0, 0, None)
        time.sleep(self.random.uniform(0.0, 1.0))
        see.wait(lambda: see.moving(0.15), 10.0)
        how, _, name = fault.partition("_")
        self._pid = self.run.pid(name) if how in SIGNALS else None
        since_s = time.time()
        self._make(fault)
        see.forget(since_s)
        time.sleep(FAULT_S)
        self._end(fault)
        path = see.path(since_s)
        began_s = time.monotonic()
        recovered = see.wait(lambda: self._acting() and self._all_up(fault, began_s), _RECOVERED_S)
        after_s = time.monotonic() - began_s
        crossed = violations(see.path(since_s).q, self.bounds)
        return self._outcome(fault, path, crossed, after_s if recovered else None)

    def _outcome(self, fault: str, path, crossed: int, recovered_s: float | None) -> Outcome:
        rest_s = None
        until = len(path.time_s)
        if fault not in CONTINUES | UNSEEN | EITHER and until:
            # After a contact the arm stops, then backs off.
            rest_s = (time_to_stand_s if fault == "contact" else time_to_rest_s)(path.time_s, path.qd)
            rest_s = np.inf if rest_s is None else rest_s
            until = int(np.searchsorted(path.time_s, path.time_s[0] + rest_s)) + 1
            if fault in BY_CAMERA:  # counted from when the newest image is too old, whether the fault repeats it or not
                rest_s = max(0.0, rest_s - max(camera.max_age_s for camera in self.run.config.cameras.values()))
        speed = float(np.abs(path.qd[:until]).max(initial=0.0))
        hard = None if fault in OWN_STOP | UNSEEN | EITHER else peak_acceleration(path.time_s[:until], path.qd[:until])
        return Outcome(fault, None if rest_s is None else 1e3 * rest_s, speed, hard, crossed, recovered_s)

    def _acting(self) -> bool:
        heard_s, status = self.observer.newest.get("control_status", (0.0, None))
        return status is not None and status.state == "acting" and time.monotonic() - heard_s < 1.5

    def _all_up(self, fault: str, since_s: float) -> bool:
        """Whether the killed process publishes again."""
        status = {"learner": "training_status", "replay": "replay_status", "safety": "safety_status"}
        topic = status.get(fault.partition("_")[2], "control_status")
        return self.observer.newest.get(topic, (0.0, None))[0] > since_s

    def _make(self, fault: str) -> None:
        if fault in SIM_FAULTS:
            self.observer.fault(f"{fault} {CONTACT_S if fault == 'contact' else FAULT_S}")
        elif self._pid is not None:
            os.kill(self._pid, _SIGNAL[fault.partition("_")[0]])
        elif fault == "emergency_stop":
            self.observer.stop_robot()
        elif fault == "full_disk":
            self._limited = {pid: _fill_disk(pid) for pid in self.run.pids()}
        elif fault == "stranger":
            self.observer.lie()
        elif fault == "clock_step":
            _step_clock(-CLOCK_STEP_S)
        elif fault == "second_source":
            from jsac_ros.bench.observer import SecondSource

            self._second_source = SecondSource(self.observer)
        else:
            n = len(self.observer.arm)
            bad = {"nan_command": [np.nan] * n, "short_command": [0.1] * (n - 1), "fast_command": [50.0] * n}
            self.observer.send(bad[fault])

    def _end(self, fault: str) -> None:
        if fault.startswith("freeze_"):
            os.kill(self._pid, signal.SIGCONT)
        if fault == "clock_step":
            _step_clock(CLOCK_STEP_S)
        for pid, limits in self._limited.items():
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
        self._limited = {}
        if self._second_source is not None:
            self._second_source.stop()
            self._second_source = None
        if fault in NEEDS_RELEASE:
            self.observer.wait(lambda: self._acting() or self._asks_for_release(), 30.0)
            self.observer.call("safety/release", 30.0)

    def _asks_for_release(self) -> bool:
        heard_s, status = self.observer.newest.get("safety_status", (0.0, None))
        fresh = status is not None and time.monotonic() - heard_s < 0.5
        return fresh and (status.emergency_stop or "release" in status.reason)


_SIGNAL = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP, "hangup": signal.SIGHUP}


def _fill_disk(pid: int) -> tuple[int, int]:
    """Makes every write of the process fail, as on a full disk. Returns its previous limit."""
    limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, limits[1]))
    return limits


def _step_clock(seconds: float) -> None:
    """Raises PermissionError if this process may not set the clock."""
    time.clock_settime(time.CLOCK_REALTIME, time.time() + seconds)


def lost_acknowledged(folder: Path, acknowledged: dict[tuple[str, int], int]) -> int:
    """Number of transitions that replay acknowledged but does not have, except those counted as lost in transport."""
    from jsac_ros.replay.store import FrameStore

    store = FrameStore.read(folder)
    rows = store.records[store.live_slots()]
    missing = 0
    for (robot, session), next_sequence in acknowledged.items():
        of_session = rows["sequence"][(rows["robot"].astype(str) == robot) & (rows["session"] == session)]
        missing += next_sequence - len(np.unique(of_session[of_session < next_sequence]))
    return max(0, missing - store.counters["lost"])


def summarise(outcomes: list[Outcome], lost: int, leftovers: list[str]) -> dict:
    by_fault = {}
    for fault in sorted({outcome.fault for outcome in outcomes}):
        of = [outcome for outcome in outcomes if outcome.fault == fault]
        by_fault[fault] = {
            "cases": len(of),
            "rest_ms_max": _most(outcome.rest_ms for outcome in of),
            "peak_speed_rad_s": _most(outcome.peak_speed_rad_s for outcome in of),
            "peak_acceleration_rad_s2": _most(outcome.peak_acceleration_rad_s2 for outcome in of),
            "limit_violations": sum(outcome.violations for outcome in of),
            "recovered_s_max": _most(outcome.recovered_s for outcome in of),
            "not_recovered": sum(outcome.recovered_s is None for outcome in of),
        }
    return {
        "cases": len(outcomes),
        "by_fault": by_fault,
        "rest_ms_max": _most(outcome.rest_ms for outcome in outcomes),
        "limit_violations": sum(outcome.violations for outcome in outcomes),
        "rest_late": sorted({o.fault for o in outcomes if o.rest_ms is not None and o.rest_ms > MOST_REST_MS} - OWN_STOP),
        "not_recovered": sum(outcome.recovered_s is None for outcome in outcomes),
        "lost_acknowledged": lost,
        "leftovers": leftovers,
    }


def _most(values) -> float | None:
    known = [value for value in values if value is not None]
    return round(max(known), 3) if known else None


_EXPECTED = dict.fromkeys(CONTINUES, "continues") | dict.fromkeys(UNSEEN, "not seen") | dict.fromkeys(EITHER, "either")


def table(summary: dict) -> str:
    """The table of the campaign for docs/safety.md."""
    lines = [
        "| fault | cases | at rest, ms | peak speed, rad/s | peak acceleration, rad/s² | outside a limit | acts again, s |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for fault, row in summary["by_fault"].items():
        rest = _EXPECTED.get(fault) or f"{row['rest_ms_max']:.0f}"
        unknown = "not seen" if fault in EITHER else "the arm's own"
        hard = unknown if row["peak_acceleration_rad_s2"] is None else f"{row['peak_acceleration_rad_s2']:.2f}"
        again = "never" if row["not_recovered"] else f"{row['recovered_s_max']:.1f}"
        lines.append(
            f"| {fault} | {row['cases']} | {rest} | {row['peak_speed_rad_s']:.2f} | {hard} "
            f"| {row['limit_violations']} | {again} |"
        )
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", default=CONFIG)
    parser.add_argument("--cases", type=int, help="number of faults, instead of the whole campaign")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clock", action="store_true", help="also set this computer's clock back and forth (as root)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on the last line")


def main(arguments: argparse.Namespace) -> int:
    """Returns 0 if all promises were kept."""
    if arguments.clock:
        try:
            _step_clock(0.0)
        except PermissionError:
            raise ConfigError("--clock sets this computer's clock; expected root with CAP_SYS_TIME") from None
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="jsac_faults_") as folder:
        run = SystemRun(arguments.config, OVERRIDES, folder)
        try:
            run_folder = run.run_folder
            campaign_run = Campaign(run, arguments.seed)
            for fault in campaign(arguments.seed, arguments.cases, arguments.clock):
                outcome = campaign_run.case(fault)
                outcomes.append(outcome)
                print(_line(outcome), flush=True)
                if not run.alive:
                    print(run.log.read_text(errors="replace")[-2000:])
                    break
            acknowledged = dict(campaign_run.observer.acknowledged)
            campaign_run.observer.close()
        finally:
            run.stop()
        lost = lost_acknowledged(run_folder / "replay", acknowledged)
        summary = summarise(outcomes, lost, run.leftovers())
    print(table(summary))
    print(f"acknowledged but lost: {summary['lost_acknowledged']}; left behind: {summary['leftovers'] or 'nothing'}")
    if arguments.json:
        print(json.dumps(summary))
    if summary["rest_late"]:
        print(f"not at rest within {MOST_REST_MS:g} ms: {', '.join(summary['rest_late'])}")
    return 0 if keeps_promises(summary) else 1


def keeps_promises(summary: dict) -> bool:
    """Whether safety always stopped in time, no limit was crossed, the system recovered, and nothing was lost or left."""
    broken = ("rest_late", "limit_violations", "not_recovered", "lost_acknowledged", "leftovers")
    return not any(summary[name] for name in broken)


def _line(outcome: Outcome) -> str:
    rest = "        " if outcome.rest_ms is None else f"{outcome.rest_ms:5.0f} ms"
    again = "never" if outcome.recovered_s is None else f"{outcome.recovered_s:.1f} s"
    return f"{outcome.fault:<18} rest {rest}  peak {outcome.peak_speed_rad_s:.2f} rad/s  acts again {again}"
