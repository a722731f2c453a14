"""Compares the speed of the compiled loop with that of a plain Python loop with the same agent."""

from __future__ import annotations

import time

import jax

from jsac_ros.references.loop import Reference, fresh_states, make_train, one
from jsac_ros.references.python_loop import steps_per_second

DOCUMENT_RATE = 15_807.0  # steps/s of DQN on the cart-pole on one CPU, as published
REPEATS = 5  # the fastest one counts: slower ones were delayed by other processes
PYTHON_STEPS = 1_000


def compare_speed(reference: Reference, seeds: int) -> dict:
    """Measures the Python loop, the compiled loop with one seed and with `seeds` seeds at once, in steps/s of all seeds."""
    train, started, steps = make_train(reference), fresh_states(reference, seeds), reference.config.train.steps
    python = steps_per_second(reference, REPEATS, PYTHON_STEPS)
    single = _rate(jax.jit(train), one(started), steps)
    many = _rate(jax.jit(jax.vmap(train)), started, steps * seeds)
    return {
        "python_loop_steps_per_s": round(python),
        "one_seed_steps_per_s": round(single),
        "one_seed_over_python_loop": round(single / python, 1),
        "one_seed_over_document": round(single / DOCUMENT_RATE, 2),
        f"{seeds}_seeds_steps_per_s": round(many),
        f"{seeds}_seeds_over_one": round(many / single, 2),
    }


def _rate(jitted, started: tuple, steps: int) -> float:
    """Steps per second of the fastest run, without compilation."""
    compiled = jitted.lower(*started).compile()
    rates = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        jax.block_until_ready(compiled(*started))
        rates.append(steps / (time.perf_counter() - began))
    return max(rates)
