"""Acting: one action from one observation on a pinned core, in JAX and in PyTorch, while a learner updates on all cores.

Each acts in a separate process with one thread, as the actor does; the learner has the nice value of a live system. Images
are 96x96 with a stack of 3; the time is from NumPy observation to NumPy action.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time

from jsac_ros.bench.cases import CASES, milliseconds, random_batch, random_observation
from jsac_ros.control import realtime
from jsac_ros.system import ACTING
from jsac_ros.xla_settings import learner_environment

CASE = CASES["96x96x9_b128"]
# "paced": one action each 10 ms, because the caches of a control loop, which sleeps between ticks, are cold when it wakes.
# "back_to_back": without pauses, the time of the computation itself.
PERIODS_S = {"paced": 0.01, "back_to_back": 0.0}
WARM_UP = 50
LEARNER_NICE = 19
FIFO_PRIORITY = 10  # of the actor's control thread
_WORKER_TIMEOUT_S = 300


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as JSON on the last line")
    parser.add_argument("--actions", type=int, default=2000, help="actions timed per variant (default 2000)")
    parser.add_argument("--idle", action="store_true", help="measure without a learner")


def main(arguments: argparse.Namespace) -> int:
    variants = {"ours": ACTING}
    if importlib.util.find_spec("torch"):
        variants["torch"] = {"OMP_NUM_THREADS": "1"}
    learner = None if arguments.idle else _start("learner", 0, learner_environment(), stdout=subprocess.PIPE)
    try:
        if learner:
            learner.stdout.readline()  # compiled and learning
        found = {}
        for name, extra in variants.items():
            run = _start(name, arguments.actions, extra, stdout=subprocess.PIPE, text=True)
            output, _ = run.communicate(timeout=_WORKER_TIMEOUT_S)
            if run.returncode:
                raise RuntimeError(f"bench {name}: exit status {run.returncode}")
            timed = json.loads(output.splitlines()[-1])
            found[f"{name}_ms"], found[f"{name}_back_to_back_ms"] = timed["paced"], timed["back_to_back"]
            for how, ms in timed.items():
                print(f"{name:<6} {how:<13} p50 {ms['p50']:.3f} ms   p99 {ms['p99']:.3f} ms")
    finally:
        if learner:
            learner.kill()
            learner.wait()
    learning = "none" if arguments.idle else f"learner on {os.cpu_count()} cores, nice {LEARNER_NICE}"
    found["load"] = f"{learning}; acting: {realtime.thread_fifo(FIFO_PRIORITY)}"
    print(f"load: {found['load']}")
    if arguments.json:
        print(json.dumps(found))
    return 0


def _start(variant: str, count: int, extra: dict[str, str], **options) -> subprocess.Popen:
    command = [sys.executable, "-m", __name__, variant, str(count)]
    return subprocess.Popen(command, env=os.environ | extra, **options)


# -- in the worker ---------------------------------------------------------------------------------------------------


def learn_until_killed() -> None:
    import jax

    from jsac_ros.agent.jsac import Jsac
    from jsac_ros.agent.update import make_update

    agent = Jsac.build(CASE.parameters, CASE.spaces)
    update, state, batch = make_update(agent), agent.init(0), random_batch(CASE)
    while True:
        state, _ = update(state, batch)
        jax.block_until_ready(state)
        if sys.stdout is not None:  # it has compiled at full priority; from now on it yields
            os.nice(LEARNER_NICE)
            print("learning", flush=True)
            sys.stdout = None


def our_act():
    from jsac_ros.agent.jsac import Jsac
    from jsac_ros.agent.policy import action_key, compute_in_calling_thread, make_act

    compute_in_calling_thread()
    agent = Jsac.build(CASE.parameters, CASE.spaces)
    act, params = make_act(agent), agent.policy_params(agent.init(0))
    return lambda observation, k: act(params, observation, action_key(0, 0, k), False)


def torch_act():
    import torch

    from jsac_ros.bench.torch_step import TorchAgent

    torch.set_num_threads(1)
    agent = TorchAgent(CASE.parameters, CASE.spaces)

    @torch.inference_mode()
    def act(observation, _):
        images = [torch.from_numpy(observation[image.name])[None].permute(0, 3, 1, 2) for image in CASE.spaces.images]
        noise, vector = torch.randn(1, CASE.spaces.action_size), torch.from_numpy(observation["joints"])[None]
        action, _ = agent.actor(agent.critic.encoder(images), vector, noise)
        return action[0].numpy()

    return act


def time_acting(act, count: int) -> dict[str, dict[str, float]]:
    """Times the actions, pinned to a core and at real-time priority if allowed."""
    realtime.pin(0)
    realtime.thread_fifo(FIFO_PRIORITY)
    observation = random_observation(CASE)

    def one(k: int) -> float:
        began = time.perf_counter()
        act(observation, k)
        return time.perf_counter() - began

    def timed(period_s: float) -> dict[str, float]:
        seconds = []
        for k in range(count + WARM_UP):
            seconds.append(one(k))
            time.sleep(max(0.0, period_s - seconds[-1]))
        return milliseconds(seconds[WARM_UP:])

    return {how: timed(period_s) for how, period_s in PERIODS_S.items()}


if __name__ == "__main__":
    if sys.argv[1] == "learner":
        learn_until_killed()
    print(json.dumps(time_acting(our_act() if sys.argv[1] == "ours" else torch_act(), int(sys.argv[2]))))
