"""The same update in PyTorch: what `jsac-ros bench` measures ours against, and an independent check of it in tests.

Written as a PyTorch user would: modules, optimisers, `backward`. It computes the published defaults of
`jsac_ros.agent` (no options), from copied parameters; the noise can be given, so that both see the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from jsac_ros.config import AgentConfig
from jsac_ros.types import Spec

EPSILON = 1e-6  # of LayerNorm, as in Flax


class TorchBatch(NamedTuple):
    """Stacked images, channels first, as a PyTorch replay buffer would hold them."""

    image: torch.Tensor  # uint8 [B, S*C, H, W]
    next_image: torch.Tensor
    proprioception: torch.Tensor  # [B, P]
    next_proprioception: torch.Tensor
    action: torch.Tensor  # [B, A]
    reward: torch.Tensor  # [B]
    discount: torch.Tensor  # [B]
    weight: torch.Tensor  # [B]


class Noise(NamedTuple):
    """What an update draws: offsets of the two shifts in [-pad, pad], int64 [B, 2]; normals of the actions, [B, A]."""

    shift: torch.Tensor
    next_shift: torch.Tensor
    next_action: torch.Tensor
    action: torch.Tensor


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of [B, C, H, W]."""

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Encoder(nn.Module):
    def __init__(self, config: AgentConfig, channels: int):
        super().__init__()
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        normed = config.layer_norm and config.conv_layer_norm
        for i, (out, stride) in enumerate(zip(config.conv_channels, config.conv_strides, strict=True)):
            self.convs.append(nn.Conv2d(channels, out, config.conv_kernel, stride))
            if i < len(config.conv_channels) - 1:
                self.norms.append(ChannelNorm(out, eps=EPSILON) if normed else nn.Identity())
            channels = out

    def forward(self, image):
        x = image.to(self.convs[0].weight.dtype) * (2.0 / 255.0) - 1.0
        for conv, norm in zip(self.convs[:-1], self.norms, strict=True):
            x = F.leaky_relu(norm(conv(x)))
        # Rows, columns, channels: the order of the Flax parameters
        return self.convs[-1](x).permute(0, 2, 3, 1).flatten(1)


class Latent(nn.Module):
    def __init__(self, size: int, width: int, layer_norm: bool):
        super().__init__()
        self.projection = nn.Linear(size, width)
        self.norm = nn.LayerNorm(width, eps=EPSILON) if layer_norm else nn.Identity()

    def forward(self, z):
        return torch.tanh(self.norm(self.projection(z)))


class MLP(nn.Sequential):
    def __init__(self, config: AgentConfig, size: int):
        layers = []
        for width in config.hidden:
            layers.append(nn.Linear(size, width))
            if config.layer_norm:
                layers.append(nn.LayerNorm(width, eps=EPSILON))
            layers.append(nn.ReLU())
            size = width
        super().__init__(*layers)


class Actor(nn.Module):
    def __init__(self, config: AgentConfig, z: int, spec: Spec):
        super().__init__()
        self.latent = Latent(z, config.latent_dim, True)
        self.mlp = MLP(config, config.latent_dim + spec.proprioception)
        self.mean = nn.Linear(config.hidden[-1], spec.action)
        self.log_std = nn.Linear(config.hidden[-1], spec.action)
        self.bounds = (config.log_std_min, config.log_std_max)

    def forward(self, z, proprioception, noise):
        x = self.mlp(torch.cat([self.latent(z), proprioception], -1))
        mean, log_std = self.mean(x), self.log_std(x).clamp(*self.bounds)
        u = mean + log_std.exp() * noise
        gaussian = torch.distributions.Normal(mean, log_std.exp()).log_prob(u)
        jacobian = 2.0 * (np.log(2.0) - u - F.softplus(-2.0 * u))
        return torch.tanh(u), (gaussian - jacobian).sum(-1)


