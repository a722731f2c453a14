"""All measurements of a GPU in one command of at most eight minutes: updates compared with PyTorch, acting, prefetch,
memory, and the peak rate of the device.

It needs the checkout, JAX with flax and optax, and pydantic, but neither ROS nor a build. PyTorch is measured if it is
installed. Each variant and shape runs in a separate process, so that the peak memory is that of one shape; cases that do not
fit into the time are listed. float32 excludes TF32 on both sides and for the floor (`update.without_tf32`). Without a GPU the
measurements run on the CPU; the output names the device.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from jsac_ros.bench.cases import CASES, multiplications, random_observation
from jsac_ros.bench.update import SCANNED, measure_ours, measure_torch, median_ms, without_tf32
from jsac_ros.config import ConfigError

JAX_VARIANTS = ("ours", "ours_bfloat16", "ours_scan", "ours_bfloat16_scan")
TORCH_VARIANTS = ("torch_eager", "torch_channels_last", "torch_compiled")
NEEDED = ("jax", "flax", "optax", "pydantic", "numpy")  # beside the checkout
ONE_SHAPE = "96x96x9_b128"  # of what is measured at one shape only


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=8.0, help="time limit (default 8)")
    parser.add_argument("--shapes", nargs="+", choices=list(CASES), default=list(CASES), metavar="SHAPE")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")


def main(arguments: argparse.Namespace) -> int:
    """Raises ConfigError if a package is missing."""
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise ConfigError(f"bench gpu needs the packages {', '.join(NEEDED)}; missing: {', '.join(missing)}")
    until_s = time.monotonic() + 60.0 * arguments.minutes
    shapes = sorted(arguments.shapes, key=lambda shape: multiplications(CASES[shape]))
    figures = {"updates_ms": "ms", "peak_memory_mib": "peak_mib"}
    found: dict = {name: {shape: {} for shape in shapes} for name in figures} | {"float32": {}, "not_measured": []}
    variants = JAX_VARIANTS + (TORCH_VARIANTS if importlib.util.find_spec("torch") else ())
    for part in ("device", *variants, "act", "prefetch"):
        print(f"{part} ...", flush=True)
        for shape in shapes if part in variants else [ONE_SHAPE]:
            line = _measured(part, shape, until_s)
            if line is None:
                found["not_measured"].append(f"{part} {shape}")
            elif part in variants:
                for name, figure in figures.items():
                    found[name][shape][part] = line[figure]
                found["float32"]["torch" if part in TORCH_VARIANTS else "jax"] = line["float32"]
                print(f"  {shape:<26}{line['ms']:10.3f} ms{line['peak_mib']:10} MiB", flush=True)
            else:
                found[part] = line
                print("  " + ", ".join(f"{name} {value}" for name, value in line.items()), flush=True)
    _print_tables(found, variants)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


def _measured(part: str, shape: str, until_s: float) -> dict | None:
    """The result of a worker; None if it failed or the time is up."""
    left_s = until_s - time.monotonic()
    if left_s <= 0.0:
        return None
    command = [sys.executable, "-m", __name__, part, shape]
    try:
        worker = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=left_s)
    except subprocess.TimeoutExpired:
        return None
    if worker.returncode:
        print(f"  {shape}: exit status {worker.returncode}", flush=True)
        return None
    return json.loads(worker.stdout.splitlines()[-1])


def _print_tables(found: dict, variants: tuple[str, ...]) -> None:
    tflops = found.get("device", {}).get("float32_tflops")
    _print_table("median ms per update", found["updates_ms"], variants, ".3f", tflops)
    print("floor: the operations of an update at the float32 rate measured here")
    _print_table("peak memory, MiB", found["peak_memory_mib"], variants, "d")
    print(f"float32: {', '.join(found['float32'].values())}; scan: {SCANNED} updates per call")
    if found["not_measured"]:
        print(f"not measured: {', '.join(found['not_measured'])}")


def _print_table(title: str, figures: dict, variants: tuple[str, ...], form: str, tflops: float | None = None) -> None:
    floor = {shape: 1e-9 * multiplications(CASES[shape]) / tflops for shape in figures} if tflops else {}
    columns = (*variants, "floor") if floor else variants
    print(f"\n{title:<26}" + "".join(f"{name:>21}" for name in columns))
    for shape, row in figures.items():
        row = row | ({"floor": floor[shape]} if floor else {})
        print(f"{shape:<26}" + "".join(f"{format(row[name], form) if name in row else '-':>21}" for name in columns))


# -- in the worker ---------------------------------------------------------------------------------------------------


def _device() -> dict:
    """Peak rates of the device: large matrix products, and a copy within its memory."""
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
    case, float32 = CASES[shape], without_tf32("torch" if part.startswith("torch") else "jax")
    if part.startswith("torch"):
        import torch

        ms = measure_torch(case, part != "torch_eager", compiled=part == "torch_compiled")
        peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    else:
        import jax

        ms = measure_ours(case, "bfloat16" in part, "scan" in part)
        peak = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)
    return {"shape": shape, "ms": round(ms, 3), "peak_mib": round(peak / 2**20), "float32": float32}


def _act(shape: str) -> dict:
    """Time from NumPy observation to NumPy action, on the learner's device and on the CPU, which the actor uses."""
    import jax

    from jsac_ros.agent.jsac import Jsac
    from jsac_ros.agent.policy import action_key, make_act

    without_tf32("jax")
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

    without_tf32("jax")
    return measure(shape)


def run_worker(part: str, shape: str) -> dict:
    match part:
        case "device":
            return _device()
        case "act":
            return _act(shape)
        case "prefetch":
            return _prefetch(shape)
    return _update(part, shape)


if __name__ == "__main__":
    print(json.dumps(run_worker(*sys.argv[1:])))
