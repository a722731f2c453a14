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

    # one encoder per image, or one for all images joined along the channels, which must then have one size
    encoder: Literal["separate", "joined"] = "separate"
    shift_pad: Annotated[int, Field(ge=0, le=64)] = 4  # DrQ: largest random shift of the images, pixels; 0: no augmentation
    tau: Annotated[float, Field(gt=0.0, le=1.0)] = 0.005  # step of the target towards the parameters (Polyak averaging)
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

    conv_channels: Layers = (32, 32, 64, 64)  # output channels of each convolution
    conv_kernels: Layers = (5, 5, 3, 3)  # kernel sizes, pixels; one for all layers or one per layer
    conv_strides: Layers = (2, 2, 1, 1)  # stride of each convolution
    conv_activation: Activation = "leaky_relu"  # activation after each convolution but the last
    pixel_limit: Annotated[float, Field(gt=0.0, le=255.0)] = 1.0  # pixels 0..255 are scaled to -limit..limit
    vector_limit: NonNegative = 0.0  # if there is an image, vectors are clipped to +-limit; 0: not clipped
    # learned weighted sums per channel of a pretrained encoder's features
    spatial_features: Annotated[int, Field(ge=1, le=256)] = 8
    latent_dim: Annotated[int, Field(ge=1, le=16_384)] = 64  # size of the latent of the images
    hidden: Layers = (1024, 1024)  # sizes of the hidden layers
    hidden_activation: Activation = "relu"  # activation of the hidden layers
    layer_norm: bool = True  # LayerNorm in MLPs and encoder; the latent always has it
    conv_layer_norm: bool = True  # with layer_norm: also between the convolutions
    head_scale: Positive = math.sqrt(2.0)  # scale of the initial orthogonal kernels of the last layers
    bfloat16: bool = False  # compute products in bfloat16; parameters, losses and optimiser states stay float32

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

    learning_rate: Positive = 3e-4  # Adam's learning rate
    max_gradient_norm: Positive = 1.0  # largest global norm of a network's gradient
    weight_clip: bool = True  # clip the weights after every update (eq. 4)
    weight_clip_kappa: Positive = 2.0  # bound of the weights, in multiples of their initial scale


class ActorCriticParameters(NetworkParameters, OptimiserParameters):
    """A tanh-Gaussian actor, an ensemble of Qs and a learned temperature."""

    q_count: Annotated[int, Field(ge=1, le=100)] = 5  # number of Qs in the ensemble
    log_std_min: LogStd = -10.0  # lower bound of the actor's log standard deviation
    log_std_max: LogStd = 2.0  # upper bound of the actor's log standard deviation
    temperature_learning_rate: Positive = 3e-4  # learning rate of the temperature
    initial_temperature: Positive = 0.1  # weight of the entropy at the start
    # minus the number of action values, half of it, or the entropy of target_entropy_std
    target_entropy: Literal["minus_actions", "minus_half_actions", "max_std"] = "minus_actions"
    target_entropy_std: Positive = 0.3  # standard deviation for target_entropy max_std
    actor_max_gradient_norm: NonNegative = 0.0  # largest gradient norm of the actor; 0: max_gradient_norm
    temperature_max_gradient_norm: NonNegative = 0.0  # largest gradient norm of the temperature; 0: not clipped
    actor_period: Count = 1  # critic updates per update of the actor
    critic_warmup_updates: Annotated[int, Field(ge=0)] = 0  # first updates that leave actor and temperature unchanged

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
