"""Everything that a GPU is measured by, in one command of at most eight minutes: updates beside PyTorch, acting, prefetch,
memory, and the floor that the device itself sets.

It needs the checkout, JAX with flax and optax, and pydantic: no ROS and no build. PyTorch is measured where it is installed.
Each variant runs in a separate process, and what the time does not reach is listed. On a machine without a GPU it runs on
the CPU and says that it did.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from jsac_ros.bench.cases import CASES, multiplications, random_observation
from jsac_ros.bench.update import SCANNED, measure_ours, measure_torch, median_ms

JAX_VARIANTS = ("ours", "ours_bfloat16", "ours_scan", "ours_bfloat16_scan")
TORCH_VARIANTS = ("torch_eager", "torch_channels_last", "torch_compiled")
PREFETCH_SHAPE = ACT_SHAPE = "96x96x9_b128"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=8.0, help="at most (default 8)")
    parser.add_argument("--shapes", nargs="+", choices=list(CASES), default=list(CASES), metavar="SHAPE")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE too")


def main(arguments: argparse.Namespace) -> int:
    until_s = time.monotonic() + 60.0 * arguments.minutes
    shapes = sorted(arguments.shapes, key=lambda shape: multiplications(CASES[shape]))
    found: dict = {"updates_ms": {shape: {} for shape in shapes}, "peak_memory_mib": {}, "not_measured": []}
    variants = JAX_VARIANTS + (TORCH_VARIANTS if importlib.util.find_spec("torch") else ())
    for part in ("device", *variants, "act", "prefetch"):
        wanted = shapes if part in variants else [PREFETCH_SHAPE]
        print(f"{part} ...", flush=True)
        measured = 0
        for line in _lines(part, wanted, until_s):
            measured += 1
            if part in variants:
                found["updates_ms"][line["shape"]][part] = line["ms"]
                found["peak_memory_mib"][part] = line["peak_mib"]
                print(f"  {line['shape']:<26}{line['ms']:10.3f} ms", flush=True)
            else:
                found[part] = line
                print("  " + ", ".join(f"{name} {value}" for name, value in line.items()), flush=True)
        found["not_measured"] += [f"{part} {shape}" for shape in wanted[measured:]]
    _print_table(found, variants)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


def _lines(part: str, shapes: list[str], until_s: float):
    """What the worker prints, one JSON object a shape, until the time is over; then it is ended."""
    command = [sys.executable, "-m", __name__, part, *shapes]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    timer = threading.Timer(max(until_s - time.monotonic(), 0.0), worker.kill)
    timer.start()
    try:
        for line in worker.stdout:
            if line.startswith("{"):
                yield json.loads(line)
        worker.wait()
    finally:
        timer.cancel()
        worker.kill()
        worker.wait()
    if worker.returncode > 0:
        print(f"  ended with status {worker.returncode}", flush=True)


def _print_table(found: dict, variants: tuple[str, ...]) -> None:
    tflops = found.get("device", {}).get("float32_tflops")
    print(f"\n{'median ms an update':<26}" + "".join(f"{name:>21}" for name in (*variants, "floor")))
    for shape, times in found["updates_ms"].items():
        row = [f"{times[name]:.3f}" if name in times else "-" for name in variants]
        row.append(f"{1e-9 * multiplications(CASES[shape]) / tflops:.3f}" if tflops else "-")
        print(f"{shape:<26}" + "".join(f"{value:>21}" for value in row))
    print("floor: the multiplications at the float32 rate measured here; TF32 is off in float32 columns")
    print(f"scan: {SCANNED} updates a call")
    if found["not_measured"]:
        print(f"not measured: {', '.join(found['not_measured'])}")


# -- in the worker ---------------------------------------------------------------------------------------------------


def _device() -> dict:
    """What the device reaches: large matrix products, and a copy within its memory."""
    import jax
    import jax.numpy as jnp

    gpu = jax.default_backend() != "cpu"
    size = 8192 if gpu else 1024
    line = {"device": jax.devices()[0].device_kind, "backend": jax.default_backend(), "jax": jax.__version__}
    for name, dtype, precision in (
        ("float32_tflops", jnp.float32, "highest"),
        ("tf32_tflops", jnp.float32, "default"),
        ("bfloat16_tflops", jnp.bfloat16, "default"),
    ):
        x = jax.random.normal(jax.random.key(0), (size, size)).astype(dtype)
        product = jax.jit(lambda x, precision=precision: jnp.matmul(x, x, precision=precision))
        line[name] = round(2e-9 * size**3 / median_ms(lambda: product(x).block_until_ready(), 5), 2)
    words = (1 << 28) if gpu else (1 << 24)
    x, add = jnp.zeros(words, jnp.float32), jax.jit(lambda x: x + 1.0)
    line["memory_gb_s"] = round(8e-6 * words / median_ms(lambda: add(x).block_until_ready(), 10), 1)  # read and written
    return line


def _update(part: str, shape: str) -> dict:
    case = CASES[shape]
    if part.startswith("torch"):
        import torch

        ms = measure_torch(case, part != "torch_eager", compiled=part == "torch_compiled")
        peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    else:
        import jax

        ms = measure_ours(case, "bfloat16" in part, "scan" in part)
        peak = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)
    return {"shape": shape, "ms": round(ms, 3), "peak_mib": round(peak / 2**20)}


def _act(shape: str) -> dict:
    """From a NumPy observation to a NumPy action, on the device that learns and on the CPU as the actor does it."""
    import jax

    from jsac_ros.agent.jsac import Jsac
    from jsac_ros.agent.policy import action_key, make_act

    case, line = CASES[shape], {"shape": shape}
    agent = Jsac.build(case.parameters, case.spaces)
    observation, key = random_observation(case), action_key(0, 0, 0)
    for device in {jax.default_backend(), "cpu"}:
        with jax.default_device(jax.devices(device)[0]):
            act, params = make_act(agent), agent.policy_params(agent.init(0))
            line[f"{device}_ms"] = median_ms(lambda: np.asarray(act(params, observation, key, False)["arm"]), 200)
    return line


def _prefetch(shape: str) -> dict:
    from jsac_ros.bench.prefetch import measure

    return measure(shape)


def run_worker(part: str, shapes: list[str]) -> None:
    for shape in shapes:
        match part:
            case "device":
                line = _device()
            case "act":
                line = _act(shape)
            case "prefetch":
                line = _prefetch(shape)
            case _:
                line = _update(part, shape)
        print(json.dumps(line))


if __name__ == "__main__":
    run_worker(sys.argv[1], sys.argv[2:])
