"""Timing of the control loop of a running system while the learner uses all cores: lateness, duration, age of images.

A whole system with the published image size runs for ten minutes; the figures come from its run folder and topics. An idle
loop with the priority of the control threads runs beside it: its lateness is that of the machine and of those threads. Run it
on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from jsac_ros.bench.system_run import SystemRun
from jsac_ros.control.timing import SAFETY_FILE
from jsac_ros.report.histograms import Histogram, read_histograms

CONFIG = "config/ur5_reacher_demo.yaml"
# 160x90 with a stack of 3, as published; small networks, so that the first batches come soon. The learner uses all cores
# with networks of any size.
OVERRIDES = {
    "cameras.wrist.height": 90, "cameras.wrist.width": 160, "cameras.wrist.stack": 3, "cameras.wrist.source_height": 90,
    "cameras.wrist.source_width": 160, "sim.camera_rate_hz": 30.0, "replay.warmup_steps": 100,
}  # fmt: skip
_START_S = 300.0
_STEAL = 7
_QUANTILES = {"p50": 0.5, "p99": 0.99, "p999": 0.999}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", default=CONFIG)
    parser.add_argument(
        "--duration", type=float, default=600.0, metavar="S", help="seconds of control, after the start (default 600)"
    )
    parser.add_argument("--no-realtime", action="store_true", help="without SCHED_FIFO, as on most machines")
    parser.add_argument("--frame", action="store_true", help="start each tick when an image arrives (control.trigger: wrist)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on the last line")


def main(arguments: argparse.Namespace) -> int:
    overrides = OVERRIDES | {"run.duration_s": arguments.duration}
    if arguments.no_realtime:
        overrides["realtime.fifo_priority"] = 0
    if arguments.frame:
        overrides["control.trigger"] = "wrist"
    with tempfile.TemporaryDirectory(prefix="jsac_control_") as folder:
        run = SystemRun(arguments.config, overrides, folder)
        try:
            heard = _listen(run, arguments.duration)
        finally:
            run.stop()
        found = summarise(run.run_folder, heard, run.config.sim.camera_delay_s)
    print(f"machine start_ms  {_row(found['machine']['start_ms'])}  (an idle loop beside the system)")
    print(f"        the host stole {100 * found['machine']['stolen_share']:.1f} % of the CPU time")
    for name in ("actor", "safety"):
        part = found[name]
        print(f"{name:<7} ticks {part['ticks']}  missed {part['missed']}")
        for what in ("start_ms", "done_ms"):
            print(f"        {what:<9} {_row(part[what])}")
    print(f"        command   {_row(found['safety']['command_ms'])}  (from receiving a command to sending it)")
    print(f"        gate      {_row(found['safety']['adds_ms'])}  (from the actor's command to the robot's command)")
    image = found["image_to_command_ms"]
    print(f"image to command  {_row(image)}  of which waiting for the tick: p50 {image['phase_p50']} ms")
    print(f"real time: {found['realtime']}")
    if arguments.json:
        print(json.dumps(found))
    return 0


def _listen(run: SystemRun, duration_s: float) -> dict:
    """Observes the run to its end. Returns the last counters and the latency that the gate added to each command."""
    from jsac_ros.bench.observer import Observer

    observer = Observer(run.config, run.domain)
    try:
        if not observer.wait(lambda: observer.status("control_status") is not None or not run.alive, _START_S):
            raise RuntimeError("no status from the actor")
        end_s = time.monotonic() + duration_s + _START_S
        with _Machine(run.config.control.period_s, run.config.realtime.fifo_priority) as machine:
            for thread in os.listdir("/proc/self/task"):  # lower priority: no node of a run subscribes to every topic
                with suppress(ProcessLookupError):  # the thread has ended
                    os.setpriority(os.PRIO_PROCESS, int(thread), 10)
            while run.alive and time.monotonic() < end_s:
                time.sleep(1.0)
                observer.forget(time.time())
        control, safety = observer.status("control_status"), observer.status("safety_status")
        if control is None or safety is None:
            raise RuntimeError(f"the system ended early:\n{run.log.read_text(errors='replace')[-2000:]}")
        return {
            "actor": {"ticks": int(control.ticks), "missed": int(control.missed)},
            "safety": {"ticks": int(safety.ticks), "missed": int(safety.missed)},
            "adds_ms": observer.gate_ms(),
            "machine": machine.found,
        }
    finally:
        observer.close()


class _Machine:
    """Measures the lateness of an idle loop and the CPU time that the host steals, during the block. Result: `found`."""

    def __init__(self, period_s: float, priority: int):
        self._command = [sys.executable, "-m", "jsac_ros.bench.idle_loop", str(period_s), str(priority)]
        self.found: dict = {}

    def __enter__(self) -> _Machine:
        self._before = _cpu_times()
        self._loop = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_) -> None:
        self._loop.terminate()
        said, _ = self._loop.communicate()  # empty if the system ended before the loop started
        passed = _cpu_times() - self._before
        self.found = {"start_ms": json.loads(said or "null"), "stolen_share": round(float(passed[_STEAL] / passed.sum()), 4)}


def _cpu_times() -> np.ndarray:
    """CPU times of all cores, in ticks: user, nice, system, idle, iowait, irq, softirq, steal."""
    return np.array(Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9], float)


def summarise(folder: Path, heard: dict, camera_delay_s: float) -> dict:
    """The percentiles from the run folder, with the keys of `--json`."""
    actor, safety = read_histograms(folder), read_histograms(folder, SAFETY_FILE)
    image = _percentiles(actor["obs_to_command"])
    # An image is at least as old as the camera's delay; for the rest of its age it waited for the tick.
    ages = _percentiles(actor["image_age"])
    image["phase_p50"] = None if ages["p50"] is None else round(max(0.0, ages["p50"] - 1e3 * camera_delay_s), 4)
    return {
        "actor": heard["actor"] | {
            "start_ms": _percentiles(actor["lateness"]),
            "done_ms": _percentiles(actor["done"]),
            "inference_ms": _percentiles(actor["inference"]),
        },
        "safety": heard["safety"] | {
            "start_ms": _percentiles(safety["lateness"]),
            "done_ms": _percentiles(safety["done"]),
            "command_ms": _percentiles(safety["command"]),
            "adds_ms": heard["adds_ms"],
        },
        "image_to_command_ms": image,
        "machine": heard["machine"],
        "realtime": _realtime(folder),
    }  # fmt: skip


def _percentiles(histogram: Histogram) -> dict[str, float]:
    if not histogram.counts.sum():
        return dict.fromkeys((*_QUANTILES, "max"))  # JSON has no NaN
    return {name: round(histogram.quantile(q), 4) for name, q in _QUANTILES.items()} | {"max": round(histogram.max, 4)}


def _realtime(folder: Path) -> dict[str, str]:
    """Whether each process got real-time priority, from its log."""
    said = {}
    for name in ("actor", "safety"):
        log = (folder / "logs" / f"{name}.log").read_text(errors="replace")
        lines = [line.partition(f"{name}: ")[2] for line in log.splitlines() if "SCHED_FIFO" in line]
        said[name] = next((part for part in "; ".join(lines).split("; ") if "SCHED_FIFO" in part), "unknown")
    return said


def _row(values: dict[str, float]) -> str:
    return "  ".join(f"{name} {values[name]:.2f}" for name in ("p50", "p99", "p999", "max") if values[name] is not None)
