"""Writes a store as a LeRobot dataset, v3.0: Parquet tables that contain the images as PNG, described in `meta/`.

    meta/info.json  stats.json  tasks.parquet  episodes/chunk-000/file-000.parquet
    data/chunk-000/file-000.parquet, file-001.parquet, ...
    closing.parquet

Images are `observation.images.NAME`; `observation.state` contains all vectors and `action` all action parts, with the name
of each value in `names`. The observation that closes an episode has no action: it is in `closing.parquet`, one row per
episode, which LeRobot ignores and `lerobot_import.py` reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

from jsac_ros.spaces import ActionSpace, Spaces, VectorSpace
from jsac_ros.types import Transition

VERSION = "v3.0"
CLOSING = "closing.parquet"
STATE, IMAGES = "observation.state", "observation.images."
FILES_PER_CHUNK = 1000
FILE_MB = 100  # size at which a new file is started
_FILE = "chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
_NUMBERS = ("frame_index", "episode_index", "index", "task_index")
_PICTURES = 100  # frames per episode and image that the statistics use, about


class Dataset:
    """Writes episode by episode into a new folder; `close` writes the metadata."""

    def __init__(self, folder: Path, spaces: Spaces, rate_hz: float, task: str):
        """rate_hz: of control; task: a description in words."""
        self._folder, self._spaces, self._rate_hz, self._task = folder, spaces, rate_hz, task
        self._episodes: list[dict[str, Any]] = []
        self._frames = 0
        self._file = self._bytes = 0
        self._writer: parquet.ParquetWriter | None = None
        self._closing: list[pa.Table] = []
        self._stats = {name: _Stats() for name in self._features()}

    def add(self, episode: list[Transition]) -> None:
        """Adds an episode with its closing observation; an episode without an action is skipped."""
        acted = episode[:-1]
        if not acted:
            return
        table = self._table(episode)
        if episode[-1].is_last:  # otherwise the end of the episode is missing
            index = {"episode_index": pa.array([len(self._episodes)], pa.int64())}
            self._closing.append(pa.table(index | self._observed(episode[-1:])))
        if self._writer is None or self._bytes > FILE_MB * 2**20:
            self._next_file(table.schema)
        self._writer.write_table(table)  # one row group per episode
        self._bytes += table.nbytes
        first, self._frames = self._frames, self._frames + len(acted)
        chunk, file = divmod(self._file, FILES_PER_CHUNK)
        self._episodes.append(
            {
                "episode_index": len(self._episodes), "tasks": [self._task], "length": len(acted),
                "data/chunk_index": chunk, "data/file_index": file, "dataset_from_index": first,
                "dataset_to_index": self._frames, "meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0,
            }
        )  # fmt: skip

    def close(self) -> int:
        """Writes the metadata; returns the number of episodes."""
        if self._writer is not None:
            self._writer.close()
        meta = self._folder / "meta"
        meta.mkdir(parents=True)
        (meta / "info.json").write_text(json.dumps(self._info(), indent=4) + "\n")
        stats = {name: stats.described() for name, stats in self._stats.items()} if self._episodes else {}
        (meta / "stats.json").write_text(json.dumps(stats, indent=4) + "\n")
        parquet.write_table(_tasks(self._task), meta / "tasks.parquet")
        path = meta / "episodes" / _FILE.format(chunk_index=0, file_index=0)
        path.parent.mkdir(parents=True)
        columns = {name: [episode[name] for episode in self._episodes] for name in (self._episodes or [{}])[0]}
        parquet.write_table(pa.table(columns), path)
        if self._closing:
            parquet.write_table(pa.concat_tables(self._closing), self._folder / CLOSING)
        return len(self._episodes)

    def _next_file(self, schema: pa.Schema) -> None:
        if self._writer is not None:
            self._writer.close()
            self._file += 1
        chunk, file = divmod(self._file, FILES_PER_CHUNK)
        path = self._folder / "data" / _FILE.format(chunk_index=chunk, file_index=file)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer, self._bytes = parquet.ParquetWriter(path, schema, compression="snappy"), 0

    def _table(self, episode: list[Transition]) -> pa.Table:
        acted, following, length = episode[:-1], episode[1:], len(episode) - 1
        numbers = (range(length), [len(self._episodes)] * length, range(self._frames, self._frames + length), [0] * length)
        values = {
            "action": np.stack([self._spaces.flat_action(t.action) for t in acted]),
            "next.reward": np.array([t.reward for t in acted], np.float32),
            "next.done": np.array([t.is_last for t in following]),
            "next.success": np.array([t.success for t in following]),
            "next.truncated": np.array([t.is_last and before.mask > 0 for before, t in zip(acted, following, strict=True)]),
            "timestamp": (np.arange(length) / self._rate_hz).astype(np.float32),
            **{name: np.array(column, np.int64) for name, column in zip(_NUMBERS, numbers, strict=True)},
        }
        for name, column in values.items():
            self._stats[name].add(column.reshape(length, -1))
        if self._spaces.vectors:
            self._stats[STATE].add(_state(acted))
        for image in self._spaces.images:
            self._stats[IMAGES + image.name].add_frames([t.frames[image.name] for t in acted])
        return pa.table({name: _column(column) for name, column in values.items()} | self._observed(acted))

    def _observed(self, transitions: list[Transition]) -> dict[str, pa.Array]:
        """The columns of the observations."""
        columns = {STATE: _column(_state(transitions))} if self._spaces.vectors else {}
        for image in self._spaces.images:
            frames = [{"bytes": _png(t.frames[image.name]), "path": None} for t in transitions]
            columns[IMAGES + image.name] = pa.array(frames, _IMAGE)
        return columns

    def _features(self) -> dict[str, dict[str, Any]]:
        spaces = self._spaces
        one = {"shape": [1], "names": None}
        features = {"action": _vectors(spaces.actions)}
        if spaces.vectors:
            features[STATE] = _vectors(spaces.vectors)
        for image in spaces.images:
            names = ["height", "width", "channels"]
            shape = list(image.frame_shape)
            features[IMAGES + image.name] = {"dtype": "image", "shape": shape, "names": names}
        return features | {
            "next.reward": {"dtype": "float32", **one}, "next.done": {"dtype": "bool", **one},
            "next.success": {"dtype": "bool", **one}, "next.truncated": {"dtype": "bool", **one},
            "timestamp": {"dtype": "float32", **one},
            **{name: {"dtype": "int64", **one} for name in _NUMBERS},
        }  # fmt: skip

    def _info(self) -> dict[str, Any]:
        rate = self._rate_hz
        return {
            "codebase_version": VERSION, "robot_type": "unknown", "total_episodes": len(self._episodes),
            "total_frames": self._frames, "total_tasks": 1, "chunks_size": FILES_PER_CHUNK,
            "data_files_size_in_mb": FILE_MB, "video_files_size_in_mb": 200, "fps": int(rate) if rate == int(rate) else rate,
            "splits": {"train": f"0:{len(self._episodes)}"}, "data_path": f"data/{_FILE}", "video_path": None,
            "features": self._features(),
        }  # fmt: skip


class _Stats:
    """Minimum, maximum, mean and standard deviation of each value; of image channels in [0, 1], as LeRobot scales images."""

    def __init__(self):
        self._sums: list[np.ndarray] = []  # of each batch: minimum, maximum, sum, sum of squares
        self._count = 0
        self._shape: tuple[int, ...] = (-1,)

    def add(self, values: np.ndarray) -> None:
        """values: [n, size]."""
        values = values.astype(np.float64)
        self._sums.append(np.stack([values.min(0), values.max(0), values.sum(0), np.square(values).sum(0)]))
        self._count += len(values)

    def add_frames(self, frames: list[np.ndarray]) -> None:
        """frames: uint8 [H, W, C] each, of which a sample is used."""
        chosen = np.stack(frames[:: max(1, len(frames) // _PICTURES)])
        self.add(chosen.reshape(-1, chosen.shape[-1]) / 255.0)
        self._shape = (-1, 1, 1)

    def described(self) -> dict[str, Any]:
        least, most, total, squares = np.array(self._sums).transpose(1, 0, 2)
        mean = total.sum(0) / self._count
        spread = np.sqrt(np.maximum(squares.sum(0) / self._count - mean**2, 0.0))
        values = {"min": least.min(0), "max": most.max(0), "mean": mean, "std": spread}
        return {name: value.reshape(self._shape).tolist() for name, value in values.items()} | {"count": [self._count]}


def _state(transitions: list[Transition]) -> np.ndarray:
    """float32 [n, size], all vectors in order."""
    return np.stack([np.concatenate([*t.vectors.values()]) for t in transitions])


def _column(values: np.ndarray) -> pa.Array:
    """values: [n] or [n, size]; a column of single values is not a list column."""
    values = values.reshape(len(values)) if values.size == len(values) else values
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])


def _vectors(parts: Iterable[VectorSpace | ActionSpace]) -> dict[str, Any]:
    names = [f"{part.name}_{i}" if part.size > 1 else part.name for part in parts for i in range(part.size)]
    return {"dtype": "float32", "shape": [len(names)], "names": names}


def _tasks(task: str) -> pa.Table:
    """The table that pandas would write for a frame indexed by task."""
    told = {
        "index_columns": ["task"],
        "column_indexes": [
            {
                "name": None,
                "field_name": None,
                "pandas_type": "unicode",
                "numpy_type": "object",
                "metadata": {"encoding": "UTF-8"},
            }
        ],
        "columns": [
            {"name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64", "metadata": None},
            {"name": "task", "field_name": "task", "pandas_type": "unicode", "numpy_type": "object", "metadata": None},
        ],
        "pandas_version": "2.2.3",
    }
    table = pa.table({"task_index": pa.array([0], pa.int64()), "task": pa.array([task])})
    return table.replace_schema_metadata({"pandas": json.dumps(told)})


def _png(frame: np.ndarray) -> bytes:
    """Encodes a frame, uint8 [H, W, C], RGB or grey, as PNG."""
    return cv2.imencode(".png", frame[..., ::-1] if frame.shape[2] == 3 else frame)[1].tobytes()


def write(folder: Path, spaces: Spaces, episodes: Iterator[list[Transition]], rate_hz: float, task: str) -> int:
    """Returns the number of episodes."""
    dataset = Dataset(folder, spaces, rate_hz, task)
    for episode in episodes:
        dataset.add(episode)
    return dataset.close()
