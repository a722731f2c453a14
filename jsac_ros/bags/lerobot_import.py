"""Reads a LeRobot dataset, v3, as transitions of a configured system, whether `lerobot.py` or another program wrote it.

Each part of the observation and the action is found by its name:

    image  front     observation.images.front
    vector opening   the values of observation.state named opening, or opening_0, opening_1, ...; or observation.opening
    action arm       the values of action named arm, or arm_0, arm_1, ...; or action.arm

or at the place in `keys`: {"front": "observation.images.top", "arm": "action[0:6]"}. `previous_action` is derived from the
actions. An image of the frame's size is used as it is; any other is cropped and resized like the camera's messages. Without
`next.reward` every episode is a demonstration: its last action gets reward 1 and ends it. An episode that does not end in a
terminal state loses its last action, because the dataset lacks its outcome, unless `closing.parquet` has it.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

from jsac_ros import documents
from jsac_ros.bags.lerobot import CLOSING, IMAGES, STATE
from jsac_ros.bags.lerobot_video import Videos
from jsac_ros.config import ConfigError
from jsac_ros.control.images import FrameMaker, to_rgb
from jsac_ros.control.transitions import TransitionMaker
from jsac_ros.replay.demonstrations import new_store
from jsac_ros.rig import Rig
from jsac_ros.types import Arrays, Score, Transition

_RATE_TOLERANCE = 0.01  # of the rate of control
_SLICE = re.compile(r"(.+)\[(\d{1,4}):(\d{1,4})\]")
_PREVIOUS = "previous_action"  # derived from the actions if the dataset does not have it
_ROWS = 256  # rows of a table in memory at once, in addition to those of the episode
_MOST_HZ = 1e6
_MOST_VALUES = 100_000  # of one key
_NUMBERS = ("next.reward", "next.done", "next.success", "next.truncated")


class _Place(NamedTuple):
    """The place of one part in a dataset."""

    key: str
    values: list[int]  # indices into the values of the key; empty for an image
    size: int = 0  # number of values of the key


class Dataset:
    """A dataset matched to a rig. Iterate over `episodes()`."""

    def __init__(self, folder: str | Path, rig: Rig, keys: Mapping[str, str]):
        """keys: {part of the rig: "KEY" or "KEY[first:end]"}. Raises ConfigError with one line per mismatch."""
        self.folder, self._rig, self.spaces = Path(folder), rig, rig.spaces
        self._info = _info_of(self.folder)
        self._features: dict[str, dict[str, Any]] = self._info["features"]
        self._found: list[str] = []
        self._check(keys)
        self._images = {image.name: self._image(image.name, keys) for image in self.spaces.images}
        held = [part for part in self.spaces.vectors if part.name != _PREVIOUS or self._holds_previous(part, keys)]
        self._vectors = {part.name: self._values(part, STATE, "observation", keys) for part in held}
        self._actions = {part.name: self._values(part, "action", "action", keys) for part in self.spaces.actions}
        if self._found:
            raise ConfigError("\n".join(f"{self.folder}: {line}" for line in self._found))
        self._makers = {name: FrameMaker(rig.config.cameras[name]) for name in self._images}
        self._videos = Videos(self.folder, self._info, self._images_of("video"))
        self._closing = self._closing_rows()
        self.left_out = 0  # episodes in which no action has a known outcome

    # -- matching --------------------------------------------------------------------------------------------------

    def _check(self, keys: Mapping[str, str]) -> None:
        version, rate_hz = self._info.get("codebase_version"), self._info.get("fps")
        if not str(version).startswith("v3."):
            self._found.append(f"codebase_version is {version!r}; expected v3.0 (LeRobot has a converter from v2.1)")
        period_s = self._rig.config.control.period_s
        number = isinstance(rate_hz, int | float) and 0 < rate_hz < _MOST_HZ
        if not number or abs(rate_hz * period_s - 1.0) > _RATE_TOLERANCE:
            self._found.append(f"fps is {rate_hz}; expected {1 / period_s:g} (control.period_s is {period_s:g})")
        ours = [*self.spaces.observation, *(part.name for part in self.spaces.actions)]
        for name in keys:
            if name not in ours:
                hint = documents.did_you_mean(name, ours)
                self._found.append(f"--map {name}={keys[name]}: unknown part{hint}; expected one of {', '.join(ours)}")

    def _image(self, name: str, keys: Mapping[str, str]) -> _Place:
        key = keys.get(name, IMAGES + name)
        kinds = [other for other, feature in self._features.items() if feature["dtype"] in ("image", "video")]
        if key not in kinds:
            self._found.append(f"image {name!r} is not at {key}; expected --map {name}=KEY, one of {_listed(kinds)}")
        elif _is_depth(self._features[key]):
            self._found.append(f"image {name!r}: {key} is a depth map, coded as LeRobot's own; expected a colour image")
        return _Place(key, [])

    def _values(self, part: Any, together: str, apart: str, keys: Mapping[str, str]) -> _Place:
        """together: the key that contains all such parts; apart: the prefix of the keys of single parts."""
        given, own = keys.get(part.name), f"{apart}.{part.name}"
        if given:
            match = _SLICE.fullmatch(given)
            key, values = (match[1], range(int(match[2]), int(match[3]))) if match else (given, None)
        elif (values := self._named(part, together)) is not None:
            key = together
        else:
            key = own
        size = _size(self._features.get(key))
        if size is None:
            kinds = [name for name, feature in self._features.items() if _size(feature) and not name.startswith("next.")]
            what = f"{apart} {part.name!r} ({part.size} values)"
            expected = f"expected --map {part.name}=KEY or {part.name}=KEY[first:end], of {_listed(kinds)}"
            self._found.append(f"{what} is not at {given or f'{own} and not named in {together}'}; {expected}")
            return _Place(key, [])
        values = range(size) if values is None else values
        if values and values[-1] >= size:
            self._found.append(f"{given} for {apart} {part.name!r}: {key} has {size} values; expected some of them")
        elif len(values) != part.size:
            self._found.append(f"{given or key} has {len(values)} values; expected {part.size} for {apart} {part.name!r}")
        return _Place(key, list(values[: part.size]), size)

    def _holds_previous(self, part: Any, keys: Mapping[str, str]) -> bool:
        return part.name in keys or f"observation.{part.name}" in self._features or self._named(part, STATE) is not None

    def _named(self, part: Any, key: str) -> list[int] | None:
        names = _names(self._features.get(key))
        wanted = [part.name] if part.size == 1 else [f"{part.name}_{i}" for i in range(part.size)]
        return [names.index(name) for name in wanted] if set(wanted) <= set(names) else None

    def _images_of(self, kind: str) -> set[str]:
        return {place.key for place in self._images.values() if self._features[place.key]["dtype"] == kind}

    # -- reading ---------------------------------------------------------------------------------------------------

    @property
    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("data/*/*.parquet"))

    def count_rows(self) -> int:
        """Number of rows of a store for the whole dataset: those of the tables and one closing observation per episode.

        Raises ConfigError if a table cannot be read.
        """
        rows = 0
        for path in self._files:
            with _one_line(path):
                index = parquet.read_table(path, columns=["episode_index"])["episode_index"]
                rows += len(index) + len(index.unique())
        return rows

    def episodes(self) -> Iterator[list[Transition]]:
        """The transitions of each episode, the closing one included. Raises ConfigError naming the episode it cannot use."""
        session = zlib.crc32(f"{self.folder.resolve().name} {self._info.get('total_frames')}".encode())
        maker = TransitionMaker(self.spaces, "lerobot", session)
        for index, table in self._tables():
            try:
                episode = self._episode(maker, index, table)
            except (ValueError, KeyError, TypeError, pa.ArrowException, OSError) as error:
                raise ConfigError(f"{self.folder}: episode {index}: {documents.one_line(error)}") from None
            self.left_out += not episode
            if episode:
                yield episode

    def _tables(self) -> Iterator[tuple[int, pa.Table]]:
        """Number and rows of each episode, in the order of the files."""
        used = {place.key for place in (*self._vectors.values(), *self._actions.values())} | self._images_of("image")
        wanted = [*used, "episode_index", *(name for name in _NUMBERS if name in self._features)]
        for path in self._files:
            with _one_line(path):
                yield from _by_episode(parquet.ParquetFile(path), wanted)

    def _episode(self, maker: TransitionMaker, index: int, table: pa.Table) -> list[Transition]:
        """The transitions of an episode; empty if no action has a known outcome."""
        actions = {name: _taken(table, place) for name, place in self._actions.items()}
        self._check_actions(actions)
        scores = self._scores(table)
        observed = self._observations(table, index, scores[-1].terminated)
        count = len(next(iter(observed.values()))) - 1
        flat = np.concatenate([actions[part.name] for part in self.spaces.actions], axis=1)
        observed.setdefault(_PREVIOUS, np.concatenate((np.zeros_like(flat[:1]), flat)))
        made, period_s = [], self._rig.config.control.period_s
        for k in range(count + 1 if count else 0):
            frames = {name: observed[name][k] for name in self._images}
            vectors = {vector.name: observed[vector.name][k] for vector in self.spaces.vectors}
            stamp_ns = round(1e9 * (1 + k * period_s))
            complete = maker.observe(frames, vectors, scores[k - 1] if k else None, stamp_ns=stamp_ns)
            made += [complete] if complete else []
            if k < count:
                maker.act({name: action[k] for name, action in actions.items()}, intervened=True)
        return [*made, maker.close()] if count else []

    def _observations(self, table: pa.Table, index: int, terminated: bool) -> Arrays:
        """Every part, [T + 1, ...]; the last observation closes the episode."""
        observed = self._observed(table, index)
        if (closing := self._closing.get(index)) is not None:
            last = self._observed(closing, index)
        elif terminated:  # a terminal observation is not used for learning: any will do
            last = {name: part[-1:] for name, part in observed.items()}
        else:  # the last observation closes the episode: the outcome of its action is not known
            return observed
        return {name: np.concatenate((part, last[name])) for name, part in observed.items()}

    def _observed(self, table: pa.Table, index: int) -> Arrays:
        """Every part (frames and vectors), [T, ...]."""
        found = {name: _taken(table, place) for name, place in self._vectors.items()}
        for name, place in self._images.items():
            if place.key in table.column_names:
                channels = self._rig.config.cameras[name].channels
                images = (_decoded(coded, channels) for coded in table[place.key].to_pylist())
            else:
                images = self._videos.images(place.key, index, len(table))
            found[name] = np.stack([self._frame(name, image) for image in images])
        return found

    def _frame(self, name: str, image: np.ndarray) -> np.ndarray:
        """image: uint8 [H, W, 3 or the camera's channels]."""
        camera = self._rig.config.cameras[name]
        if image.shape[2] != camera.channels:
            image = to_rgb(_message(image), camera.channels)
        expected = (camera.height, camera.width, camera.channels)
        return image if image.shape == expected else self._makers[name].of_image(image)

    def _check_actions(self, actions: Arrays) -> None:
        for part in self.spaces.actions:
            low, high = (0, part.choices - 1) if part.choices else (-1, 1)
            values = actions[part.name]
            wrong = values[~((values >= low) & (values <= high)) | (part.choices > 0) & (values != np.round(values))]
            if len(wrong):
                raise ValueError(f"action {part.name!r} is {wrong[0]:g}; expected {low} to {high}, the policy's range")

    def _scores(self, table: pa.Table) -> list[Score]:
        """The score of each action."""
        said = {name: np.array(table[name].to_pylist()).reshape(len(table)) for name in _NUMBERS if name in table.column_names}
        ends = np.arange(len(table)) == len(table) - 1
        rewards = said.get("next.reward", ends.astype(np.float32))
        if "next.truncated" in said:
            terminated = ends & ~said["next.truncated"].astype(bool) & said.get("next.done", ends).astype(bool)
        else:
            terminated = ends & said.get("next.success", ends).astype(bool)
        success = said.get("next.success", terminated)
        return [Score(float(r), bool(t), bool(s)) for r, t, s in zip(rewards, terminated, success)]

    def _closing_rows(self) -> dict[int, pa.Table]:
        """{episode: its closing observation}; empty if the dataset has none."""
        path = self.folder / CLOSING
        if not path.is_file():
            return {}
        with _one_line(path):
            table = parquet.read_table(path)
            return {index: table.slice(row, 1) for row, index in enumerate(table["episode_index"].to_pylist())}


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """Raises ConfigError if a table is damaged or lacks a column."""
    try:
        yield
    except (pa.ArrowException, KeyError, OSError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {documents.one_line(error)}") from None


def _info_of(folder: Path) -> dict[str, Any]:
    """meta/info.json. Raises ConfigError."""
    try:
        info = documents.json_of(documents.read(folder / "meta" / "info.json", documents.JSON_BYTES))
    except ValueError as error:
        raise ConfigError(f"{folder}: meta/info.json cannot be read: {error}; expected a LeRobot dataset, v3.0") from None
    features = info.get("features") if isinstance(info, dict) else None
    if not isinstance(features, dict) or not all(isinstance(f, dict) and "dtype" in f for f in features.values()):
        raise ConfigError(f"{folder}: meta/info.json has no features; expected a LeRobot dataset, v3.0")
    return info


def _size(feature: dict[str, Any] | None) -> int | None:
    """Number of values of a numeric feature with one axis; None for any other feature."""
    shape = feature.get("shape") if feature else None
    of_numbers = feature and str(feature["dtype"]).startswith(("float", "int"))
    on_one_axis = isinstance(shape, list) and len(shape) == 1 and isinstance(shape[0], int) and 0 <= shape[0] <= _MOST_VALUES
    return shape[0] if of_numbers and on_one_axis else None


def _is_depth(feature: dict[str, Any]) -> bool:
    """Whether it is marked as a depth map, now or by an older LeRobot."""
    marked = [feature.get("info"), feature.get("video_info")]
    return any(isinstance(told, dict) and (told.get("is_depth_map") or told.get("video.is_depth_map")) for told in marked)


def _names(feature: dict[str, Any] | None) -> list[str]:
    """Names of a feature's values; empty if it has none. Some writers put them under the name of an axis."""
    names = feature.get("names") if feature else None
    if isinstance(names, dict):
        names = [name for group in names.values() if isinstance(group, list) for name in group]
    usable = isinstance(names, list) and len(names) == _size(feature) and all(isinstance(name, str) for name in names)
    return names if usable else []


def _by_episode(file: parquet.ParquetFile, wanted: list[str]) -> Iterator[tuple[int, pa.Table]]:
    """The rows of each episode in turn. Raises KeyError naming a missing column."""
    if missing := [name for name in wanted if name not in file.schema_arrow.names]:
        raise KeyError(f"it has no column {', '.join(missing)}")
    held: list[pa.RecordBatch] = []
    episode = None
    for batch in file.iter_batches(_ROWS, columns=wanted):
        index = np.array(batch.column("episode_index").to_pylist()).reshape(-1)
        edges = [0, *(np.flatnonzero(np.diff(index)) + 1).tolist(), len(index)]
        for first, end in zip(edges, edges[1:]):
            if held and index[first] != episode:
                yield episode, pa.Table.from_batches(held)
                held = []
            episode = int(index[first])
            held.append(batch.slice(first, end - first))
    if held:
        yield episode, pa.Table.from_batches(held)


def _taken(table: pa.Table, place: _Place) -> np.ndarray:
    """The values of one part, float32 [T, n]. Raises ValueError if the rows differ from what meta/info.json says."""
    values = np.array(table[place.key].to_pylist(), np.float32).reshape(len(table), -1)
    if values.shape[1] != place.size:
        raise ValueError(f"{place.key} has {values.shape[1]} values; expected {place.size}, as meta/info.json says")
    return np.ascontiguousarray(values[:, place.values])


def _decoded(coded: dict[str, Any], channels: int) -> np.ndarray:
    """Raises ValueError if the table does not contain the image, or if the image is damaged."""
    data = coded and coded.get("bytes")
    if not data:
        raise ValueError("an image is missing in its table; expected the bytes of a PNG or JPEG")
    return to_rgb(SimpleNamespace(format="png", data=data), channels)


def _message(image: np.ndarray) -> SimpleNamespace:
    """The image as a sensor_msgs/Image."""
    height, width, values = image.shape
    encoding = {1: "mono8", 3: "rgb8"}[values]
    return SimpleNamespace(
        height=height, width=width, encoding=encoding, step=width * values, is_bigendian=0, data=image.tobytes()
    )


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"


def import_dataset(dataset: Dataset, target: str | Path) -> tuple[int, int]:
    """Writes a new store; returns the number of episodes and steps. Raises ConfigError, StoreError."""
    episodes = steps = 0
    with new_store(target, dataset.spaces, dataset.count_rows()) as store:
        for episode in dataset.episodes():
            episodes, steps = episodes + 1, steps + len(episode) - 1
            for transition in episode:
                store.append(transition)
        if not episodes:
            raise ConfigError(f"{dataset.folder}: no episode has an action with a known outcome; expected one or more")
    return episodes, steps
