"""The named arrays of published weights: safetensors, PyTorch checkpoints, pickled dicts of NumPy or JAX arrays.

Nothing is unpickled: see `inert.py`.
"""

from __future__ import annotations

import itertools
import math
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from jsac_ros import documents
from jsac_ros.config import ConfigError
from jsac_ros.pretrained import inert
from jsac_ros.pretrained.inert import Call, Global, Persistent
from jsac_ros.types import Arrays

_LARGEST = 4 << 30  # bytes of a file
_LARGEST_STREAM = 256 << 20  # bytes of a pickle stream
_MOST_NAMES, _LONGEST_NAME, _DEEPEST = 100_000, 300, 12
_MOST_AXES = 8
_DAMAGED = (ValueError, TypeError, LookupError, AttributeError, RecursionError, SafetensorError, zipfile.BadZipFile)
_TORCH_TYPES = {
    "FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "LongStorage": "<i8", "IntStorage": "<i4",
    "ByteStorage": "u1", "BoolStorage": "?",
}  # fmt: skip


def read(path: Path) -> Arrays:
    """{name with dots: array}. Raises ConfigError with one line if the file is of another kind, or damaged."""
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"it is larger than {_LARGEST >> 30} GiB")
        if path.suffix == ".safetensors":
            with safe_open(path, framework="numpy") as file:
                return {_checked(name): file.get_tensor(name) for name in file.keys()}
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if sum(info.file_size for info in archive.infolist()) > path.stat().st_size:
                    raise ValueError("its files are larger than itself; expected them uncompressed, as torch.save writes them")
                return _torch(archive)
        if path.stat().st_size > _LARGEST_STREAM:
            raise ValueError(f"it is a pickle of more than {_LARGEST_STREAM >> 20} MiB")
        return _arrays(inert.read(path.read_bytes()), _numpy)
    except (*_DAMAGED, OSError) as error:
        raise ConfigError(f"weights {path}: cannot be read: {documents.one_line(error)}") from None


def _torch(archive: zipfile.ZipFile) -> Arrays:
    """The tensors of torch.save: one pickle stream, and the storages as files beside it. Raises ValueError."""
    streams = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(streams) != 1:
        raise ValueError(f"{len(streams)} files data.pkl are in it; expected one, as torch.save writes")
    if archive.getinfo(streams[0]).file_size > _LARGEST_STREAM:
        raise ValueError(f"its data.pkl is larger than {_LARGEST_STREAM >> 20} MiB")
    folder = streams[0].removesuffix("data.pkl")
    storages: dict[str, bytes] = {}  # several tensors may share one

    def tensor(call: Call) -> np.ndarray | None:
        if call.name == "torch._utils _rebuild_parameter":
            return tensor(call.arguments[0])
        if call.name != "torch._utils _rebuild_tensor_v2":
            return None
        storage, offset, shape, strides = call.arguments[:4]
        if not isinstance(storage, Persistent):
            raise ValueError("a tensor has no storage")
        _, kind, key, *_ = storage.id
        dtype = _TORCH_TYPES.get(kind.name.rpartition(" ")[2]) if isinstance(kind, Global) else None
        if dtype is None:
            given = kind.name if isinstance(kind, Global) else "no storage type"
            raise ValueError(f"a tensor is of {given}; expected {', '.join(_TORCH_TYPES)}")
        file = f"{folder}data/{_checked(key)}"
        if file not in storages:
            storages[file] = archive.read(file)
        values = np.frombuffer(storages[file], dtype)
        shape, strides = _sizes(shape), _sizes(strides)
        dense = tuple(math.prod(shape[k + 1 :]) for k in range(len(shape)))
        if strides != dense and math.prod(shape):
            raise ValueError(f"a tensor of shape {list(shape)} has strides {list(strides)}; expected {list(dense)}")
        return _part(values, offset, shape)

    return _arrays(inert.read(archive.read(streams[0])), tensor)


def _numpy(call: Call) -> np.ndarray | None:
    """An array of NumPy or JAX."""
    name = call.name.rpartition(" ")[2]
    if name == "_frombuffer":
        data, dtype, shape = call.arguments[:3]
    elif name in ("_reconstruct", "_reconstruct_array"):
        state = call.state if name == "_reconstruct" else call.arguments[2]
        _, shape, dtype, fortran, data = state
        if fortran:
            raise ValueError("an array is in Fortran's order; expected C's")
    else:
        return None
    if isinstance(data, Call) and data.name == "_codecs encode":
        data = data.arguments[0].encode("latin1")
    return _part(np.frombuffer(data, _dtype(dtype)), 0, shape)


def _dtype(call: Any) -> np.dtype:
    kind = call.arguments[0] if isinstance(call, Call) and call.name == "numpy dtype" else None
    if kind not in ("f2", "f4", "f8", "i4", "i8", "u1", "b1"):
        given = repr(kind) if isinstance(kind, str) else "none"
        raise ValueError(f"an array is of type {given}; expected numbers")
    order = call.state[1] if call.state else "<"
    return np.dtype(kind).newbyteorder(order if order in "<>" else "=")


def _part(values: np.ndarray, offset: Any, shape: Any) -> np.ndarray:
    (offset,), shape = _sizes((offset,)), _sizes(shape)
    count = math.prod(shape)
    if offset + count > len(values):
        raise ValueError(f"an array of shape {list(shape)} is longer than its {len(values)} values")
    return values[offset : offset + count].reshape(shape)


def _sizes(values: Any) -> tuple[int, ...]:
    """A shape, strides or an offset, small enough to compute with. Raises ValueError."""
    if not isinstance(values, tuple) or len(values) > _MOST_AXES:
        raise ValueError(f"an array has an unusable shape; expected a tuple of at most {_MOST_AXES} numbers")
    if not all(type(value) is int and 0 <= value <= _LARGEST for value in values):
        raise ValueError(f"an array has an unusable shape; expected whole numbers from 0 to {_LARGEST}")
    return values


def _checked(name: str) -> str:
    """Raises ValueError if it is not a possible name of a layer."""
    if not isinstance(name, str) or len(name) > _LONGEST_NAME:
        raise ValueError(f"an array has no usable name; expected at most {_LONGEST_NAME} characters")
    return name


def _arrays(tree: Any, array_of) -> Arrays:
    """All arrays of a tree of dicts, by their keys joined with dots."""
    found = dict(_walk(tree, array_of, "", 0, itertools.count()))
    if not found:
        raise ValueError("it holds no named array; expected the weights of a network")
    if sum(array.nbytes for array in found.values()) > _LARGEST:  # they may share their values
        raise ValueError(f"its arrays are larger than {_LARGEST >> 30} GiB")
    return found


def _walk(tree: Any, array_of, path: str, depth: int, visits: Iterator[int]) -> Iterator[tuple[str, np.ndarray]]:
    if depth > _DEEPEST or next(visits) > _MOST_NAMES:  # a pickle's dicts may hold each other
        raise ValueError(f"its dicts are nested more than {_DEEPEST} deep, or hold more than {_MOST_NAMES} names")
    if isinstance(tree, Call) and not tree.items:
        if (array := array_of(tree)) is not None:
            yield path, array
            return
        tree = tree.state if isinstance(tree.state, Mapping) else {}
        tree = {name: value for name, value in tree.items() if not str(name).startswith("_")} or {}
    items = tree.items if isinstance(tree, Call) else tree
    if isinstance(items, Mapping):
        for name, value in items.items():
            if isinstance(name, str):
                yield from _walk(value, array_of, f"{path}.{_checked(name)}" if path else _checked(name), depth + 1, visits)
