"""The files of a replay store (docs/replay.md): what is in a row, the header, and what makes a folder be refused.

`store.json` describes the store, `rows.npy` holds one record a step, `frames.npy` its frame; both are ordinary .npy
files in which the ring stays in place. Everything is little-endian.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from pathlib import Path

import numpy as np

from jsac_ros.config import ConfigError
from jsac_ros.types import Spec, Step

FORMAT = "jsac-replay"
VERSION = 1
HEADER, ROWS, FRAMES, COUNTERS, LOCK, BOOT = (
    "store.json", "rows.npy", "frames.npy", "counters.npy", "lock", "boot"
)  # fmt: skip
ROBOT_BYTES = 32
_UNCHECKED = ("number", "priority", "checksum")  # the first fields of a row: not covered by its checksum
COUNTER_TYPE = np.dtype([(name, "<u8") for name in ("lost", "duplicates", "refused", "batches")])


class StoreError(ConfigError):
    """One line: what is wrong with a store and what was expected."""


def row_type(spec: Spec) -> np.dtype:
    """One step, every field aligned.

    Rows are counted 1, 2, 3, ... since the store was made; `number` is that count, 0 where there is no complete row.
    """
    floats = spec.proprioception + 2 * spec.action
    return np.dtype(
        [
            ("number", "<u8"),  # written last: a row without it was never acknowledged
            ("priority", "<f4"),  # |TD error| of the last update that used it; NaN: none yet
            ("checksum", "<u4"),  # CRC-32 of number, frame and every field below
            ("previous", "<u8"),  # `number` of the row that holds the episode's previous step; 0: none
            ("session", "<u8"),
            ("sequence", "<u8"),
            ("stamp_ns", "<i8"),
            ("frame_stamp_ns", "<i8"),
            ("joint_stamp_ns", "<i8"),
            ("policy_version", "<i8"),
            ("robot", f"S{ROBOT_BYTES}"),
            ("episode", "<u4"),
            ("step", "<u4"),
            ("is_first", "?"),
            ("is_last", "?"),
            ("intervened", "?"),
            ("success", "?"),
            ("reward", "<f4"),
            ("mask", "<f4"),
            ("lateness_s", "<f4"),
            ("proprioception", "<f4", (spec.proprioception,)),
            ("action", "<f4", (spec.action,)),
            ("executed", "<f4", (spec.action,)),
            ("padding", "u1", (4 * (floats % 2),)),  # a record is a multiple of 8 bytes
        ]
    )


def row_of(step: Step, dtype: np.dtype, number: int, previous: int) -> np.ndarray:
    """The complete record of a step except `number`, which the store writes when all else is there: [1]."""
    row = np.zeros(1, dtype)
    record = row[0]
    for name in dtype.names:
        if name not in (*_UNCHECKED, "previous", "robot", "padding"):
            record[name] = getattr(step, name)
    record["robot"] = step.robot.encode()
    record["previous"], record["priority"] = previous, np.nan
    if step.is_last:  # they mean nothing there and may be anything
        record["action"], record["executed"], record["reward"], record["mask"] = 0, np.nan, 0, 1
    record["checksum"] = checksum(row, step.frame, number)
    return row


def check_step(step: Step, spec: Spec) -> None:
    """Raises ValueError with one line for a step that must not enter a store of this shape."""
    where = f"step {step.step} of episode {step.episode} of {step.robot!r}"
    for name, shape, dtype in (
        ("frame", spec.frame_shape, np.uint8),
        ("proprioception", (spec.proprioception,), np.float32),
        ("action", (spec.action,), np.float32),
        ("executed", (spec.action,), np.float32),
    ):
        array = getattr(step, name)
        if array.shape != shape or array.dtype != dtype:
            raise ValueError(f"{where}: {name} is {array.dtype} {array.shape}; expected {np.dtype(dtype)} {shape}")
    if not np.isfinite(step.proprioception).all():
        raise ValueError(f"{where}: proprioception is not finite")
    if not step.is_last:
        if not np.isfinite(step.action).all():
            raise ValueError(f"{where}: action is not finite")
        if not math.isfinite(step.reward):
            raise ValueError(f"{where}: reward is {step.reward}; expected a finite number")
        if not 0.0 <= step.mask <= 1.0:
            raise ValueError(f"{where}: mask is {step.mask}; expected 0..1")
    if step.is_first != (step.step == 0):
        raise ValueError(f"{where}: is_first is {step.is_first}; expected it at step 0 only")
    if not step.robot or len(step.robot.encode()) > ROBOT_BYTES or "\0" in step.robot:
        raise ValueError(f"{where}: robot's name; expected 1 to {ROBOT_BYTES} bytes")


def checksum(row: np.ndarray, frame: np.ndarray, number: int) -> int:
    """CRC-32 of a record [1] with its frame uint8 [H, W, C], which must be contiguous."""
    covered = row.tobytes()[row.dtype.fields["previous"][1] :]
    value = zlib.crc32(covered, zlib.crc32(number.to_bytes(8, "little")))
    return zlib.crc32(frame.reshape(-1), value) if frame.size else value


def step_of(row: np.ndarray, frame: np.ndarray) -> Step:
    """A record (one element of rows.npy) and its frame as the step they came from."""
    values = {name: row[name].item() for name in ("session", "sequence", "episode", "step", "reward", "mask",
              "is_first", "is_last", "intervened", "success", "stamp_ns", "frame_stamp_ns", "joint_stamp_ns",
              "policy_version", "lateness_s")}  # fmt: skip
    arrays = {name: np.array(row[name]) for name in ("proprioception", "action", "executed")}
    return Step(robot=robot_of(row), frame=np.array(frame), **values, **arrays)


# -- the header ----------------------------------------------------------------------------------------------------


def write_header(folder: Path, spec: Spec, capacity: int) -> None:
    """Written last and at once: a folder without it is no store."""
    header = {"format": FORMAT, "version": VERSION, "capacity": capacity, "spec": spec._asdict()}
    header["crc32"] = _header_crc(header)
    temporary = folder / (HEADER + ".new")
    temporary.write_text(json.dumps(header, indent=1) + "\n")
    os.replace(temporary, folder / HEADER)


def read_header(folder: Path) -> tuple[Spec, int]:
    """Spec and capacity of the store in `folder`. Raises StoreError."""
    path = folder / HEADER
    try:
        header = json.loads(path.read_text())
        version, found = header["version"], header["format"]
    except FileNotFoundError:
        raise StoreError(f"{folder}: no replay store; expected {HEADER} in it") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = type(error).__name__
        raise StoreError(f"{path}: header is damaged ({what}); expected what docs/replay.md says") from None
    if found != FORMAT or version != VERSION:
        raise StoreError(f"{path}: format {found!r} version {version!r}; expected {FORMAT!r} version {VERSION}")
    crc = header.pop("crc32", None)
    if crc != _header_crc(header):
        raise StoreError(f"{path}: header is damaged (its checksum does not fit)")
    return Spec(**header["spec"]), int(header["capacity"])


def _header_crc(header: dict) -> int:
    return zlib.crc32(json.dumps(header, sort_keys=True).encode())


def open_array(path: Path, dtype: np.dtype, shape: tuple[int, ...], mode: str) -> np.memmap:
    """A .npy file of known type and shape, memory-mapped. Raises StoreError."""
    try:
        array = np.load(path, mmap_mode="r")  # any other mode lengthens a file that is too short
    except (OSError, ValueError, EOFError) as error:
        raise StoreError(f"{path}: cannot be read ({' '.join(str(error).split())})") from None
    if array.dtype != dtype or array.shape != shape:
        raise StoreError(f"{path}: holds {array.dtype} {array.shape}; expected {dtype} {shape}")
    return array if mode == "r" else np.load(path, mmap_mode=mode)


def number_slots(numbers: np.ndarray) -> np.ndarray:
    """Which slots hold a complete row, bool [N], from column `number`."""
    capacity = np.uint64(len(numbers))
    in_place = (numbers > 0) & ((numbers - np.uint64(1)) % capacity == np.arange(len(numbers), dtype=np.uint64))
    newest = numbers[in_place].max(initial=0)
    return in_place & (numbers + capacity > newest)


def robot_of(row: np.void) -> str:
    """Name of the robot; bytes that are damaged are shown, not refused."""
    return row["robot"].decode(errors="backslashreplace")


def previous_slots(rows: np.ndarray, live: np.ndarray) -> np.ndarray:
    """Slot of the previous step of every row or -1, int64 [N]; a link to an overwritten row is no link."""
    previous = rows["previous"].astype(np.int64)
    slots = (previous - 1) % len(rows)
    linked = live & (previous > 0) & (rows["previous"] < rows["number"])
    linked &= live[slots] & (rows["number"][slots] == rows["previous"])
    return np.where(linked, slots, -1)
