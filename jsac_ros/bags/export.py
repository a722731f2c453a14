"""Writes a replay store in another format, RLDS, LeRobot or rosbag2, or a policy as ONNX.

  jsac-ros export runs/NAME/replay episodes --to rlds            one .npz an episode with the step fields of RLDS
  jsac-ros export runs/NAME/replay dataset --to lerobot          a LeRobot dataset, v3.0 (needs pyarrow)
  jsac-ros export runs/NAME/replay recording --to rosbag2        jsac_ros/msg/Transition on /transitions
  jsac-ros export runs/NAME --to onnx                            policy.onnx beside a policy's weights (needs onnx, onnxruntime)

A store is the `replay/` folder of a run; take a snapshot of one that is in use first (`jsac-ros replay snapshot`).
"""

from __future__ import annotations

import argparse
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from jsac_ros import documents
from jsac_ros.agent import policy_files
from jsac_ros.bags import definitions
from jsac_ros.bags.writer import BagWriter
from jsac_ros.config import ConfigError
from jsac_ros.messages import Classes, to_message
from jsac_ros.replay.format import StoreError
from jsac_ros.replay.store import FrameStore
from jsac_ros.types import Transition

CLASSES = Classes(definitions.known().types, np.asarray)  # message classes for recordings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("store", help="folder of a store; with --to onnx, folder of a policy or a run")
    parser.add_argument(
        "new", nargs="?", help="folder to create; with --to onnx, a file (default: policy.onnx beside the policy)"
    )
    parser.add_argument("--to", choices=("rlds", "lerobot", "rosbag2", "onnx"), default="rlds", help="format (default rlds)")
    parser.add_argument(
        "--rate", type=float, default=0.0, metavar="HZ", help="lerobot: control rate (default: from the stamps)"
    )
    parser.add_argument("--task", default="", metavar="WORDS", help="lerobot: description of the task")


def main(arguments: argparse.Namespace) -> int:
    if arguments.rate < 0 or not math.isfinite(arguments.rate):
        raise StoreError(f"--rate is {arguments.rate}; expected more than 0")
    if arguments.to == "onnx":
        return to_onnx(Path(arguments.store), arguments.new)
    if arguments.new is None:
        raise StoreError(f"export of {arguments.store} to {arguments.to}: expected a new folder")
    store = FrameStore.read(arguments.store)
    if arguments.to == "rlds":
        print(f"{arguments.new}: {to_rlds(store, arguments.new)} episodes")
    elif arguments.to == "lerobot":
        print(f"{arguments.new}: {to_lerobot(store, arguments.new, arguments.rate, arguments.task)} episodes")
    else:
        print(f"{arguments.new}: {to_bag(store, arguments.new)} messages")
    return 0


def stretches(store: FrameStore) -> Iterator[list[Transition]]:
    """Yields runs of consecutive transitions of one episode, oldest first. Raises StoreError at a damaged transition."""
    for slot in store.live_slots():
        if store.links.previous[slot] < 0:
            stretch = [slot]
            while (following := store.links.next[stretch[-1]]) >= 0:
                stretch.append(following)
            yield [store.transition(at) for at in stretch]


@contextmanager
def new_folder(target: str | Path) -> Iterator[Path]:
    """Yields the path of a new folder, and removes the folder if the export fails. Raises StoreError."""
    folder = Path(target)
    if folder.exists():
        raise StoreError(f"export to {target}: exists already; expected a new folder")
    try:
        yield folder
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise StoreError(f"export to {target}: {error.strerror}; expected a folder that can be written") from None
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def to_rlds(store: FrameStore, target: str | Path) -> int:
    """Writes `episode_000000.npz`, ... with the step fields of RLDS as columns [T, ...]; returns the number of episodes.

    As in RLDS, action, reward and discount of the last step of an episode are meaningless.
    """
    count = 0
    with new_folder(target) as folder:
        folder.mkdir(parents=True)
        for count, episode in enumerate(stretches(store), start=1):
            np.savez(folder / f"episode_{count - 1:06d}.npz", **_rlds(episode))
    return count


