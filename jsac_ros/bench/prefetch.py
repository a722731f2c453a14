"""What copying batches to the device costs an update, with and without the double buffer of `agent.prefetch`.

On a CPU there is next to nothing to copy; on a GPU the copy of the next batch should disappear behind the update.
"""

from __future__ import annotations

import argparse
import json
import time

from jsac_ros.bench.cases import CASES, CONFIG, random_batch

UPDATES = 20
DISTINCT = 4  # batches taken in turn, so that every one is copied anew


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument("--shape", choices=list(CASES), default="64x64x9_b64", metavar="SHAPE")


def main(arguments: argparse.Namespace) -> int:
    import jax

    from jsac_ros.agent.prefetch import prefetch
    from jsac_ros.agent.state import create
    from jsac_ros.agent.update import make_update

    case = CASES[arguments.shape]
    update, state = make_update(CONFIG, case.spec), create(CONFIG, case.spec, 0)
    host = [random_batch(case, seed) for seed in range(DISTINCT)]
    resident = [jax.device_put(batch) for batch in host]
    in_turn = {
        "resident_ms": lambda: iter([resident[k % DISTINCT] for k in range(UPDATES)]),  # no copy at all
        "copied_ms": lambda: (jax.block_until_ready(jax.device_put(host[k % DISTINCT])) for k in range(UPDATES)),
        "prefetched_ms": lambda: prefetch(host[k % DISTINCT] for k in range(UPDATES)),
    }
    state, _ = update(state, resident[0])
    found = {}
    for name, batches in in_turn.items():
        jax.block_until_ready(state)
        began = time.perf_counter()
        for batch in batches():
            state, _ = update(state, batch)
        jax.block_until_ready(state)
        found[name] = round(1e3 * (time.perf_counter() - began) / UPDATES, 3)
        print(f"{name:<16}{found[name]:10.2f} per update")
    found["device"] = jax.devices()[0].device_kind
    print(f"device: {found['device']}, {arguments.shape}")
    if arguments.json:
        print(json.dumps(found))
    return 0
