"""The same update in PyTorch: the baseline of `jsac-ros bench`, and an independent check of the JAX update in tests.

Idiomatic PyTorch: modules, optimisers, `backward`. It computes `jsac_ros.agent.jsac` with default options (only those of the
networks vary), from copied parameters; the noise can be passed in, so that both use the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from jsac_ros.agent.jsac.parameters import JsacParameters
from jsac_ros.spaces import Spaces

EPSILON = 1e-6  # of LayerNorm, as in Flax


class TorchBatch(NamedTuple):
    """A batch with stacked images, channels first, as in a typical PyTorch replay buffer."""

    images: list[torch.Tensor]  # uint8 [B, S*C, H, W] each, in the order of `Spaces`
    next_images: list[torch.Tensor]
    vector: torch.Tensor  # [B, V]
    next_vector: torch.Tensor
    action: torch.Tensor  # [B, A]
    reward: torch.Tensor  # [B]
    discount: torch.Tensor  # [B]
    weight: torch.Tensor  # [B]


class Noise(NamedTuple):
    """The random numbers of an update: shift offsets in [-pad, pad], int64 [B, 2] per image; action normals, [B, A]."""

    shifts: list[torch.Tensor]
    next_shifts: list[torch.Tensor]
    next_action: torch.Tensor
    action: torch.Tensor


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of [B, C, H, W]."""

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNet(nn.Module):
    def __init__(self, parameters: JsacParameters, channels: int):
        super().__init__()
        self.convs, self.norms, self.limit = nn.ModuleList(), nn.ModuleList(), parameters.pixel_limit
        normed, layers = parameters.layer_norm and parameters.conv_layer_norm, parameters.conv_layers
        for i, (out, kernel, stride) in enumerate(layers):
            self.convs.append(nn.Conv2d(channels, out, kernel, stride))
            if i < len(layers) - 1:
                self.norms.append(ChannelNorm(out, eps=EPSILON) if normed else nn.Identity())
            channels = out

    def forward(self, image):
        x = image.to(self.convs[0].weight.dtype) * (2.0 * self.limit / 255.0) - self.limit
        for conv, norm in zip(self.convs[:-1], self.norms, strict=True):
            x = F.leaky_relu(norm(conv(x)))
        # Flattened in the order rows, columns, channels, like the Flax parameters
        return self.convs[-1](x).permute(0, 2, 3, 1).flatten(1)


class Encoder(nn.Module):
    """One network per image, or one network for all images concatenated along the channels."""

    def __init__(self, parameters: JsacParameters, spaces: Spaces):
        super().__init__()
        self.joined = parameters.encoder == "joined"
        channels = [image.shape[-1] for image in spaces.images]
        self.nets = nn.ModuleList(ConvNet(parameters, n) for n in ([sum(channels)] if self.joined else channels))

    def forward(self, images):
        images = [torch.cat(images, 1)] if self.joined else images
        return torch.cat([net(image) for net, image in zip(self.nets, images, strict=True)], -1)


class Latent(nn.Module):
    def __init__(self, size: int, parameters: JsacParameters):
        super().__init__()
        self.projection = nn.Linear(size, parameters.latent_dim)
        self.norm = nn.LayerNorm(parameters.latent_dim, eps=EPSILON)
        self.limit = parameters.vector_limit

    def forward(self, z, vector):
        vector = vector.clamp(-self.limit, self.limit) if self.limit else vector
        return torch.cat([torch.tanh(self.norm(self.projection(z))), vector], -1)


class MLP(nn.Sequential):
    def __init__(self, parameters: JsacParameters, size: int):
        layers = []
        for width in parameters.hidden:
            layers.append(nn.Linear(size, width))
            if parameters.layer_norm:
                layers.append(nn.LayerNorm(width, eps=EPSILON))
            layers.append(nn.ReLU())
            size = width
        super().__init__(*layers)


