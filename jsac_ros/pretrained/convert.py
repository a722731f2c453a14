"""Converts published weights to the file of a pretrained encoder: parameter names and layouts of several libraries to ours.

Reads ResNets with the parameter names of torchvision and timm, of Hugging Face's transformers, and of SERL's Flax encoder. A
batch norm is folded into the convolution before it, with the same result; a group norm is kept.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jsac_ros import documents
from jsac_ros.config import ConfigError
from jsac_ros.pretrained import weights
from jsac_ros.pretrained.files import EncoderCard, digest_of
from jsac_ros.types import Arrays

_SERL_GROUPS = 4
_EPSILON = 1e-5  # of batch norm
_NORM = {"weight": "scale", "scale": "scale", "bias": "bias", "running_mean": "mean", "running_var": "variance"}
_UNUSED = re.compile(r"fc\.|head\.|classifier\.|.*num_batches_tracked$")
_PREFIX = re.compile(r"^(?:state_dict|model|module|params|backbone|encoder_image|pretrained_encoder|resnet)\.")

# Name of a layer in the weights -> ours. Groups: stage, block, convolution.
_STEM = ((r"conv1", "stem/0"), (r"bn1", "stem/0"))
_DEEP_STEM = (
    (r"conv1\.[01]", "stem/0"), (r"conv1\.[34]", "stem/1"), (r"conv1\.6", "stem/2"), (r"bn1", "stem/2"),
)  # fmt: skip
_TORCH = (
    (r"layer(\d)\.(\d+)\.(?:conv|bn)(\d)", "stage/{-}/{}/{-}"),
    (r"layer(\d)\.(\d+)\.downsample\.[012]", "stage/{-}/{}/shortcut"),
)  # fmt: skip
_TRANSFORMERS = (
    (r"embedder\.embedder\.\w+", "stem/0"),
    (r"encoder\.stages\.(\d)\.layers\.(\d+)\.layer\.(\d)\.\w+", "stage/{}/{}/{}"),
    (r"encoder\.stages\.(\d)\.layers\.(\d+)\.shortcut\.\w+", "stage/{}/{}/shortcut"),
)
_FLAX = (
    (r"(?:conv|norm)_init", "stem/0"),
    (r"ResNetBlock_(\d+)\.(?:Conv|MyGroupNorm|GroupNorm)_(\d)", "block/{}/{}"),
    (r"ResNetBlock_(\d+)\.(?:conv|norm)_proj", "block/{}/shortcut"),
)


class Converted(NamedTuple):
    card: EncoderCard
    tensors: Arrays


def convert(path: Path, stages: int) -> Converted:
    """stages: number of stages to keep. Raises ConfigError with one line."""
    try:
        return _converted(path, stages)
    except ConfigError:
        raise
    except ValueError as error:  # arrays of other shapes than their names have
        raise ConfigError(f"weights {path}: contain no complete ResNet: {documents.one_line(error)}") from None


def _converted(path: Path, stages: int) -> Converted:
    named = {_bare(name): value for name, value in weights.read(path).items()}
    flax = "conv_init.kernel" in named
    layers = _layers(named, _names_in(named), path)
    if flax:
        layers = _by_stage(layers)
    if "stem/0" not in layers or "stage/0/0/0" not in layers:
        raise ConfigError(f"weights {path}: contain no ResNet; expected one of torchvision, timm, transformers or SERL")
    blocks = _blocks(layers, stages, path)
    tensors: Arrays = {}
    for name, held in layers.items():
        if name.startswith("stem/") or int(name.split("/")[1]) < len(blocks):
            tensors |= {f"{name}/{kind}": value for kind, value in _folded(name, held, flax, path).items()}
    last = f"stage/{len(blocks) - 1}/{blocks[-1] - 1}/"
    card: dict[str, Any] = {
        "blocks": blocks, "padding": "same" if flax else "symmetric", "groups": _SERL_GROUPS if flax else 0,
        "pooled_shortcut": any(re.search(r"downsample\.2\.", name) for name in named),
        "channels": len(tensors[max(name for name in tensors if re.fullmatch(rf"{last}\d+/bias", name))]),
        "digest": digest_of(tensors), "source": path.name,
        "tensors": {name: value.shape for name, value in tensors.items()},
    }  # fmt: skip
    return Converted(EncoderCard(**card), tensors)


def _bare(name: str) -> str:
    while (shorter := _PREFIX.sub("", name)) != name:
        name = shorter
    return name


def _names_in(named: Arrays) -> tuple[tuple[str, str], ...]:
    """Patterns of the parameter names of the library that wrote these weights."""
    if "conv_init.kernel" in named:
        return _FLAX
    if any(name.startswith("embedder.") for name in named):
        return _TRANSFORMERS
    return (_DEEP_STEM if "conv1.6.weight" in named else _STEM) + _TORCH


def _layers(named: Arrays, patterns: tuple[tuple[str, str], ...], path: Path) -> dict[str, Arrays]:
    """Our name of a layer -> its arrays: "kernel" and those of its norm. Raises ConfigError."""
    layers: dict[str, Arrays] = {}
    for name, value in named.items():
        layer, _, kind = name.rpartition(".")
        for pattern, ours in patterns:
            if match := re.fullmatch(pattern, layer):
                is_kernel = value.ndim == 4
                if is_kernel or kind in _NORM:
                    layers.setdefault(_filled(ours, match.groups()), {})["kernel" if is_kernel else _NORM[kind]] = value
                break
        else:
            if not _UNUSED.match(name):
                raise ConfigError(
                    f"weights {path}: {name} is not part of a ResNet; expected torchvision's, timm's, transformers' or SERL's"
                )
    return layers


def _filled(ours: str, numbers: tuple[str, ...]) -> str:
    """Fills in the numbers: `{}` as it is, `{-}` minus one, for names that count from 1."""
    given = iter(numbers)
    return re.sub(r"\{(-?)\}", lambda place: str(int(next(given)) - bool(place[1])), ours)


def _by_stage(layers: dict[str, Arrays]) -> dict[str, Arrays]:
    """SERL counts blocks through all stages; one with a shortcut begins a stage."""
    found = {name: held for name, held in layers.items() if name.startswith("stem/")}
    stage, block = 0, -1
    for number in sorted({int(name.split("/")[1]) for name in layers if name.startswith("block/")}):
        begins = f"block/{number}/shortcut" in layers
        stage, block = (stage + 1, 0) if begins else (stage, block + 1)
        for name, held in layers.items():
            if name.startswith(f"block/{number}/"):
                found[f"stage/{stage}/{block}/{name.rpartition('/')[2]}"] = held
    return found


def _blocks(layers: dict[str, Arrays], stages: int, path: Path) -> tuple[int, ...]:
    """Number of blocks in each kept stage. Raises ConfigError."""
    counted: dict[int, set[int]] = {}
    for name in layers:
        if name.startswith("stage/"):
            stage, block = map(int, name.split("/")[1:3])
            counted.setdefault(stage, set()).add(block)
    found = [len(counted.get(stage, ())) for stage in range(len(counted))]
    if any(counted.get(stage) != set(range(count)) for stage, count in enumerate(found)):
        raise ConfigError(f"weights {path}: blocks are missing; expected a whole ResNet")
    return tuple(found[:stages])


def _folded(name: str, held: Arrays, flax: bool, path: Path) -> Arrays:
    """float32 kernel [h, w, in, out], bias [out] and of a group norm scale [out]. Raises ConfigError."""
    wanted = {"kernel", "scale", "bias"} | (set() if flax else {"mean", "variance"})
    if missing := wanted - set(held):
        raise ConfigError(f"weights {path}: {name} has no {', '.join(sorted(missing))}; expected a ResNet with its norms")
    kernel = np.asarray(held["kernel"], np.float32)
    scale, bias = (np.asarray(held[kind], np.float32) for kind in ("scale", "bias"))
    if flax:
        found = {"kernel": kernel, "scale": scale, "bias": bias}
    else:
        factor = scale / np.sqrt(np.asarray(held["variance"], np.float32) + _EPSILON)
        shift = bias - np.asarray(held["mean"], np.float32) * factor
        found = {"kernel": kernel.transpose(2, 3, 1, 0) * factor, "bias": shift}
    if not all(np.isfinite(value).all() for value in found.values()):
        raise ConfigError(f"weights {path}: {name} is not finite")
    return {kind: np.ascontiguousarray(value, np.float32) for kind, value in found.items()}
