"""The time of one update in JAX, in plain PyTorch and in tuned PyTorch, each in a separate process, and its lower bound.

JAX runs with the settings of the learner process, tuned PyTorch with channels_last and huge pages. The floor is the number
of operations (`cases.multiplications`) at the peak rate of one large float32 matrix product on this machine (`without_tf32` on
both sides). Without PyTorch (requirements/bench.txt) its columns are missing.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time

import numpy as np

from jsac_ros.bench.cases import CASES, Case, multiplications, random_batch, share
from jsac_ros.xla_settings import HUGE_PAGES, learner_environment

WARM_UP = 2
SCANNED = 8  # updates per call of the scan variant
GPU_REPEATS = 200
_WORKER_TIMEOUT_S = 900


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as JSON on the last line")
    parser.add_argument("--shapes", nargs="+", choices=list(CASES), default=list(CASES), metavar="SHAPE")
    parser.add_argument("--without-torch", action="store_true", help="measure only JAX and the floor")


def main(arguments: argparse.Namespace) -> int:
    gpu = _worker("device", "")["gpu"]
    variants = {"ours": learner_environment()}
    if gpu:
        variants |= {"ours_bfloat16": {}, "ours_scan": {}, "ours_bfloat16_scan": {}}
    if importlib.util.find_spec("torch") and not arguments.without_torch:
        variants |= {"torch_plain": {}, "torch_tuned": {"GLIBC_TUNABLES": HUGE_PAGES}}
    peak = _worker("peak", "", learner_environment())["operations_per_s"]
    shapes, used = {}, {}
    print(f"{'shape':<26}" + "".join(f"{name:>20}" for name in (*variants, "floor")) + f"{'share of floor':>18}")
    for shape in arguments.shapes:
        measured = {name: _worker(name, shape, extra) for name, extra in variants.items()}
        used |= {line["float32"].partition(" ")[0]: line["float32"] for line in measured.values()}
        found = {f"{name}_ms": line["ms"] for name, line in measured.items()}
        found["floor_ms"] = round(1e3 * multiplications(CASES[shape]) / peak, 3)
        print(f"{shape:<26}" + "".join(f"{value:>20.2f}" for value in found.values()), end="")
        found["share_of_floor"] = share(found["floor_ms"], found["ours_ms"])
        print(f"{found['share_of_floor']:>18.2f}", flush=True)
        shapes[shape] = found
    print(f"float32: {', '.join(used.values())}")
    print(f"one large product: {1e-9 * peak:.0f} GFLOP/s; medians in ms; {os.cpu_count()} cores{', GPU' if gpu else ''}")
    if arguments.json:
        print(json.dumps({"shapes": shapes, "gflops": round(1e-9 * peak, 1)}))
    return 0


def _worker(variant: str, shape: str, extra: dict[str, str] | None = None) -> dict:
    command = [sys.executable, "-m", __name__, variant, shape]
    run = subprocess.run(command, env=os.environ | (extra or {}), stdout=subprocess.PIPE, text=True, timeout=_WORKER_TIMEOUT_S)
    if run.returncode:
        raise RuntimeError(f"bench {variant} {shape}: exit status {run.returncode}")
    return json.loads(run.stdout.splitlines()[-1])


# -- in the worker ---------------------------------------------------------------------------------------------------


def without_tf32(library: str) -> str:
    """Disables TF32 in float32 products and convolutions of "jax" or "torch"; returns a description of the settings.

    Products in bfloat16 are not affected.
    """
    if library == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "highest")
        return f"jax with default_matmul_precision {jax.config.jax_default_matmul_precision!r}"
    import torch

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    products, convolutions = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    return f"torch with cuda.matmul.allow_tf32 {products} and cudnn.allow_tf32 {convolutions}"


def median_ms(call, repeats: int) -> float:
    for _ in range(WARM_UP):
        call()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return round(1e3 * float(np.median(seconds)), 3)


def measure_ours(case: Case, bfloat16: bool, scan: bool) -> float:
    import jax

    from jsac_ros.agent.jsac import Jsac
    from jsac_ros.agent.update import make_update, make_updates

    agent = Jsac.build(case.parameters.model_copy(update={"bfloat16": bfloat16}), case.spaces)
    state, batch = agent.init(0), random_batch(case)
    count, gpu = (SCANNED if scan else 1), jax.default_backend() != "cpu"
    if scan:
        batch = jax.tree.map(lambda field: np.stack([field] * count), batch)
    update = make_updates(agent) if scan else make_update(agent)
    batch = jax.device_put(batch) if gpu else batch

    def call():
        nonlocal state
        state, _ = update(state, batch)
        jax.block_until_ready(state)

    return median_ms(call, GPU_REPEATS if gpu else case.repeats) / count


def measure_torch(case: Case, tuned: bool, compiled: bool = False) -> float:
    import torch

    from jsac_ros.bench.torch_step import TorchAgent, TorchBatch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_default_device(device)
    batch, images = random_batch(case), case.spaces.images

    def stacked(part):  # as in a PyTorch replay buffer
        image = part.permute(0, 1, 4, 2, 3).flatten(1, 2)
        return image.contiguous(memory_format=torch.channels_last if tuned else torch.contiguous_format)

    frames = {image.name: torch.tensor(batch.frames[image.name]) for image in images}
    torch_batch = TorchBatch(
        [stacked(frames[image.name][:, : image.stack]) for image in images],
        [stacked(frames[image.name][:, -image.stack :]) for image in images],
        *(torch.tensor(part["joints"]) for part in (batch.vectors, batch.next_vectors)),
        torch.tensor(batch.action["arm"]),
        *(torch.tensor(getattr(batch, name)) for name in ("reward", "discount", "weight")),
    )
    agent = TorchAgent(case.parameters, case.spaces, channels_last=tuned)
    update = torch.compile(agent.update) if compiled else agent.update

    def call():
        update(torch_batch)
        if device == "cuda":
            torch.cuda.synchronize()

    return median_ms(call, GPU_REPEATS if device == "cuda" else case.repeats)


def measure_peak() -> float:
    """Operations per second of a float32 matrix product of size 2048 (GPU: 8192)."""
    import jax
    import jax.numpy as jnp

    size = 2048 if jax.default_backend() == "cpu" else 8192
    x = jnp.ones((size, size))
    product = jax.jit(lambda x: jnp.matmul(x, x, precision="highest"))
    best = min(median_ms(lambda: product(x).block_until_ready(), 5) for _ in range(3))
    return 2.0 * size**3 / (1e-3 * best)


def run_worker(variant: str, shape: str) -> dict:
    match variant:
        case "device":
            import jax

            return {"gpu": jax.default_backend() != "cpu"}
        case "peak":
            return {"operations_per_s": measure_peak()}
        case "torch_plain" | "torch_tuned":
            return {"float32": without_tf32("torch"), "ms": measure_torch(CASES[shape], variant == "torch_tuned")}
    return {"float32": without_tf32("jax"), "ms": measure_ours(CASES[shape], "bfloat16" in variant, "scan" in variant)}


if __name__ == "__main__":
    print(json.dumps(run_worker(*sys.argv[1:])))