class Actor(nn.Module):
    def __init__(self, parameters: JsacParameters, z: int, spaces: Spaces):
        super().__init__()
        self.latent = Latent(z, parameters)
        self.mlp = MLP(parameters, parameters.latent_dim + spaces.vector_size)
        self.mean = nn.Linear(parameters.hidden[-1], spaces.action_size)
        self.log_std = nn.Linear(parameters.hidden[-1], spaces.action_size)
        self.bounds = (parameters.log_std_min, parameters.log_std_max)

    def forward(self, z, vector, noise):
        x = self.mlp(self.latent(z, vector))
        mean, log_std = self.mean(x), self.log_std(x).clamp(*self.bounds)
        u = mean + log_std.exp() * noise
        gaussian = torch.distributions.Normal(mean, log_std.exp()).log_prob(u)
        jacobian = 2.0 * (np.log(2.0) - u - F.softplus(-2.0 * u))
        return torch.tanh(u), (gaussian - jacobian).sum(-1)


class Critic(nn.Module):
    """The Q ensemble with its encoder, which the critic loss trains."""

    def __init__(self, parameters: JsacParameters, spaces: Spaces):
        super().__init__()
        p, self.encoder = parameters, Encoder(parameters, spaces)
        images = [torch.zeros(1, image.shape[-1], image.height, image.width) for image in spaces.images]
        self.z = self.encoder(images).shape[-1]
        self.latent = Latent(self.z, parameters)
        size = p.latent_dim + spaces.vector_size + spaces.action_size
        self.mlps = nn.ModuleList(MLP(p, size) for _ in range(p.q_count))
        self.values = nn.ModuleList(nn.Linear(p.hidden[-1], 1) for _ in range(p.q_count))

    def forward(self, z, vector, action):
        x = torch.cat([self.latent(z, vector), action], -1)
        return torch.stack([value(mlp(x))[:, 0] for mlp, value in zip(self.mlps, self.values, strict=True)])


