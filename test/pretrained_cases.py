"""Small ResNets of other libraries with random weights, and the encoders that are converted from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from jsac_ros.__main__ import main

WIDTHS = (8, 12)


def layer(rng, name: str, norm: str, out: int, into: int, size: int) -> dict[str, np.ndarray]:
    """A convolution and its batch norm, named as in PyTorch."""
    kernel = rng.normal(size=(out, into, size, size)) / np.sqrt(into * size * size)
    values = {
        f"{name}.weight": kernel, f"{norm}.weight": rng.uniform(0.5, 1.5, out), f"{norm}.bias": rng.normal(size=out),
        f"{norm}.running_mean": rng.normal(size=out), f"{norm}.running_var": rng.uniform(0.5, 2.0, out),
    }  # fmt: skip
    return {key: value.astype(np.float32) for key, value in values.items()}


def basic(seed: int = 0) -> dict[str, np.ndarray]:
    """Two stages of one block of two convolutions, with torchvision's names and a head that is not used."""
    rng = np.random.default_rng(seed)
    found = layer(rng, "conv1", "bn1", WIDTHS[0], 3, 7)
    into = WIDTHS[0]
    for stage, out in enumerate(WIDTHS, 1):
        block = f"layer{stage}.0"
        found |= layer(rng, f"{block}.conv1", f"{block}.bn1", out, into, 3)
        found |= layer(rng, f"{block}.conv2", f"{block}.bn2", out, out, 3)
        if stage > 1:
            found |= layer(rng, f"{block}.downsample.0", f"{block}.downsample.1", out, into, 1)
        into = out
    return found | {"fc.weight": np.ones((5, into), np.float32), "bn1.num_batches_tracked": np.array(3)}


def encoder_file(folder: Path, seed: int = 0) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(basic(seed), folder / "weights.safetensors")
    path = str(folder / f"encoder{seed}.safetensors")
    assert main(["encoder", "convert", str(folder / "weights.safetensors"), "--to", path]) == 0
    return path
