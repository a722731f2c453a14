"""The networks and losses of the write-up once more, in NumPy float64, one sample or one layer at a time."""

from __future__ import annotations

import numpy as np


def layer_norm(x, params):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6) * params["scale"] + params["bias"]


def dense(x, params):
    return x @ params["kernel"] + params["bias"]


def convolution(x, params, stride):
    """x [B, H, W, I] with kernel [k, k, I, O], VALID; one output pixel after the other."""
    kernel = params["kernel"]
    size = kernel.shape[0]
    rows, columns = ((n - size) // stride + 1 for n in x.shape[1:3])
    out = np.empty((x.shape[0], rows, columns, kernel.shape[-1]))
    for i in range(rows):
        for j in range(columns):
            patch = x[:, i * stride : i * stride + size, j * stride : j * stride + size]
            out[:, i, j] = np.einsum("bhwi,hwio->bo", patch, kernel) + params["bias"]
    return out


def encode(params, images, strides, limit=1.0):
    """images: {name: uint8 [B, H, W, C]}, in order; one network for each, or "joined" for all on the channel axis."""
    if "joined" in params:
        images = {"joined": np.concatenate(list(images.values()), axis=-1)}
    return np.concatenate([convolutions(params[name], image, strides, limit) for name, image in images.items()], axis=-1)


def convolutions(params, image, strides, limit):
    x = limit * (image / 127.5 - 1.0)
    for i, stride in enumerate(strides):
        x = convolution(x, params[f"conv_{i}"], stride)
        if i < len(strides) - 1:
            x = layer_norm(x, params[f"norm_{i}"])
            x = np.where(x > 0, x, 0.01 * x)
    return x.reshape(len(x), -1)


def latent(params, z, *others):
    return np.concatenate([np.tanh(layer_norm(dense(z, params["projection"]), params["norm"])), *others], -1)


def mlp(params, x):
    for i in range(len(params) // 2):
        x = np.maximum(layer_norm(dense(x, params[f"dense_{i}"]), params[f"norm_{i}"]), 0)
    return x


def act(params, z, vector, noise):
    """Action, its log-probability, and the Gaussian."""
    x = mlp(params["mlp"], latent(params["latent"], z, vector))
    mean, log_std = dense(x, params["mean"]), np.clip(dense(x, params["log_std"]), -10, 2)
    u = mean + np.exp(log_std) * noise
    return np.tanh(u), log_prob(u, mean, log_std), mean, log_std


def log_prob(u, mean, log_std):
    """log N(u) + sum log cosh(u)^2, as 1 - tanh^2 = cosh^-2."""
    std = np.exp(log_std)
    gaussian = -((u - mean) ** 2) / (2 * std**2) - np.log(std * np.sqrt(2 * np.pi))
    log_cosh = np.logaddexp(u, -u) - np.log(2)
    return (gaussian + 2 * log_cosh).sum(-1)


def value(params, z, vector, action):
    x = latent(params["latent"], z, vector, action)
    members = params["ensemble"]
    count = len(members["value"]["bias"])
    return np.stack([value_of_one(map_tree(lambda leaf, i=i: leaf[i], members), x) for i in range(count)])


def value_of_one(params, x):
    return dense(mlp(params["mlp"], x), params["value"])[:, 0]


def map_tree(function, tree):
    return {k: map_tree(function, v) for k, v in tree.items()} if isinstance(tree, dict) else function(tree)


def critic_loss(params, sample, target, strides):
    """sample: `Sample` in NumPy."""
    z = encode(params["encoder"], sample.observation.images, strides)
    q = value(params["critic"], z, sample.observation.vector, sample.action)
    return sum((sample.weight * (one - target) ** 2).mean() for one in q) / len(q)


def actor_loss(params, critic, alpha, z, vector, noise):
    action, log_probability, _, _ = act(params, z, vector, noise)
    q = value(critic, z, vector, action)
    return (alpha * log_probability - q.min(0)).mean()


def shift(image, offset, pad):
    """DrQ as it is described: pad by edge replication, crop the original size."""
    height, width = image.shape[1:3]
    out = np.empty_like(image)
    for i, (dy, dx) in enumerate(offset):
        padded = np.pad(image[i], ((pad, pad), (pad, pad), (0, 0)), mode="edge")
        out[i] = padded[pad + dy : pad + dy + height, pad + dx : pad + dx + width]
    return out
