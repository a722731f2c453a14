"""Reads images of a LeRobot dataset from videos. Each episode is an interval of one file; `meta/` has its start time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

from jsac_ros.config import ConfigError

_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
_FIELD = re.compile(r"\{(video_key|chunk_index|file_index)(?::(0?\dd))?\}")


class Videos:
    """The video keys of a dataset."""

    def __init__(self, folder: Path, info: dict[str, Any], keys: set[str]):
        """keys: may be empty. Raises ConfigError if the metadata cannot be read or PyAV is not installed."""
        self._folder, self._rate_hz = folder, info["fps"]
        self._template = _template_of(folder, info)
        self._stretches: dict[tuple[str, int], tuple[str, float]] = {}  # key, episode -> file, start in seconds
        if not keys:
            return
        try:
            import av  # noqa: F401
        except ImportError:
            raise ConfigError(f"{folder}: has videos, but PyAV is not installed; expected `pip install av`") from None
        columns = [f"videos/{key}/{what}" for key in keys for what in ("chunk_index", "file_index", "from_timestamp")]
        try:
            for path in sorted(folder.glob("meta/episodes/*/*.parquet")):
                for row in parquet.read_table(path, columns=["episode_index", *columns]).to_pylist():
                    self._add(row, keys)
        except (pa.ArrowException, LookupError, OSError, TypeError, ValueError) as error:
            raise ConfigError(f"{folder}: meta/episodes cannot be read: {' '.join(str(error).split())}") from None

    def _add(self, row: dict[str, Any], keys: set[str]) -> None:
        for key in keys:
            chunk, file, begin_s = (row[f"videos/{key}/{what}"] for what in ("chunk_index", "file_index", "from_timestamp"))
            numbers = {"video_key": key, "chunk_index": int(chunk), "file_index": int(file)}
            path = _FIELD.sub(lambda field: format(numbers[field[1]], field[2] or ""), self._template)
            if ".." in Path(path).parts:
                raise ValueError(f"video {path} is outside the dataset")
            self._stretches[key, row["episode_index"]] = path, float(begin_s)

    def images(self, key: str, episode: int, count: int) -> Iterator[np.ndarray]:
        """RGB uint8 [H, W, 3], one per row of the episode. Raises ValueError if one is missing."""
        import av

        if (key, episode) not in self._stretches:
            raise ValueError(f"meta/episodes has no interval of {key} for this episode")
        path, begin_s = self._stretches[key, episode]
        following = 0
        try:
            with av.open(str(self._folder / path)) as container:
                if not container.streams.video:
                    raise ValueError(f"{path} holds no video")
                stream = container.streams.video[0]
                container.seek(max(0, int((begin_s - 0.5 / self._rate_hz) / stream.time_base)), stream=stream)
                for frame in container.decode(stream):
                    if following == count:
                        break
                    if frame.time is not None and round((frame.time - begin_s) * self._rate_hz) == following:
                        following += 1
                        yield frame.to_ndarray(format="rgb24")
        except av.FFmpegError as error:
            raise ValueError(f"{path} cannot be read: {error}") from None
        if following < count:
            raise ValueError(f"{path} has {following} images after {begin_s:g} s; expected {count}")


def _template_of(folder: Path, info: dict[str, Any]) -> str:
    """The path template of the videos from `meta/info.json`. Raises ConfigError if it leads out of the dataset."""
    path = info.get("video_path") or _PATH
    if not isinstance(path, str) or len(path) > 200 or set("{}") & set(_FIELD.sub("", path)) or ".." in path or path[:1] == "/":
        raise ConfigError(f"{folder}: meta/info.json: video_path is {str(path)[:200]!r}; expected a path like {_PATH}")
    return path