class TorchAgent:
    """Networks, optimisers and `update`; float32, or float64 for reference values."""

    def __init__(self, parameters: JsacParameters, spaces: Spaces, dtype=torch.float32, channels_last: bool = False):
        p, self.parameters, self.spaces, self.dtype = parameters, parameters, spaces, dtype
        self.critic, self.target = Critic(p, spaces), Critic(p, spaces).requires_grad_(False)
        self.actor = Actor(p, self.critic.z, spaces)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        for network in (self.critic, self.target, self.actor):
            network.to(dtype)
            if channels_last:
                network.to(memory_format=torch.channels_last)
        self.target.load_state_dict(self.critic.state_dict())
        self.log_alpha = torch.tensor(np.log(p.initial_temperature), dtype=dtype, requires_grad=True)
        self.critic_optimiser = torch.optim.Adam(self.critic.parameters(), p.learning_rate)
        self.actor_optimiser = torch.optim.Adam(self.actor.parameters(), p.learning_rate)
        self.alpha_optimiser = torch.optim.Adam([self.log_alpha], p.temperature_learning_rate)

    def draw_noise(self, size: int) -> Noise:
        pad, images, shape = self.parameters.shift_pad, len(self.spaces.images), (size, self.spaces.action_size)

        def offsets():
            return [torch.randint(-pad, pad + 1, (size, 2)) for _ in range(images)]

        normals = (torch.randn(shape, dtype=self.dtype) for _ in range(2))
        if self.parameters.encoder == "joined":
            return Noise(offsets()[:1] * images, offsets()[:1] * images, *normals)
        return Noise(offsets(), offsets(), *normals)

    def shift(self, image, offset):
        """DrQ shift, different for every sample; clipped indices replicate the edge."""
        dy, dx = offset[:, :1], offset[:, 1:]
        rows = (torch.arange(image.shape[2]) + dy).clamp(0, image.shape[2] - 1)[:, :, None]
        columns = (torch.arange(image.shape[3]) + dx).clamp(0, image.shape[3] - 1)[:, None, :]
        samples = torch.arange(len(image))[:, None, None]
        moved = image.permute(0, 2, 3, 1)[samples, rows, columns]  # whole pixels, one gather
        return moved.permute(0, 3, 1, 2).contiguous(memory_format=self.layout)

    def clip_weights(self, *networks):
        bound = self.parameters.weight_clip_kappa * 2.0**0.5
        with torch.no_grad():
            for network in networks:
                for layer in network.modules():
                    if isinstance(layer, nn.Linear | nn.Conv2d):
                        layer.weight.clamp_(-bound, bound)

    def step(self, loss, optimiser, network):
        optimiser.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(network.parameters(), self.parameters.max_gradient_norm)
        optimiser.step()
        if self.parameters.weight_clip:
            self.clip_weights(network)
        return norm

    def update(self, batch: TorchBatch, noise: Noise | None = None) -> dict[str, torch.Tensor]:
        noise = noise or self.draw_noise(len(batch.reward))
        images, next_images = (
            [self.shift(image, offset) for image, offset in zip(stacked, offsets, strict=True)]
            for stacked, offsets in ((batch.images, noise.shifts), (batch.next_images, noise.next_shifts))
        )
        alpha = self.log_alpha.detach().exp()
        with torch.no_grad():
            next_z = self.critic.encoder(next_images)
            next_action, next_log_prob = self.actor(next_z, batch.next_vector, noise.next_action)
            next_q = self.target(self.target.encoder(next_images), batch.next_vector, next_action)
            target = batch.reward + batch.discount * (next_q.min(0).values - alpha * next_log_prob)
        q = self.critic(self.critic.encoder(images), batch.vector, batch.action)
        critic_loss = (batch.weight * (q - target) ** 2).mean()
        critic_norm = self.step(critic_loss, self.critic_optimiser, self.critic)

        with torch.no_grad():
            z = self.critic.encoder(images)
        self.critic.requires_grad_(False)
        action, log_prob = self.actor(z, batch.vector, noise.action)
        actor_loss = (alpha * log_prob - self.critic(z, batch.vector, action).min(0).values).mean()
        actor_norm = self.step(actor_loss, self.actor_optimiser, self.actor)
        self.critic.requires_grad_(True)

        alpha_loss = -(self.log_alpha.exp() * (log_prob.detach() - self.spaces.action_size)).mean()
        self.alpha_optimiser.zero_grad()
        alpha_loss.backward()
        self.alpha_optimiser.step()

        with torch.no_grad():
            for new, old in zip(self.critic.parameters(), self.target.parameters(), strict=True):
                old.lerp_(new, self.parameters.tau)
        return {
            "critic_loss": critic_loss.detach(),
            "actor_loss": actor_loss.detach(),
            "temperature_loss": alpha_loss.detach(),
            "critic_gradient_norm": critic_norm,
            "actor_gradient_norm": actor_norm,
            "td_error": (q - target).abs().mean(0).detach(),
        }


def copy_parameters(critic, actor, agent: TorchAgent) -> None:
    """Copies the Flax trees of critic ({"encoder", "critic"}) and actor into `agent` and its target network."""
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
    """Copies a layer: kernels [in, out] and [h, w, in, out] become weights [out, in] and [out, in, h, w]."""
    if "kernel" in params:
        kernel = np.asarray(params["kernel"])
        weight = kernel.T if kernel.ndim == 2 else kernel.transpose(3, 2, 0, 1)
    else:
        weight = np.asarray(params["scale"])
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        layer.bias.copy_(torch.tensor(np.asarray(params["bias"])))


def _copy_encoder(params, encoder: Encoder) -> None:
    for name, net in zip(sorted(params), encoder.nets, strict=True):
        for i, conv in enumerate(net.convs):
            _copy_layer(params[name][f"conv_{i}"], conv)
            if f"norm_{i}" in params[name]:
                _copy_layer(params[name][f"norm_{i}"], net.norms[i])


def _copy_latent(params, latent: Latent) -> None:
    _copy_layer(params["projection"], latent.projection)
    _copy_layer(params["norm"], latent.norm)


def _copy_mlp(params, mlp: MLP) -> None:
    dense = (layer for layer in mlp if isinstance(layer, nn.Linear))
    norms = (layer for layer in mlp if isinstance(layer, nn.LayerNorm))
    for i, layer in enumerate(dense):
        _copy_layer(params[f"dense_{i}"], layer)
    for i, layer in enumerate(norms):
        _copy_layer(params[f"norm_{i}"], layer)
