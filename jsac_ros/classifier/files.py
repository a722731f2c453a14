"""A classifier's folder: `classifier.safetensors` with the parameters, `classifier.json` with all that is needed to use them.

Both are plain data: nothing in them is executed when they are read. Imports no JAX, so the starter can check a folder.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from jsac_ros import documents
from jsac_ros.config import ConfigError, Count, Section
from jsac_ros.files import replaced, write_text
from jsac_ros.spaces import ImageSpace

WEIGHTS, CARD = "classifier.safetensors", "classifier.json"
FORMAT = 1
_LARGEST_JSON = 1 << 20  # bytes
_Pixels = Annotated[int, Field(ge=1, le=4096)]


class CardImage(Section):
    """One frame of one camera."""

    height: _Pixels
    width: _Pixels
    channels: Literal[1, 3]

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.height, self.width, self.channels)


class Card(Section):
    """The images that a classifier sees, and when it reports a success."""

    format: Literal[1] = FORMAT
    images: Annotated[dict[str, CardImage], Field(min_length=1, max_length=16)]
    channels: Annotated[tuple[Annotated[int, Field(ge=1, le=1024)], ...], Field(min_length=1, max_length=8)]  # a convolution
    width: Annotated[int, Field(ge=1, le=4096)]  # of the layer after the convolutions
    threshold: float  # on the score, a logit: from it on an image is positive
    consecutive: Annotated[int, Field(ge=1, le=100)]  # positive images in a row that are a success
    wanted_precision: Annotated[float, Field(gt=0.0, le=1.0)]
    tensors: dict[str, tuple[Count, ...]] = {}  # name -> shape of every array
    about: dict[str, Any] = {}  # where it was trained and how well it did there

    @property
    def probability(self) -> float:
        """The threshold as a probability."""
        return 1.0 / (1.0 + math.exp(-min(max(self.threshold, -700.0), 700.0)))

    def misfits(self, images: Mapping[str, ImageSpace]) -> str:
        """How `images`, a rig's or a store's, differ from those of the classifier, in one line; '' if they do not."""
        found = []
        for name, image in self.images.items():
            seen = "x".join(map(str, image.shape))
            if name not in images:
                found.append(f"has seen image {name!r}, {seen}; there are {', '.join(images) or 'none'}")
            elif images[name].frame_shape != image.shape:
                found.append(f"has seen image {name!r} as {seen}; here it is {'x'.join(map(str, images[name].frame_shape))}")
        return "; ".join(found)


def save(folder: str | Path, card: Card, tensors: dict[str, np.ndarray]) -> None:
    """Writes a classifier, replacing an existing one. tensors: float32 by name. Raises ConfigError."""
    folder = Path(folder)
    card = card.model_copy(update={"tensors": {name: value.shape for name, value in tensors.items()}})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replaced(folder / WEIGHTS) as beside:
            save_file(tensors, beside)
        write_text(folder / CARD, json.dumps(card.model_dump(mode="json"), indent=2) + "\n")
    except OSError as error:
        raise ConfigError(f"classifier {folder}: cannot be written: {error.strerror}") from None


def read_card(folder: str | Path) -> Card:
    """The card, if both files are complete and consistent. Raises ConfigError with one line if they are not."""
    folder = Path(folder).expanduser()
    try:
        card = Card.model_validate(documents.json_of(documents.read(folder / CARD, _LARGEST_JSON)), strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "it"
        raise ConfigError(f"classifier {folder}: {CARD}: {documents.cut(field)}: {first['msg']}") from None
    except ValueError as error:
        raise ConfigError(f"classifier {folder}: {CARD} cannot be read: {documents.one_line(error)}") from None
    try:
        with safe_open(folder / WEIGHTS, framework="numpy") as file:
            found = {name: f"F32{list(shape)}" for name, shape in card.tensors.items()}
            held = {name: f"{file.get_slice(name).get_dtype()}{list(file.get_slice(name).get_shape())}" for name in file.keys()}
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"classifier {folder}: {WEIGHTS} cannot be read: {documents.one_line(error)}") from None
    for name in [*found, *held]:
        if found.get(name) != held.get(name):
            is_, expected = held.get(name, "missing"), found.get(name, "no such array")
            raise ConfigError(f"classifier {folder}: {WEIGHTS}: {documents.cut(name)} is {is_}; expected {expected}")
    return card


def read_tensors(folder: str | Path) -> dict[str, np.ndarray]:
    """float32 by name, from a folder that `read_card` accepts. Raises ConfigError if it was damaged since."""
    try:
        with safe_open(Path(folder).expanduser() / WEIGHTS, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"classifier {folder}: {WEIGHTS} cannot be read: {documents.one_line(error)}") from None
    for name, value in tensors.items():
        if not np.isfinite(value).all():
            raise ConfigError(f"classifier {folder}: {WEIGHTS}: {documents.cut(name)} is not finite")
    return tensors


def copy(folder: str | Path, to: Path) -> None:
    """Copies a classifier into the folder of what was learned with it, unless it is there already. Raises OSError."""
    source = Path(folder).expanduser().resolve()
    if source != to.resolve():
        to.mkdir(parents=True, exist_ok=True)
        for name in (WEIGHTS, CARD):
            shutil.copyfile(source / name, to / name)
