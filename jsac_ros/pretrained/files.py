"""The file of a pretrained encoder: a ResNet's arrays in safetensors, and a description in its metadata.

    stem/0/kernel, stem/0/bias            [h, w, in, out], [out]; group norm also has stem/0/scale
    stage/0/1/0/kernel, ...               stage, block, convolution
    stage/1/0/shortcut/kernel, ...

Reading it executes nothing. This module does not import JAX, so the starter can check the file.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from jsac_ros import documents
from jsac_ros.config import ConfigError, Count, Section
from jsac_ros.files import replaced
from jsac_ros.types import Arrays

FORMAT = 1
_CARD = "jsac_ros.encoder"  # in the metadata
_LARGEST_CARD = 1 << 20  # bytes
_NAME = re.compile(r"stem/\d{1,2}/\w+|stage/\d{1,2}/\d{1,2}/(\d{1,2}|shortcut)/\w+")
_Three = Annotated[tuple[float, ...], Field(min_length=3, max_length=3)]


class EncoderCard(Section):
    """How the arrays of the file compute features from an RGB image."""

    format: Literal[1] = FORMAT
    blocks: Annotated[tuple[Annotated[int, Field(ge=1, le=64)], ...], Field(min_length=1, max_length=4)]  # of each stage
    padding: Literal["symmetric", "same"] = "symmetric"  # of strided convolutions: PyTorch's, or that of TensorFlow and Flax
    groups: Annotated[int, Field(ge=0, le=1024)] = 0  # of group norm; 0: norms are folded into the convolutions
    pooled_shortcut: bool = False  # a strided shortcut averages before its convolution (ResNet-D)
    mean: _Three = (0.485, 0.456, 0.406)  # of a pixel in [0, 1], subtracted
    std: _Three = (0.229, 0.224, 0.225)
    channels: Count  # of the features
    digest: Annotated[str, Field(pattern=r"[0-9a-f]{12}")]  # of all arrays
    source: str = ""  # name of the file that was converted
    tensors: Annotated[dict[str, tuple[Count, ...]], Field(min_length=2, max_length=4096)]

    def shape_of(self, height: int, width: int) -> tuple[int, int, int]:
        """[h, w, c] of the features of an image: each strided layer halves its sides, rounding up."""
        for _ in range(len(self.blocks) + 1):
            height, width = -(-height // 2), -(-width // 2)
        return height, width, self.channels


def digest_of(tensors: Arrays) -> str:
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(f"{name}{list(tensors[name].shape)}".encode())
        found.update(np.ascontiguousarray(tensors[name], "<f4"))
    return found.hexdigest()[:12]


def save(path: Path, card: EncoderCard, tensors: Arrays) -> None:
    """The file is replaced as a whole. Raises ConfigError if it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as beside:
            save_file(tensors, beside, metadata={_CARD: card.model_dump_json()})
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"{path}: cannot be written: {documents.one_line(error)}") from None


def read_card(path: str | Path) -> EncoderCard:
    """Raises ConfigError with one line if there is no such file, or it is inconsistent. Reads no array."""
    try:
        with safe_open(Path(path).expanduser(), framework="numpy") as file:
            text = (file.metadata() or {}).get(_CARD, "")
            held = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"encoder {path}: cannot be read: {documents.one_line(error)}") from None
    if not 0 < len(text) <= _LARGEST_CARD:
        raise ConfigError(f"encoder {path}: not a pretrained encoder; expected a file of `jsac-ros encoder convert`")
    try:
        card = EncoderCard.model_validate(documents.json_of(text), strict=False)
    except (ValueError, ValidationError) as error:
        raise ConfigError(f"encoder {path}: {documents.one_line(error)}") from None
    if held != card.tensors or not all(_NAME.fullmatch(name) for name in held):
        raise ConfigError(f"encoder {path}: has other arrays than its description; expected those of one encoder")
    return card


def read(path: str | Path) -> tuple[EncoderCard, Arrays]:
    """The card and float32 arrays by name. Raises ConfigError as `read_card` does, and if an array was changed."""
    card = read_card(path)
    try:
        with safe_open(Path(path).expanduser(), framework="numpy") as file:
            tensors = {name: np.asarray(file.get_tensor(name), np.float32) for name in file.keys()}
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"encoder {path}: cannot be read: {documents.one_line(error)}") from None
    if digest_of(tensors) != card.digest:
        raise ConfigError(f"encoder {path}: is damaged: its arrays are not those that were written")
    return card, tensors


def copy(path: str | Path, to: Path) -> None:
    """Raises OSError."""
    source = Path(path).expanduser().resolve()
    if source != to.resolve():
        to.parent.mkdir(parents=True, exist_ok=True)
        with replaced(to) as beside:
            shutil.copyfile(source, beside)
