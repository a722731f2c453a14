"""One transition as a record of `rows.npy`: made, checked, read back, and valid only if its checksum matches."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from jsac_ros.crc import crc32
from jsac_ros.replay.format import ROBOT_BYTES
from jsac_ros.spaces import Spaces, check_array
from jsac_ros.types import Arrays, Transition

_CHECKED_FROM = "episode"  # the first field that the checksum covers
_SCALARS = (
    "session", "sequence", "episode", "step", "is_first", "is_last", "intervened", "success", "reward", "mask",
    "stamp_ns", "policy_version", "lateness_s",
)  # fmt: skip
_ONES = np.uint64(0xFFFFFFFF)
_NO_PRIORITY_CHECK = np.float32(np.nan).view(np.uint32) ^ np.uint32(_ONES)
_LARGEST = float(np.finfo(np.float32).max)


def record_of(transition: Transition, dtype: np.dtype, number: int, previous: int) -> np.ndarray:
    """The complete record [1] of a transition except `number`, which the store writes last."""
    t = _without_action(transition) if transition.is_last else transition
    row = np.zeros(1, dtype)
    record = row[0]
    for name in _SCALARS:
        record[name] = getattr(t, name)
    record["robot"], record["previous"] = t.robot.encode(), previous
    for column, parts in (
        ("observation", t.vectors), ("action", t.action), ("executed", t.executed), ("stamp_ns", t.source_stamps_ns),
    ):  # fmt: skip
        for name, value in parts.items():
            record[f"{column}/{name}"] = value
    for name, frame in t.frames.items():
        record[f"frame_crc/{name}"] = frame_crc(frame)
    record["priority"], record["priority_check"] = np.nan, _NO_PRIORITY_CHECK
    record["checksum"] = checksum(row, number)
    return row


def _without_action(closing: Transition) -> Transition:
    """In the row that closes an episode the fields of the action have no meaning and may hold anything."""
    return closing._replace(
        action={name: np.zeros_like(value) for name, value in closing.action.items()},
        executed={name: np.full_like(value, np.nan) for name, value in closing.executed.items()},
        reward=0.0,
        mask=1.0,
    )


def transition_of(record: np.void, frames: Arrays, spaces: Spaces) -> Transition:
    """A record (one element of rows.npy) and its frames as the transition they came from."""

    def parts(column: str, names: tuple) -> Arrays:
        return {part.name: np.array(record[f"{column}/{part.name}"]) for part in names}

    return Transition(
        robot=robot_of(record),
        frames={name: np.array(frame) for name, frame in frames.items()},
        vectors=parts("observation", spaces.vectors),
        action=parts("action", spaces.actions),
        executed=parts("executed", spaces.actions),
        source_stamps_ns={source: record[f"stamp_ns/{source}"].item() for source in spaces.sources},
        **{name: record[name].item() for name in _SCALARS},
    )


def robot_of(record: np.void) -> str:
    """Name of the robot; damaged bytes are shown, not refused."""
    return record["robot"].decode(errors="backslashreplace")


# -- what may enter ------------------------------------------------------------------------------------------------


def check(transition: Transition, spaces: Spaces, dtype: np.dtype) -> None:
    """Raises ValueError with one line for a transition that must not enter a store of these spaces."""
    t = transition
    try:
        _check_parts(t, spaces)
        _check_values(t, dtype)
    except ValueError as error:
        raise ValueError(f"step {t.step} of episode {t.episode} of {t.robot!r}: {error}") from None


def _check_parts(t: Transition, spaces: Spaces) -> None:
    for what, parts, declared, shape, dtype in (
        ("frame", t.frames, spaces.images, "frame_shape", np.uint8),
        ("observation", t.vectors, spaces.vectors, "shape", np.float32),
        ("action", t.action, spaces.actions, "shape", np.float32),
        ("executed", t.executed, spaces.actions, "shape", np.float32),
    ):
        _check_names(what, parts, [part.name for part in declared])
        for part in declared:
            check_array(f"{what} {part.name!r}", parts[part.name], getattr(part, shape), dtype)
    _check_names("source", t.source_stamps_ns, spaces.sources)


def _check_names(what: str, given: dict, expected: tuple[str, ...] | list[str]) -> None:
    for name in (*expected, *given):
        if name not in given or name not in expected:
            wrong = "missing" if name in expected else "unknown"
            raise ValueError(f"{what} {name!r} is {wrong}; expected {', '.join(expected) or 'none'}")


def _check_values(t: Transition, dtype: np.dtype) -> None:
    for name, vector in t.vectors.items():
        if not np.isfinite(vector).all():
            raise ValueError(f"observation {name!r} is not finite")
    if not t.is_last:
        for name, action in t.action.items():
            if not np.isfinite(action).all():
                raise ValueError(f"action {name!r} is not finite")
        if not abs(t.reward) <= _LARGEST:
            raise ValueError(f"reward is {t.reward}; expected a finite float32")
        if not 0.0 <= t.mask <= 1.0:
            raise ValueError(f"mask is {t.mask}; expected 0..1")
    if not abs(t.lateness_s) <= _LARGEST:
        raise ValueError(f"lateness_s is {t.lateness_s}; expected a finite float32")
    if t.is_first != (t.step == 0):
        raise ValueError(f"is_first is {t.is_first}; expected it at step 0 only")
    name = t.robot.encode(errors="replace")
    if not 1 <= len(name) <= ROBOT_BYTES or name.decode() != t.robot or "\0" in t.robot:
        raise ValueError(f"robot's name; expected 1 to {ROBOT_BYTES} bytes of UTF-8")
    for column, low, high in _integers(dtype):
        field, _, source = column.partition("/")
        value = t.source_stamps_ns[source] if source else getattr(t, field)
        if not low <= value <= high:
            raise ValueError(f"{column} is {value}; expected {low}..{high}")


@lru_cache
def _integers(dtype: np.dtype) -> tuple[tuple[str, int, int], ...]:
    """Name, smallest and largest value of the columns of integers that a transition fills."""
    names = [name for name in dtype.names if name in _SCALARS or name.startswith("stamp_ns/")]
    limits = [(name, np.iinfo(dtype[name])) for name in names if dtype[name].kind in "iu"]
    return tuple((name, int(limit.min), int(limit.max)) for name, limit in limits)


# -- what is believed ----------------------------------------------------------------------------------------------


def frame_crc(frame: np.ndarray) -> int:
    """CRC-32 of a frame uint8 [H, W, C]."""
    return crc32(np.ascontiguousarray(frame).reshape(-1))


def checksum(row: np.ndarray, number: int) -> int:
    """CRC-32 of a record [1] as the row of this number; by their own CRC-32 it covers the frames too."""
    covered = row.tobytes()[row.dtype.fields[_CHECKED_FROM][1] :]
    return crc32(covered, crc32(number.to_bytes(8, "little")))


def intact(records: np.ndarray) -> np.ndarray:
    """Which of the records [M] have a number and a matching checksum: bool [M]. A tenth of a second for 100,000."""
    first = records.dtype.fields[_CHECKED_FROM][1]
    size, data = records.dtype.itemsize, memoryview(np.ascontiguousarray(records).tobytes())
    fits = np.zeros(len(records), bool)
    wanted = records["checksum"].tolist()
    for at in np.flatnonzero(records["number"]).tolist():
        begin = at * size
        number_crc = crc32(data[begin : begin + 8])
        fits[at] = crc32(data[begin + first : begin + size], number_crc) == wanted[at]
    return fits


def fits(row: np.ndarray, frames: Arrays) -> bool:
    """Whether a record [1] and its frames match their checksums."""
    return bool(intact(row)[0]) and all(frame_crc(f) == row[f"frame_crc/{n}"][0] for n, f in frames.items())


def complete(records: np.ndarray) -> np.ndarray:
    """Which slots of a store's records [N] hold a valid row, bool [N]."""
    numbers, capacity = records["number"], np.uint64(len(records))
    in_place = (numbers > 0) & ((numbers - np.uint64(1)) % capacity == np.arange(len(records), dtype=np.uint64))
    in_place &= intact(records)
    newest = numbers[in_place].max(initial=0)
    return in_place & (numbers + capacity > newest)


