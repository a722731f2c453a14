"""A store in the formats of others: one .npz an episode with RLDS names, LeRobot-style parquet, a rosbag2."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from jsac_ros.replay.format import StoreError
from jsac_ros.replay.store import FrameStore

CHUNK = 1000  # episodes of a LeRobot chunk folder


def fragments(store: FrameStore) -> Iterator[np.ndarray]:
    """Slots, int64 [T], of every stretch of an episode without a gap, oldest first."""
    for slot in store.live_slots():
        if store.links.previous[slot] < 0:
            stretch = [slot]
            while (following := store.links.next[stretch[-1]]) >= 0:
                stretch.append(following)
            yield np.array(stretch)


def _new_folder(target: Path) -> None:
    try:
        target.mkdir(parents=True)
    except OSError as error:
        raise StoreError(f"export to {target}: {error.strerror}; expected a new folder") from None


def _terminal(store: FrameStore, slots: np.ndarray) -> np.ndarray:
    """RLDS is_terminal, bool [T]: the observation after an action whose mask is 0."""
    return np.concatenate([[False], store.rows["mask"][slots[:-1]] == 0])


def to_rlds(store: FrameStore, target: str | Path) -> int:
    """`episode_000000.npz`, ... with the step fields of RLDS as columns [T, ...]; returns the number of episodes.

    As in RLDS, action, reward and discount of the last step of an episode mean nothing.
    """
    target = Path(target)
    _new_folder(target)
    count = 0
    for count, slots in enumerate(fragments(store), start=1):
        row = {name: column[slots] for name, column in store.rows.items()}
        np.savez(
            target / f"episode_{count - 1:06d}.npz",
            **{
                "observation/image": store.frames[slots],
                "observation/state": row["proprioception"],
                "action": row["action"],
                "executed_action": row["executed"],
                "reward": row["reward"],
                "discount": row["mask"],
                "is_first": row["is_first"],
                "is_last": row["is_last"],
                "is_terminal": _terminal(store, slots),
                "intervened": row["intervened"],
                "success": row["success"],
                "policy_version": row["policy_version"],
                "timestamp_ns": row["stamp_ns"],
                "episode_metadata/robot": row["robot"][0],
                "episode_metadata/session": row["session"][0],
                "episode_metadata/episode": row["episode"][0],
            },
        )
    return count


def to_lerobot(store: FrameStore, target: str | Path, rate_hz: float, task: str) -> int:
    """A dataset laid out as LeRobot v2.1 does, images as PNG inside the parquet files; returns the number of episodes.

    `rate_hz` is the control rate, `task` its description. The observation that closes an episode is left out, as there
    is no action with it. Needs `pyarrow`.
    """
    try:
        import pyarrow.parquet
    except ImportError:
        raise StoreError("export to LeRobot: pyarrow is not installed; expected `pip install pyarrow`") from None
    target = Path(target)
    _new_folder(target)
    (target / "meta").mkdir()
    episodes, frames = [], 0
    for slots in fragments(store):
        length = len(slots) - 1
        if length == 0:
            continue
        path = target / f"data/chunk-{len(episodes) // CHUNK:03d}/episode_{len(episodes):06d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pyarrow.parquet.write_table(_lerobot_table(store, slots, len(episodes), frames, rate_hz), path)
        episodes.append({"episode_index": len(episodes), "tasks": [task], "length": length})
        frames += length
    _lerobot_meta(store, target, episodes, frames, rate_hz, task)
    return len(episodes)


def _lerobot_table(store: FrameStore, slots: np.ndarray, episode: int, first_index: int, rate_hz: float):
    import pyarrow as pa

    acted, length = slots[:-1], len(slots) - 1
    row = {name: column[acted] for name, column in store.rows.items()}
    floats = pa.list_(pa.float32())
    columns = {
        "action": pa.array(row["action"].tolist(), floats),
        "observation.state": pa.array(row["proprioception"].tolist(), floats),
        "next.reward": pa.array(row["reward"], pa.float32()),
        "next.done": pa.array(store.rows["is_last"][slots[1:]]),
        "next.success": pa.array(store.rows["success"][slots[1:]]),
        "timestamp": pa.array(np.arange(length) / rate_hz, pa.float32()),
        "frame_index": pa.array(np.arange(length), pa.int64()),
        "episode_index": pa.array(np.full(length, episode), pa.int64()),
        "index": pa.array(first_index + np.arange(length), pa.int64()),
        "task_index": pa.array(np.zeros(length, np.int64)),
    }
    if store.frames.size:
        coded = [{"bytes": png_of(store.frames[slot]), "path": f"frame_{k:06d}.png"} for k, slot in enumerate(acted)]
        columns["observation.image"] = pa.array(coded, pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    return pa.table(columns)


def _lerobot_meta(store: FrameStore, target: Path, episodes: list, frames: int, rate_hz: float, task: str) -> None:
    spec = store.spec
    one = {"shape": [1], "names": None}
    features = {
        "action": {"dtype": "float32", "shape": [spec.action], "names": None},
        "observation.state": {"dtype": "float32", "shape": [spec.proprioception], "names": None},
        "next.reward": {"dtype": "float32", **one},
        "next.done": {"dtype": "bool", **one},
        "next.success": {"dtype": "bool", **one},
        "timestamp": {"dtype": "float32", **one},
        **{name: {"dtype": "int64", **one} for name in ("frame_index", "episode_index", "index", "task_index")},
    }
    if store.frames.size:
        names = ["height", "width", "channels"]
        features["observation.image"] = {"dtype": "image", "shape": list(spec.frame_shape), "names": names}
    information = {
        "codebase_version": "v2.1", "robot_type": "unknown", "total_episodes": len(episodes), "total_frames": frames,
        "total_tasks": 1, "total_videos": 0, "total_chunks": -(-len(episodes) // CHUNK), "chunks_size": CHUNK,
        "fps": rate_hz, "splits": {"train": f"0:{len(episodes)}"}, "video_path": None,
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet", "features": features,
    }  # fmt: skip
    (target / "meta/info.json").write_text(json.dumps(information, indent=1))
    (target / "meta/episodes.jsonl").write_text("".join(json.dumps(episode) + "\n" for episode in episodes))
    (target / "meta/tasks.jsonl").write_text(json.dumps({"task_index": 0, "task": task}) + "\n")


def png_of(frame: np.ndarray) -> bytes:
    """uint8 [H, W, C] RGB or grey, without loss."""
    return cv2.imencode(".png", frame[..., ::-1])[1].tobytes()


def to_bag(store: FrameStore, target: str | Path) -> int:
    """A rosbag2 with every step as jsac_ros/msg/Transition on `transitions`; returns the number of messages."""
    from jsac_ros.bags.definitions import known
    from jsac_ros.bags.writer import BagWriter

    types, kind = known(), "jsac_ros/msg/Transition"
    bag = BagWriter(target)
    bag.add_topic("/transitions", kind)
    count, time_ns = 0, 0
    for count, slot in enumerate(store.live_slots(), start=1):
        message = _transition(types.types, store.step(slot))
        time_ns = max(time_ns, message.header.stamp.sec * 10**9 + message.header.stamp.nanosec)  # recordings go forward
        bag.write("/transitions", time_ns, bytes(types.serialize_cdr(message, kind)))
    bag.close()
    return count


def _transition(types: dict, step):
    """`types.Step` as the message of a typestore."""
    Time = types["builtin_interfaces/msg/Time"]

    def time(ns: int):
        return Time(*divmod(ns, 10**9))

    height, width, channels = step.frame.shape
    return types["jsac_ros/msg/Transition"](
        header=types["std_msgs/msg/Header"](stamp=time(step.stamp_ns), frame_id=""),
        robot=step.robot, session=step.session, sequence=step.sequence, oldest_sequence=step.sequence,
        episode=step.episode, step=step.step, is_first=step.is_first, is_last=step.is_last,
        intervened=step.intervened, success=step.success, height=height, width=width, channels=channels,
        encoding="raw", frame=step.frame.reshape(-1), proprioception=step.proprioception, action=step.action,
        executed=step.executed, reward=step.reward, mask=step.mask, frame_stamp=time(step.frame_stamp_ns),
        joint_stamp=time(step.joint_stamp_ns), policy_version=step.policy_version, lateness=step.lateness_s,
    )  # fmt: skip