def _rlds(episode: list[Transition]) -> dict[str, np.ndarray]:
    """{column: [T, ...]}. The column of a part is KIND/NAME, such as "observation/wrist" or "action/arm"."""
    columns = {
        "reward": np.array([t.reward for t in episode], np.float32),
        "discount": np.array([t.mask for t in episode], np.float32),
        "is_first": np.array([t.is_first for t in episode]),
        "is_last": np.array([t.is_last for t in episode]),
        # The observation after an action whose mask is 0
        "is_terminal": np.array([False, *(t.mask == 0 for t in episode[:-1])]),
        "intervened": np.array([t.intervened for t in episode]),
        "success": np.array([t.success for t in episode]),
        "policy_version": np.array([t.policy_version for t in episode]),
        "timestamp_ns": np.array([t.stamp_ns for t in episode]),
    }
    for kind, field in (
        ("observation", "frames"), ("observation", "vectors"), ("action", "action"), ("executed_action", "executed"),
    ):  # fmt: skip
        for name in getattr(episode[0], field):
            columns[f"{kind}/{name}"] = np.stack([getattr(t, field)[name] for t in episode])
    first = episode[0]
    identity = {"robot": first.robot, "session": np.uint64(first.session), "episode": first.episode}
    return columns | {f"episode_metadata/{name}": np.array(value) for name, value in identity.items()}


def to_lerobot(store: FrameStore, target: str | Path, rate_hz: float = 0.0, task: str = "") -> int:
    """Writes a LeRobot dataset, v3.0 (`lerobot.py`); returns the number of episodes.

    rate_hz: of control; 0: from the stamps. Raises StoreError if the rate is unknown or pyarrow is not installed.
    """
    try:
        from jsac_ros.bags.lerobot import write
    except ImportError:
        raise StoreError("export to LeRobot: pyarrow is not installed; expected `pip install pyarrow`") from None
    with new_folder(target) as folder:
        rate_hz = rate_hz or _rate_hz(store)
        return write(folder, store.spaces, stretches(store), rate_hz, task)


def _rate_hz(store: FrameStore) -> float:
    """Rate of the median interval between consecutive stamps, to four digits."""
    slots = np.array([slot for slot in store.live_slots() if store.links.next[slot] >= 0], np.int64)
    stamps_ns = store.rows["stamp_ns"]
    intervals_ns = stamps_ns[store.links.next[slots]] - stamps_ns[slots]
    median_ns = float(np.median(intervals_ns)) if len(slots) else 0.0
    if median_ns <= 0:
        raise StoreError("export to LeRobot: the rate of control cannot be derived from the stamps; expected --rate HZ")
    return float(f"{1e9 / median_ns:.4g}")


def to_onnx(given: Path, new: str | None) -> int:
    """Writes a policy as ONNX. Raises ConfigError if the policy cannot be read or converted."""
    folder = policy_files.folder_of(given)
    try:
        from jsac_ros.agent import export, onnx_export
    except ImportError as error:
        raise ConfigError(f"export to ONNX: {error.name} is not installed; expected `pip install onnx onnxruntime`") from None
    path = Path(new) if new else folder / onnx_export.FILE
    try:
        difference = onnx_export.write(export.load(folder), path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"export to ONNX: {documents.one_line(error)}") from None
    print(f"{path}: its actions equal the policy's to within {difference:.1g}")
    return 0


def to_bag(store: FrameStore, target: str | Path) -> int:
    """Writes a rosbag2 with every transition as jsac_ros/msg/Transition on /transitions; returns the number of messages."""
    kind, time_ns = "jsac_ros/msg/Transition", 0
    with new_folder(target) as folder:
        bag = BagWriter(folder)
        bag.add_topic("/transitions", kind)
        slots = list(store.live_slots())
        for slot in slots:
            transition = store.transition(slot)
            time_ns = max(time_ns, transition.stamp_ns)  # times in a recording must not decrease
            data = definitions.known().serialize_cdr(to_message(transition, CLASSES), kind)
            bag.write("/transitions", time_ns, bytes(data))
        bag.close()
    return len(slots)
