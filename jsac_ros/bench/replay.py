"""The cost of storing, sampling and handing over batches on this machine.

One run compares sampling with NumPy fancy indexing and with copying as many bytes, two images of half the pixels with one
whole image, and the disk space with that of stored stacks. The learner that waits for batches is simulated by matrix products
of `--update-ms` on all cores.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jsac_ros.replay import format as files
from jsac_ros.replay.ring import BatchRing
from jsac_ros.replay.store import FrameStore
from jsac_ros.spaces import ActionSpace, ImageSpace, Spaces, VectorSpace
from jsac_ros.types import Transition, batch_layout, empty_batch


def spaces_of(*images: ImageSpace) -> Spaces:
    """An arm with five joints and these images."""
    vectors = [VectorSpace(name, 5) for name in ("joint_position", "joint_velocity", "previous_action")]
    return Spaces.of(images, vectors, [ActionSpace("arm", 5)], ["joints", *(image.name for image in images)])


BATCH_SIZE = 128
SAMPLING = spaces_of(ImageSpace("wrist", 96, 96, stack=3))
HALVES = spaces_of(ImageSpace("scene", 48, 96, stack=3), ImageSpace("wrist", 48, 96, stack=3))
STORING = spaces_of(ImageSpace("wrist", 90, 160, stack=3))
EPISODE = 100
REPEATS = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print as JSON")
    parser.add_argument("--steps", type=int, default=100_000, help="160x90 transitions to store (default 100000: 4.3 GB)")
    parser.add_argument("--sampled", type=int, default=30_000, help="96x96 transitions to sample from (default 30000: 1.6 GB)")
    parser.add_argument("--update-ms", type=float, default=100.0, help="duration of an update of the learner (default 100)")
    parser.add_argument("--folder", default=None, help="folder of the stores (default: a temporary folder)")


def main(arguments: argparse.Namespace) -> int:
    folder = Path(tempfile.mkdtemp(prefix="jsac_bench_", dir=arguments.folder))
    try:
        found = {**measure_storing(folder / "storing", arguments.steps)}
        store = fill(folder / "sampling", SAMPLING, arguments.sampled)
        halves = fill(folder / "halves", HALVES, arguments.sampled)
        found |= measure_sampling(store) | measure_halves(store, halves)
        halves.close()
        store.close()
        found |= measure_waiting(folder / "sampling", arguments.sampled, 1e-3 * arguments.update_ms)
    finally:
        shutil.rmtree(folder)
    if arguments.json:
        print(json.dumps(found, indent=1))
    else:
        for name, value in found.items():
            print(f"{name:<28} {value:.4g}")
    return 0


def transitions_of(spaces: Spaces, count: int) -> Iterator[Transition]:
    """`count` transitions of one actor in episodes of EPISODE actions, with varying frames."""
    rng = np.random.default_rng(0)
    frames = {image.name: rng.integers(0, 256, (64, *image.frame_shape), np.uint8) for image in spaces.images}
    vectors = {vector.name: np.zeros(vector.size, np.float32) for vector in spaces.vectors}
    action = {part.name: np.zeros(part.size, np.float32) for part in spaces.actions}
    stamps = dict.fromkeys(spaces.sources, 0)
    for sequence in range(count):
        episode, step = divmod(sequence, EPISODE + 1)
        yield Transition(
            robot="bench", session=1, sequence=sequence, episode=episode, step=step, is_first=step == 0,
            is_last=step == EPISODE, intervened=False, success=False,
            frames={name: of_image[sequence % 64] for name, of_image in frames.items()}, vectors=vectors, action=action,
            executed=action, reward=1.0, mask=1.0, stamp_ns=0, source_stamps_ns=stamps, policy_version=0, lateness_s=0.0,
        )  # fmt: skip


def fill(folder: Path, spaces: Spaces, count: int) -> FrameStore:
    store = FrameStore.open(folder, spaces, count)
    for transition in transitions_of(spaces, count):
        store.append(transition)
    return store


def measure_storing(folder: Path, count: int) -> dict[str, float]:
    """Measures writing `count` transitions of 160x90 one by one, their disk space, and reopening the store."""
    began = time.perf_counter()
    store = fill(folder, STORING, count)
    took = time.perf_counter() - began
    store.close()
    arrays = [files.ROWS, *(files.frames_file(image.name) for image in STORING.images)]
    room = sum(512 * os.stat(folder / name).st_blocks for name in arrays)
    began = time.perf_counter()
    FrameStore.open(folder, STORING, count).close()
    reopened = time.perf_counter() - began
    shutil.rmtree(folder)
    frame_bytes = sum(int(np.prod(image.frame_shape)) for image in STORING.images)
    return {
        "ingest_per_s": count / took,
        "stored_bytes_per_frame_byte": room / (count * frame_bytes),
        "stored_gb_per_100k": room / count * 1e5 / 1e9,
        "stacked_gb_per_100k": 2 * STORING.stack * frame_bytes * 1e5 / 1e9,
        "reopen_s": reopened,
    }


def milliseconds(call, repeats: int = REPEATS) -> np.ndarray:
    """Times of `repeats` calls in ms, after one call that is not counted."""
    call()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - began))
    return np.array(times)


def measure_sampling(store: FrameStore) -> dict[str, float]:
    """Measures sampling batches of 128 with 96x96 images, stack 3, observation and next observation."""
    batch, rng = empty_batch(SAMPLING, BATCH_SIZE), np.random.default_rng(0)
    sampled = milliseconds(lambda: store.sample_into(rng, batch))

    source = np.ones(1 << 28, np.uint8)
    target = np.zeros_like(source)
    bytes_per_ms = source.nbytes / np.median(milliseconds(lambda: np.copyto(target, source), 10))
    return {
        "sample_ms_p50": float(np.median(sampled)),
        "sample_ms_p99": float(np.quantile(sampled, 0.99)),
        "copy_floor_ms": float(sum(frames.nbytes for frames in batch.frames.values()) / bytes_per_ms),
        "fancy_index_ms": float(np.median(milliseconds(lambda: fancy_index(store, rng), 20))),
    }


def measure_halves(whole: FrameStore, halves: FrameStore) -> dict[str, float]:
    """Ratio of the sampling times with two images of half the pixels and with one image, measured alternately."""
    batches, rng = [empty_batch(store.spaces, BATCH_SIZE) for store in (whole, halves)], np.random.default_rng(0)
    times = np.empty((REPEATS, 2))
    for repeat in range(REPEATS):
        for which, store in enumerate((whole, halves)):
            began = time.perf_counter()
            store.sample_into(rng, batches[which])
            times[repeat, which] = time.perf_counter() - began
    one, two = np.median(times[1:], axis=0)
    return {"two_halves_over_one": float(two / one)}


def fancy_index(store: FrameStore, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Stacked observations and next observations, uint8 [B, H, W, C*S] each, by straightforward fancy indexing."""
    (image,) = SAMPLING.images
    valid = store.links.valid.slots
    slots = valid[rng.integers(len(valid), size=BATCH_SIZE)]
    stacks = []
    for ends in (slots, store.links.next[slots]):
        frames = store.frames[image.name][store.links.walk_back(ends)]  # [B, S, H, W, C]
        stacks.append(np.ascontiguousarray(np.moveaxis(frames, 1, 3)).reshape(len(slots), *image.shape))
    return tuple(stacks)