def previous_slots(records: np.ndarray, live: np.ndarray) -> np.ndarray:
    """Slot of the previous step of every row or -1, int64 [N]; a link to an overwritten row is no link."""
    previous = records["previous"].astype(np.int64)
    slots = (previous - 1) % len(records)
    linked = live & (previous > 0) & (records["previous"] < records["number"])
    linked &= live[slots] & (records["number"][slots] == records["previous"])
    return np.where(linked, slots, -1)


# -- priorities ----------------------------------------------------------------------------------------------------


def set_priority(records: np.ndarray, slots: np.ndarray, priority: np.ndarray) -> None:
    """Writes priorities, float32 [B], to the records at `slots`, int64 [B]; each with its check value in one store of 8 bytes,
    which a kill cannot tear."""
    bits = priority.astype(np.float32).view(np.uint32).astype(np.uint64)
    both = records.getfield(np.dtype("<u8"), records.dtype.fields["priority"][1])
    both[slots] = bits | (bits ^ _ONES) << np.uint64(32)


def priority_fits(records: np.ndarray) -> np.ndarray:
    """Whether the priority of each record is undamaged, bool [M]."""
    return records["priority"].view(np.uint32) ^ np.uint32(_ONES) == records["priority_check"]


def priorities(records: np.ndarray) -> np.ndarray:
    """Priority of every record, float32 [M]; NaN if there is none yet or it is damaged."""
    return np.where(priority_fits(records), records["priority"], np.float32(np.nan))