class Critic(nn.Module):
    """With its encoder, which its loss trains."""

    def __init__(self, config: AgentConfig, spec: Spec):
        super().__init__()
        self.encoder = Encoder(config, spec.image_shape[-1])
        z = self.encoder(torch.zeros(1, spec.image_shape[-1], spec.height, spec.width)).shape[-1]
        self.latent = Latent(z, config.latent_dim, config.layer_norm)
        size = config.latent_dim + spec.proprioception + spec.action
        self.mlps = nn.ModuleList(MLP(config, size) for _ in range(config.q_count))
        self.values = nn.ModuleList(nn.Linear(config.hidden[-1], 1) for _ in range(config.q_count))
        self.z = z

    def forward(self, z, proprioception, action):
        x = torch.cat([self.latent(z), proprioception, action], -1)
        return torch.stack([value(mlp(x))[:, 0] for mlp, value in zip(self.mlps, self.values, strict=True)])


class TorchAgent:
    """Networks, optimisers and `update`; float32, or float64 where it serves as a reference."""

    def __init__(self, config: AgentConfig, spec: Spec, dtype=torch.float32, channels_last: bool = False):
        self.config, self.spec, self.dtype = config, spec, dtype
        self.critic, self.target = Critic(config, spec), Critic(config, spec).requires_grad_(False)
        self.actor = Actor(config, self.critic.z, spec)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        for network in (self.critic, self.target, self.actor):
            network.to(dtype)
            if channels_last:
                network.to(memory_format=torch.channels_last)
        self.target.load_state_dict(self.critic.state_dict())
        self.log_alpha = torch.tensor(np.log(config.initial_temperature), dtype=dtype, requires_grad=True)
        self.critic_optimiser = torch.optim.Adam(self.critic.parameters(), config.learning_rate)
        self.actor_optimiser = torch.optim.Adam(self.actor.parameters(), config.learning_rate)
        self.alpha_optimiser = torch.optim.Adam([self.log_alpha], config.temperature_learning_rate)

    def draw_noise(self, size: int) -> Noise:
        pad, shape = self.config.shift_pad, (size, self.spec.action)
        shifts = [torch.randint(-pad, pad + 1, (size, 2)) for _ in range(2)]
        return Noise(*shifts, *(torch.randn(shape, dtype=self.dtype) for _ in range(2)))

    def shift(self, image, offset):
        """DrQ: every sample's own shift, its edge replicated by reading the clipped index."""
        dy, dx = offset[:, :1], offset[:, 1:]
        rows = (torch.arange(image.shape[2]) + dy).clamp(0, image.shape[2] - 1)[:, :, None]
        columns = (torch.arange(image.shape[3]) + dx).clamp(0, image.shape[3] - 1)[:, None, :]
        samples = torch.arange(len(image))[:, None, None]
        moved = image.permute(0, 2, 3, 1)[samples, rows, columns]  # whole pixels, one gather
        return moved.permute(0, 3, 1, 2).contiguous(memory_format=self.layout)

    def clip_weights(self, *networks):
        bound = self.config.weight_clip_kappa * 2.0**0.5
        with torch.no_grad():
            for network in networks:
                for layer in network.modules():
                    if isinstance(layer, nn.Linear | nn.Conv2d):
                        layer.weight.clamp_(-bound, bound)

    def step(self, loss, optimiser, network):
        optimiser.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(network.parameters(), self.config.max_gradient_norm)
        optimiser.step()
        if self.config.weight_clip:
            self.clip_weights(network)
        return norm

    def update(self, batch: TorchBatch, noise: Noise | None = None) -> dict[str, torch.Tensor]:
        config = self.config
        noise = noise or self.draw_noise(len(batch.reward))
        image, next_image = self.shift(batch.image, noise.shift), self.shift(batch.next_image, noise.next_shift)
        alpha = self.log_alpha.detach().exp()
        with torch.no_grad():
            next_z = self.critic.encoder(next_image)
            next_action, next_log_prob = self.actor(next_z, batch.next_proprioception, noise.next_action)
            next_q = self.target(self.target.encoder(next_image), batch.next_proprioception, next_action)
            target = batch.reward + batch.discount * (next_q.min(0).values - alpha * next_log_prob)
        q = self.critic(self.critic.encoder(image), batch.proprioception, batch.action)
        critic_loss = (batch.weight * (q - target) ** 2).mean()
        critic_norm = self.step(critic_loss, self.critic_optimiser, self.critic)

        with torch.no_grad():
            z = self.critic.encoder(image)
        self.critic.requires_grad_(False)
        action, log_prob = self.actor(z, batch.proprioception, noise.action)
        actor_loss = (alpha * log_prob - self.critic(z, batch.proprioception, action).min(0).values).mean()
        actor_norm = self.step(actor_loss, self.actor_optimiser, self.actor)
        self.critic.requires_grad_(True)

        alpha_loss = -(self.log_alpha.exp() * (log_prob.detach() - self.spec.action)).mean()
        self.alpha_optimiser.zero_grad()
        alpha_loss.backward()
        self.alpha_optimiser.step()

        with torch.no_grad():
            for new, old in zip(self.critic.parameters(), self.target.parameters(), strict=True):
                old.lerp_(new, config.tau)
        return {
            "critic_loss": critic_loss.detach(),
            "actor_loss": actor_loss.detach(),
            "temperature_loss": alpha_loss.detach(),
            "critic_gradient_norm": critic_norm,
            "actor_gradient_norm": actor_norm,
            "td_error": (q - target).abs().mean(0).detach(),
        }


