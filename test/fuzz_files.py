"""What our own processes write, each as it should be and spoiled: parts of `fuzz.py` that need no system and no ROS.

Each part yields, without end, what to try. All of it is accepted, or refused by a ValueError of one line.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from fuzz import spoiled

SIZES = (0, -1, 1, 7, 10**9, 10**18, 2**63, 1e9, "8", None, [], [10**9] * 3, {}, math.inf)


def resized(tree, rng: random.Random):
    """A copy of a JSON value in which one value is of another size or type."""
    tree = json.loads(json.dumps(tree))
    inner = [tree]
    for one in inner:
        inner += [
            value for value in (one.values() if isinstance(one, dict) else one) if value and isinstance(value, dict | list)
        ]
    place = rng.choice(inner)
    place[rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))] = rng.choice(SIZES)
    return tree


def copies(good: Path, at: Path, rng: random.Random, documents: tuple[str, ...] = ()) -> Iterator[None]:
    """Makes `at` a copy of `good` again and again, with one file spoiled; of `documents` (JSON) or a value changed."""
    while True:
        shutil.rmtree(at, ignore_errors=True)
        shutil.copytree(good, at)
        if documents and rng.random() < 0.5:
            path = at / rng.choice(documents)
            path.write_text(json.dumps(resized(json.loads(path.read_text()), rng)))
        else:
            path = rng.choice([path for path in sorted(at.rglob("*")) if path.is_file()])
            path.write_bytes(spoiled(path.read_bytes(), rng))
        yield


def stores(rng: random.Random, folder: Path) -> Iterator[Callable]:
    """A store with one spoiled file: opened, read, sampled, written to."""
    from replay_cases import SPACES, make_episode, make_transition

    from jsac_ros.replay import cli
    from jsac_ros.replay.store import FrameStore
    from jsac_ros.types import empty_batch

    good, at = folder / "good", folder / "store"
    store = FrameStore.open(good, SPACES, 32)
    for transition in make_episode(40):
        store.append(transition)
    store.close()

    def use():
        cli.describe(at)
        opened = FrameStore.open(at, SPACES, 32)
        try:
            for _ in range(3):
                opened.sample_into(np.random.default_rng(0), empty_batch(SPACES, 8, n_step=3), n_step=3)
            opened.append(make_transition(sequence=10**6, episode=10**6))
        finally:
            opened.close()

    while True:
        shutil.rmtree(at, ignore_errors=True)
        shutil.copytree(good, at)
        path = at / rng.choice(("store.json", "rows.npy", "frames_wrist.npy", "counters.npy", "boot"))
        path.write_bytes(spoiled(path.read_bytes(), rng))
        yield use


def policies(rng: random.Random, folder: Path) -> Iterator[Callable]:
    """An exported policy with spoiled files, or other sizes."""
    from agent_cases import agent_of

    from jsac_ros.agent import export

    agent, good, at = agent_of("both"), folder / "good_policy", folder / "policy"
    export.save(good, agent.policy_params(agent.init(0)), agent, {})
    for _ in copies(good, at, rng, ("policy.json",)):
        yield lambda: export.load(at)


def spaces(rng: random.Random, folder: Path) -> Iterator[Callable]:
    """`spaces.json` of a run folder."""
    from replay_cases import VARIANTS

    from jsac_ros.rig import SPACES, read_spaces
    from jsac_ros.types import batch_layout

    while True:
        good = rng.choice(list(VARIANTS.values())).to_json()
        text = json.dumps(resized(good, rng) if rng.random() < 0.5 else good).encode()
        (folder / SPACES).write_bytes(text if rng.random() < 0.5 else spoiled(text, rng))
        yield lambda: batch_layout(read_spaces(folder), 8)


def classifiers(rng: random.Random, folder: Path) -> Iterator[Callable]:
    """A success classifier, loaded as the actor and the starter load it."""
    import agent_cases  # noqa: F401  compiles without optimising

    from jsac_ros.classifier import files, network
    from jsac_ros.classifier.files import Card, CardImage
    from jsac_ros.classifier.judge import Judge

    image = CardImage(height=12, width=16, channels=3)
    card = Card(images={"wrist": image}, channels=(4,), width=8, threshold=0.5, consecutive=2, wanted_precision=0.9)
    good, at = folder / "good", folder / "classifier"
    files.save(good, card, network.to_tensors(network.first_params(card, np.random.default_rng(0))))
    for _ in copies(good, at, rng, (files.CARD,)):
        yield lambda: Judge.load(at)


def checkpoints(rng: random.Random, folder: Path) -> Iterator[Callable]:
    """A learner's checkpoint, looked at by the starter and restored by a learner."""
    from agent_cases import agent_of, spaces_of

    from jsac_ros.agent.checkpoint import Checkpoints
    from jsac_ros.agent.checkpoint_files import check_newest

    agent, good, at = agent_of("both"), folder / "good", folder / "checkpoints"
    with Checkpoints(good, agent) as saved:
        saved.save(agent.init(0), {"batches": 5})

    def use():
        check_newest(at, "jsac", spaces_of("both"))
        with Checkpoints(at, agent, read_only=True) as found:
            found.restore()

    for _ in copies(good, at, rng, ("0/about/metadata",)):
        yield use


def run_folders(rng: random.Random, folder: Path) -> Iterator[Callable]:
    """What a run has written down: read again by a report, the dashboard, a process that was started again, `jsac-ros runs`."""
    from report_cases import write_run

    from jsac_ros import elapsed, provenance
    from jsac_ros.dashboard.events import events_before
    from jsac_ros.report import advice, curve, evidence, runs, summary
    from jsac_ros.report.processes import Processes
    from jsac_ros.report.tables import BASELINE, Table

    good, at = folder / "good", folder / "run"
    write_run(good, minutes=0.4)
    provenance.write(good)
    summary.write_summary(good, summary.read_totals(good))
    for name in ("began", "first_action"):
        elapsed.mark(good / name, elapsed.now_s())
    (good / "processes.json").write_text(json.dumps({"actor": 1, "safety": 2**22}))

    def use():
        totals = summary.read_totals(at, 10)
        told = summary.summary_of(at, totals)
        curve.curve_of(totals)
        curve.read_baselines(at / BASELINE)
        events_before(at)
        advice.advise(evidence.read_evidence(at))
        provenance.read(at)
        Processes(at).sample()
        with contextlib.redirect_stdout(io.StringIO()):
            runs._show(runs.runs(at))
        for name in ("began", "first_action"):
            elapsed.marked(at / name)
        table = Table(at / "metrics.csv", ["time_s", "new"])
        table.append({"time_s": 1.0, "new": told.get("episodes", 0)})
        table.close()

    for _ in copies(good, at, rng, ("summary.json", "baseline.json", "control_histograms.json", "processes.json")):
        yield use


PARTS = (stores, policies, spaces, classifiers, checkpoints, run_folders)
