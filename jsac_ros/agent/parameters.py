"""Configuration of the algorithms: only pydantic models and arithmetic, so that the starter can check it without JAX.

The groups here are shared; `Parameters` of an algorithm (`agent/<algorithm>/parameters.py`) extends those it uses.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from jsac_ros.config import AgentParameters, ConfigError, Count, NonNegative, Positive
from jsac_ros.spaces import Spaces

Activation = Literal["relu", "leaky_relu", "elu", "silu", "tanh"]
Layers = Annotated[tuple[int, ...], Field(min_length=1, max_length=16)]
LogStd = Annotated[float, Field(ge=-20.0, le=20.0)]

# Largest values for one layer of a network; anything larger is a typing error or a damaged file.
_LARGEST = {"conv_channels": 1024, "conv_kernels": 31, "conv_strides": 16, "hidden": 16_384}


class ScaffoldParameters(AgentParameters):
    """The part of the update that all algorithms share: random shifts before it, the target after it."""

    # One encoder per image, or one for all images concatenated along the channel axis, which must then have one size
    encoder: Literal["separate", "joined"] = "separate"
    shift_pad: Annotated[int, Field(ge=0, le=64)] = 4  # DrQ: shift by up to this many pixels; 0: no augmentation
    tau: Annotated[float, Field(gt=0.0, le=1.0)] = 0.005  # Polyak step of the target
    target_period: Count = 1  # updates between two updates of the target

    def misfits(self, spaces: Spaces) -> list[str]:
        problems = super().misfits(spaces)
        sizes = {(image.height, image.width) for image in spaces.images}
        if self.encoder == "joined" and len(sizes) > 1:
            found = ", ".join(f"{image.name} {image.height}x{image.width}" for image in spaces.images)
            problems.append(f"agent.encoder is 'joined' with images {found}; expected images of one size, or 'separate'")
        return problems


class NetworkParameters(ScaffoldParameters):
    """Encoder and MLPs (write-up, sections 2.1 to 2.3); the defaults are the published encoder at 96x96."""

    conv_channels: Layers = (32, 32, 64, 64)
    conv_kernels: Layers = (5, 5, 3, 3)  # pixels in each direction; one for all layers or one per layer
    conv_strides: Layers = (2, 2, 1, 1)
    conv_activation: Activation = "leaky_relu"
    pixel_limit: Annotated[float, Field(gt=0.0, le=255.0)] = 1.0  # pixels 0..255 are scaled to -limit..limit
    vector_limit: NonNegative = 0.0  # if there is an image, vectors are clipped to +-limit; 0: not clipped
    spatial_features: Annotated[int, Field(ge=1, le=256)] = 8  # learned sums of each channel of a pretrained encoder's features
    latent_dim: Annotated[int, Field(ge=1, le=16_384)] = 64
    hidden: Layers = (1024, 1024)
    hidden_activation: Activation = "relu"
    layer_norm: bool = True  # in MLPs and encoder; the latent always has LayerNorm
    conv_layer_norm: bool = True  # with layer_norm: between the convolutions too
    head_scale: Positive = math.sqrt(2.0)  # of the initial orthogonal kernels of the last layers
    bfloat16: bool = False  # products in bfloat16; parameters, losses and optimiser states stay float32

    @model_validator(mode="after")
    def _check_layers(self):
        for name, largest in _LARGEST.items():
            if not all(1 <= value <= largest for value in getattr(self, name)):
                raise ValueError(f"{name} is {list(getattr(self, name))}; expected numbers from 1 to {largest}")
        if len(self.conv_channels) != len(self.conv_strides):
            channels, strides = list(self.conv_channels), list(self.conv_strides)
            raise ValueError(f"conv_channels {channels} and conv_strides {strides}: expected one of each per layer")
        if len(self.conv_kernels) not in (1, len(self.conv_channels)):
            kernels, layers = list(self.conv_kernels), len(self.conv_channels)
            raise ValueError(f"conv_kernels is {kernels}; expected one, or one for each of {layers} layers")
        return self

    @property
    def conv_layers(self) -> tuple[tuple[int, int, int], ...]:
        """(channels, kernel, stride) of each convolution."""
        kernels = self.conv_kernels * (len(self.conv_channels) // len(self.conv_kernels))
        return tuple(zip(self.conv_channels, kernels, self.conv_strides, strict=True))

    def misfits(self, spaces: Spaces) -> list[str]:
        problems, least = super().misfits(spaces), smallest_image(self)
        for image in spaces.images:
            if min(image.height, image.width) < least:
                problems.append(
                    f"image {image.name!r} is {image.height}x{image.width}; expected at least {least}x{least} for convolutions "
                    f"with kernels {list(self.conv_kernels)} and strides {list(self.conv_strides)}"
                )
        return problems


class OptimiserParameters(AgentParameters):
    """Gradient steps (write-up, section 3)."""

    learning_rate: Positive = 3e-4
    max_gradient_norm: Positive = 1.0  # global norm of a network's gradient
    weight_clip: bool = True  # apply_weight_clip, eq. 4
    weight_clip_kappa: Positive = 2.0


class ActorCriticParameters(NetworkParameters, OptimiserParameters):
    """A tanh-Gaussian actor, an ensemble of Qs and a learned temperature."""

    q_count: Annotated[int, Field(ge=1, le=100)] = 5
    log_std_min: LogStd = -10.0
    log_std_max: LogStd = 2.0
    temperature_learning_rate: Positive = 3e-4
    initial_temperature: Positive = 0.1
    target_entropy: Literal["minus_actions", "minus_half_actions", "max_std"] = "minus_actions"
    target_entropy_std: Positive = 0.3  # for "max_std"
    actor_max_gradient_norm: NonNegative = 0.0  # 0: max_gradient_norm
    temperature_max_gradient_norm: NonNegative = 0.0  # 0: not clipped
    actor_period: Count = 1  # critic updates per actor update
    critic_warmup_updates: Annotated[int, Field(ge=0)] = 0  # number of first updates that leave actor and temperature unchanged

    @model_validator(mode="after")
    def _check_log_std(self):
        if self.log_std_min >= self.log_std_max:
            raise ValueError(f"log_std_min is {self.log_std_min}; expected less than log_std_max {self.log_std_max}")
        return self

    def misfits(self, spaces: Spaces) -> list[str]:
        return super().misfits(spaces) + [
            f"action {part.name!r} has {part.choices} choices; expected continuous values with agent.type {self.type!r}"
            for part in spaces.actions
            if part.choices
        ]


def smallest_image(parameters: NetworkParameters) -> int:
    """The smallest image side, in pixels, that leaves one pixel after the last of the VALID convolutions."""
    side = 1
    for _, kernel, stride in reversed(parameters.conv_layers):
        side = (side - 1) * stride + kernel
    return side


def check_spaces(parameters: AgentParameters, spaces: Spaces) -> None:
    """Raises ConfigError with a line for each part of `spaces` that an agent with these parameters cannot learn from."""
    if problems := parameters.misfits(spaces):
        raise ConfigError("\n".join(problems))
