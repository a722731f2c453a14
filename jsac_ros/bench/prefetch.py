"""The cost of copying batches to the device, with and without the loop of `agent/learning.py`, which prefetches.

On a CPU there is almost nothing to copy; on a GPU the copy of the next batch should overlap with the update.
"""

from __future__ import annotations

import argparse
import json
import time

from jsac_ros.bench.cases import CASES, random_batch

UPDATES = 20
DISTINCT = 4  # batches used in turn, so that each is copied again


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as JSON on the last line")
    parser.add_argument("--shape", choices=list(CASES), default="64x64x9_b64", metavar="SHAPE")


def main(arguments: argparse.Namespace) -> int:
    found = measure(arguments.shape)
    for name in ("resident_ms", "copied_ms", "prefetched_ms"):
        print(f"{name:<16}{found[name]:10.2f} per update")
    print(f"device: {found['device']}, {arguments.shape}")
    if arguments.json:
        print(json.dumps(found))
    return 0


def measure(shape: str) -> dict[str, float | str]:
    """Returns {"resident_ms", "copied_ms", "prefetched_ms": time per update; "device": its kind}."""
    import jax

    from jsac_ros.agent.jsac import Jsac
    from jsac_ros.agent.learning import Learner
    from jsac_ros.agent.update import make_update

    case = CASES[shape]
    agent = Jsac.build(case.parameters, case.spaces)
    update = make_update(agent)
    host = [random_batch(case, seed) for seed in range(DISTINCT)]
    resident = [jax.device_put(batch) for batch in host]
    learner = Learner(agent, agent.init(0))
    learner.compile(case.batch_size)

    def one_after_the_other(batches):
        state = agent.init(0)
        for batch in batches:
            state, metrics = update(state, batch)
            jax.block_until_ready(metrics["td_error"])  # as in the learner's loop, which then releases the batch

    in_turn = [k % DISTINCT for k in range(UPDATES)]
    ways = {
        "resident_ms": lambda: one_after_the_other(resident[k] for k in in_turn),  # without copying
        "copied_ms": lambda: one_after_the_other(jax.block_until_ready(jax.device_put(host[k])) for k in in_turn),
        "prefetched_ms": lambda: learner.learn(host[k] for k in in_turn),
    }
    one_after_the_other(resident[:1])
    found: dict[str, float | str] = {}
    for name, learn in ways.items():
        began = time.perf_counter()
        learn()
        found[name] = round(1e3 * (time.perf_counter() - began) / UPDATES, 3)
    found["device"] = jax.devices()[0].device_kind
    return found
