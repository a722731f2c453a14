"""The files of a replay store (docs/replay.md): the fields of a record, the header, and why a folder is refused.

`store.json` describes the store, `rows.npy` holds one record per transition, `frames_NAME.npy` the frames of one image;
all are ordinary .npy files in which the ring stays in place. Everything is little-endian.
"""

from __future__ import annotations

import io
import json
import math
import os
import zlib
from pathlib import Path

import numpy as np

from jsac_ros import documents
from jsac_ros.config import ConfigError, NoRoom
from jsac_ros.spaces import Spaces

FORMAT = "jsac-replay"
VERSION = 3
HEADER, ROWS, COUNTERS, LOCK, BOOT = "store.json", "rows.npy", "counters.npy", "lock", "boot"
ROBOT_BYTES = 32
MOST = 10**8  # transitions of a store, pixels and values of a part
HEADER_BYTES = 1 << 16  # of a .npy file, at most; its data begin at a multiple of 64


class StoreError(ConfigError):
    """One line: the error in a store and what was expected."""


class StoreFull(StoreError, NoRoom):
    """The disk has no room for a store."""


class HeaderDamaged(StoreError):
    """`store.json` is damaged."""


def frames_file(image: str) -> str:
    """The file with the frames of one image, uint8 [capacity, H, W, C]."""
    return f"frames_{image}.npy"


def row_type(spaces: Spaces) -> np.dtype:
    """One transition, every field aligned.

    Rows are counted 1, 2, 3, ... since the store was created; `number` is that count, 0 if there is no complete row.
    """
    fields: list[tuple] = [
        ("number", "<u8"),  # written last: a row without it was never acknowledged
        ("priority", "<f4"),  # |TD error| of the last update that used it; NaN: none yet
        ("priority_check", "<u4"),  # its bits, inverted; if they do not match, the row has no priority
        ("checksum", "<u4"),  # CRC-32 of number and every field below
        ("episode", "<u4"),
        ("previous", "<u8"),  # `number` of the row that holds the episode's previous step; 0: none
        ("session", "<u8"),
        ("sequence", "<u8"),
        ("stamp_ns", "<i8"),
        ("policy_version", "<i8"),
        *((f"stamp_ns/{source}", "<i8") for source in spaces.sources),
        ("robot", f"S{ROBOT_BYTES}"),
        ("step", "<u4"),
        ("is_first", "?"),
        ("is_last", "?"),
        ("intervened", "?"),
        ("success", "?"),
        ("reward", "<f4"),
        ("mask", "<f4"),
        ("lateness_s", "<f4"),
        *((f"frame_crc/{image.name}", "<u4") for image in spaces.images),  # CRC-32 of the frame
        *((f"observation/{vector.name}", "<f4", (vector.size,)) for vector in spaces.vectors),
        *((f"action/{part.name}", "<f4", (part.size,)) for part in spaces.actions),
        *((f"executed/{part.name}", "<f4", (part.size,)) for part in spaces.actions),
    ]
    padding = -np.dtype(fields).itemsize % 8  # a record is a multiple of 8 bytes
    return np.dtype([*fields, ("padding", "u1", (padding,))])


# -- the header ----------------------------------------------------------------------------------------------------


def write_header(folder: Path, spaces: Spaces, capacity: int) -> None:
    """Written last and atomically: a folder without it is not a store."""
    header = {"format": FORMAT, "version": VERSION, "capacity": capacity, "spaces": spaces.to_json()}
    header["crc32"] = _header_crc(header)
    temporary = folder / (HEADER + ".new")
    temporary.write_text(json.dumps(header, indent=1) + "\n")
    os.replace(temporary, folder / HEADER)


def read_header(folder: Path) -> tuple[Spaces, int]:
    """Spaces and capacity of the store in `folder`. Raises StoreError, or HeaderDamaged if the header is damaged."""
    path = folder / HEADER
    try:
        with open(path, "rb") as file:
            header = documents.json_of(file.read(documents.JSON_BYTES))
        crc, version, found = header.pop("crc32"), header["version"], header["format"]
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(f"{folder}: no replay store; expected {HEADER} in it") from None
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}; expected the header of a replay store") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = type(error).__name__
        raise HeaderDamaged(f"{path}: header is damaged ({what}); expected what docs/replay.md says") from None
    if crc != _header_crc(header):
        raise HeaderDamaged(f"{path}: header is damaged (its checksum does not match)")
    if found != FORMAT or version != VERSION:
        raise StoreError(f"{path}: format {found!r} version {version!r} is not read; expected {FORMAT!r} version {VERSION}")
    try:
        spaces, capacity = Spaces.from_json(header["spaces"]), header["capacity"]
        row_type(spaces)
    except (KeyError, ValueError) as error:
        raise StoreError(f"{path}: {' '.join(str(error).split())}; expected spaces") from None
    sizes = [math.prod(image.frame_shape) for image in spaces.images] + [v.size for v in (*spaces.vectors, *spaces.actions)]
    if type(capacity) is not int or not all(1 <= size <= MOST for size in (capacity, *sizes)):
        raise StoreError(f"{path}: expected a capacity and sizes in whole numbers, 1..{MOST}")
    return spaces, capacity


def _header_crc(header: dict) -> int:
    return zlib.crc32(json.dumps(header, sort_keys=True).encode())


def open_array(path: Path, dtype: np.dtype, shape: tuple[int, ...], mode: str) -> np.memmap:
    """The data of a .npy file, its last bytes, memory-mapped. Raises StoreError.

    Type and shape come from the store's own header, which has a checksum; the file's header is for other readers.
    """
    try:
        size, needed = os.stat(path).st_size, dtype.itemsize * math.prod(shape)
        offset = size - needed
        if 64 <= offset <= HEADER_BYTES and offset % 64 == 0:
            return np.memmap(path, dtype, mode, offset, shape)
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read ({' '.join(str(error).split())})") from None
    raise StoreError(f"{path}: has {size} bytes; expected {needed} behind a header of at most {HEADER_BYTES}")


def array_header(dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    """The header of a .npy file with this type and shape."""
    header = io.BytesIO()
    description = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_1_0(header, {"descr": description, "fortran_order": False, "shape": shape})
    return header.getvalue()