def copy_parameters(critic, actor, agent: TorchAgent) -> None:
    """Copies the Flax trees {"encoder", "critic"} and of the actor into `agent`, its target included."""
    _copy_encoder(critic["encoder"], agent.critic.encoder)
    _copy_latent(critic["critic"]["latent"], agent.critic.latent)
    for i, (mlp, value) in enumerate(zip(agent.critic.mlps, agent.critic.values, strict=True)):
        member = _map(lambda leaf, i=i: leaf[i], critic["critic"]["ensemble"])
        _copy_mlp(member["mlp"], mlp)
        _copy_layer(member["value"], value)
    _copy_latent(actor["latent"], agent.actor.latent)
    _copy_mlp(actor["mlp"], agent.actor.mlp)
    _copy_layer(actor["mean"], agent.actor.mean)
    _copy_layer(actor["log_std"], agent.actor.log_std)
    agent.target.load_state_dict(agent.critic.state_dict())


def _map(function, tree):
    return {k: _map(function, v) for k, v in tree.items()} if isinstance(tree, dict) else function(tree)


def _copy_layer(params, layer) -> None:
    """Kernels [in, out] and [h, w, in, out] become weights [out, in] and [out, in, h, w]."""
    if "kernel" in params:
        kernel = np.asarray(params["kernel"])
        weight = kernel.T if kernel.ndim == 2 else kernel.transpose(3, 2, 0, 1)
    else:
        weight = np.asarray(params["scale"])
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        layer.bias.copy_(torch.tensor(np.asarray(params["bias"])))


def _copy_encoder(params, encoder: Encoder) -> None:
    for i, conv in enumerate(encoder.convs):
        _copy_layer(params[f"conv_{i}"], conv)
        if f"norm_{i}" in params:
            _copy_layer(params[f"norm_{i}"], encoder.norms[i])


def _copy_latent(params, latent: Latent) -> None:
    _copy_layer(params["projection"], latent.projection)
    if "norm" in params:
        _copy_layer(params["norm"], latent.norm)


def _copy_mlp(params, mlp: MLP) -> None:
    dense = (layer for layer in mlp if isinstance(layer, nn.Linear))
    norms = (layer for layer in mlp if isinstance(layer, nn.LayerNorm))
    for i, layer in enumerate(dense):
        _copy_layer(params[f"dense_{i}"], layer)
    for i, layer in enumerate(norms):
        _copy_layer(params[f"norm_{i}"], layer)