def _serve(folder: str, capacity: int, name: str, stop) -> None:
    """The sampler of a replay process."""
    os.nice(10)  # as the replay node
    store = FrameStore.open(folder, SAMPLING, capacity)
    ring = BatchRing.create(name, batch_layout(SAMPLING, BATCH_SIZE), 2)
    rng = np.random.default_rng(0)
    while not stop.is_set():
        slot = ring.fill(0.1)
        if slot is not None and store.sample_into(rng, slot.batch):
            ring.publish()
    ring.close()
    store.close()


def _learn(name: str, update_s: float, updates: int, share) -> None:
    """Simulates a learner with matrix products on all cores; puts the share of time that it waited into `share`."""
    os.nice(19)  # as the learner node
    ring = _attach(name)
    a = np.ones((1024, 1024), np.float32)
    waited = began = 0.0
    for update in range(updates + 2):
        if update == 2:  # both slots of the ring are warm
            began, waited = time.perf_counter(), 0.0
        asked = time.perf_counter()
        taken = ring.take(10.0)
        got = time.perf_counter()
        waited += got - asked
        while time.perf_counter() - got < update_s:
            a @ a
        ring.give_back(taken.batch.reward)
    share.put(waited / (time.perf_counter() - began))
    ring.close()


def measure_waiting(folder: Path, capacity: int, update_s: float, updates: int = 100) -> dict[str, float]:
    """Share of time that a learner waits for batches that another process samples on the same cores."""
    spawn = multiprocessing.get_context("spawn")
    name, stop, share = f"/jsac_bench_{secrets.token_hex(4)}", spawn.Event(), spawn.Queue()
    server = spawn.Process(target=_serve, args=(str(folder), capacity, name, stop))
    learner = spawn.Process(target=_learn, args=(name, update_s, updates, share))
    server.start()
    learner.start()
    found = {"batch_wait_share": share.get(), "learner_update_ms": 1e3 * update_s}
    learner.join()
    stop.set()
    server.join()
    return found


def _attach(name: str) -> BatchRing:
    deadline = time.monotonic() + 30.0
    while True:
        try:
            return BatchRing.attach(name, batch_layout(SAMPLING, BATCH_SIZE))
        except FileNotFoundError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
