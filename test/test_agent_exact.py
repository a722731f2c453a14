"""Networks, losses, gradients and rules against NumPy in float64, with copied weights: relative error <= 1e-5."""

from __future__ import annotations

import math

import agent_reference as reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from agent_cases import agent_of, host, random_batch, small

from jsac_ros.agent import build, gradient
from jsac_ros.agent.augment import random_shift, shift_images
from jsac_ros.agent.critic import bellman_error, critic_loss
from jsac_ros.agent.distributions import log_prob_tanh_gaussian, sample_tanh_gaussian
from jsac_ros.agent.jsac.actor import actor_loss
from jsac_ros.agent.jsac.critic import bellman_target, random_subset
from jsac_ros.agent.target import update_target
from jsac_ros.agent.temperature import target_entropy, temperature_loss
from jsac_ros.agent.update import sample_of
from jsac_ros.agent.weight_clip import clip_weights
from jsac_ros.parameters import load
from jsac_ros.spaces import ActionSpace, ImageSpace, Spaces, VectorSpace

LAYERS = {"conv_channels": (4, 6), "conv_kernels": (4, 3), "conv_strides": (2, 1), "hidden": (16, 12)}


def close(ours, expected, tolerance=1e-5):
    ours, expected = np.asarray(ours, np.float64), np.asarray(expected, np.float64)
    assert ours.shape == expected.shape
    assert np.linalg.norm(ours - expected) <= tolerance * np.linalg.norm(expected)


def double(tree):
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)


def case_of(mode, **changes):
    """Networks, parameters with biases that are not zero, and a batch as it is learned from, not shifted."""
    encoder = "joined" if "joined" in mode else "separate"
    agent = agent_of(mode, "jsac", small(encoder=encoder, shift_pad=0, **LAYERS, **changes))
    params, rng = agent.init(seed=5).params, np.random.default_rng(6)
    disturb = lambda leaf: leaf + jnp.asarray(0.1 * rng.normal(size=leaf.shape), jnp.float32)
    critic, actor = jax.tree.map(disturb, (params["critic"], params["actor"]))
    key = jax.random.PRNGKey(0)
    return agent.networks, critic, actor, host(sample_of(agent, random_batch(agent.spaces), key, key))


@pytest.fixture(scope="module")
def case():
    return case_of("two images, separate")


def gradients_agree(loss, params, grads):
    """Every leaf's gradient against central differences of the float64 loss, along a random direction each."""
    params, rng, step = double(params), np.random.default_rng(7), 1e-6
    leaves, structure = jax.tree.flatten(params)
    total = np.sqrt(sum((np.asarray(leaf, np.float64) ** 2).sum() for leaf in jax.tree.leaves(grads)))
    for k, (path, leaf) in enumerate(jax.tree_util.tree_leaves_with_path(grads)):
        direction = rng.normal(size=leaf.shape)

        def moved(by, k=k, direction=direction):
            return jax.tree.unflatten(structure, leaves[:k] + [leaves[k] + by * direction] + leaves[k + 1 :])

        expected = (loss(moved(step)) - loss(moved(-step))) / (2 * step)
        ours = (np.asarray(leaf, np.float64) * direction).sum()
        # A leaf whose directional derivative cancels is judged by the size of the terms that cancel.
        scale = max(abs(expected), np.linalg.norm(leaf), 1e-3 * total)
        assert abs(ours - expected) <= 1e-5 * scale, (jax.tree_util.keystr(path), ours, expected)


@pytest.mark.parametrize("mode", ["image", "two images, separate", "two images, joined"])
def test_networks(mode):
    networks, critic, actor, sample = case_of(mode)
    images, vector, _ = sample.observation
    z = networks.encode(critic, sample.observation)
    close(z, reference.encode(double(critic["encoder"]), images, LAYERS["conv_strides"]))
    q = networks.critic.apply({"params": critic["critic"]}, z, vector, sample.action)
    close(q, reference.value(double(critic["critic"]), double(z), vector, sample.action))
    mean, log_std = networks.actor.apply({"params": actor}, z, vector)
    _, _, expected_mean, expected_log_std = reference.act(double(actor), double(z), vector, np.zeros(mean.shape))
    close(mean, expected_mean)
    close(log_std, expected_log_std)


def test_pixels_and_vectors_can_be_limited():
    networks, critic, actor, sample = case_of("both", pixel_limit=0.5, vector_limit=0.3)
    images, vector, _ = sample.observation
    z = networks.encode(critic, sample.observation)
    close(z, reference.encode(double(critic["encoder"]), images, LAYERS["conv_strides"], limit=0.5))
    clipped = np.clip(vector, -0.3, 0.3)
    assert not np.array_equal(clipped, vector)
    q = networks.critic.apply({"params": critic["critic"]}, z, vector, sample.action)
    close(q, reference.value(double(critic["critic"]), double(z), clipped, sample.action))
    mean, _ = networks.actor.apply({"params": actor}, z, vector)
    close(mean, reference.act(double(actor), double(z), clipped, np.zeros(mean.shape))[2])


def test_vectors_alone_are_not_limited():
    agents = [agent_of("vectors", "jsac", small(vector_limit=limit)) for limit in (0.0, 0.3)]
    params, vector = agents[0].init(0).params["actor"], 5.0 * jnp.ones((1, 5))
    means = [agent.networks.actor.apply({"params": params}, None, vector)[0] for agent in agents]
    np.testing.assert_array_equal(*means)


def test_critic_loss_and_its_gradient(case):
    networks, critic, _, sample = case
    target = np.random.default_rng(8).normal(size=len(sample.reward)).astype(np.float32)
    found = gradient.differentiate(critic_loss, critic, networks, sample, target)

    def expected(params):
        return reference.critic_loss(params, sample, target, LAYERS["conv_strides"])

    close(found.loss, expected(double(critic)))
    gradients_agree(expected, critic, found.grads)


def test_actor_loss_and_its_gradient(case):
    networks, critic, actor, sample = case
    key, alpha, vector = jax.random.PRNGKey(9), 0.2, sample.observation.vector
    z = networks.encode(critic, sample.observation)
    found = gradient.differentiate(actor_loss, actor, networks, critic, alpha, z, vector, key)
    noise = np.asarray(jax.random.normal(key, sample.action.shape), np.float64)

    def expected(params):
        return reference.actor_loss(params, double(critic["critic"]), alpha, double(z), vector, noise)

    close(found.loss, expected(double(actor)))
    gradients_agree(expected, actor, found.grads)


def test_actor_loss_gives_the_encoder_and_the_critic_exactly_nothing(case):
    networks, critic, actor, sample = case

    def loss(encoder):
        z = networks.encode({"encoder": encoder}, sample.observation)
        return actor_loss(actor, networks, critic, 0.2, z, sample.observation.vector, jax.random.PRNGKey(9))[0]

    assert all(np.all(leaf == 0.0) for leaf in jax.tree.leaves(jax.grad(loss)(critic["encoder"])))


def test_temperature_loss_and_its_gradient():
    log_alpha, log_prob = np.float32(-1.3), np.random.default_rng(0).normal(size=9).astype(np.float32)
    loss, grad = jax.value_and_grad(temperature_loss)(log_alpha, log_prob, -3.0)
    expected = np.mean(-np.exp(np.float64(log_alpha)) * (log_prob - 3.0))
    close(loss, expected)
    close(grad, expected)  # d/dx of c exp(x) is itself


@pytest.mark.parametrize(
    ("option", "expected"),
    [("minus_actions", -4.0), ("minus_half_actions", -2.0), ("max_std", 4 * (1.4189385332046727 + np.log(0.5)))],
)
def test_target_entropy(option, expected):
    parameters = small(target_entropy=option, target_entropy_std=0.5)
    assert target_entropy(parameters, 4) == pytest.approx(expected, rel=1e-12)


def test_bellman_target_bootstraps_at_a_time_out_and_not_at_a_terminal_state():
    rng = np.random.default_rng(1)
    next_q, log_prob, reward = rng.normal(size=(3, 4)), rng.normal(size=4), rng.normal(size=4)
    mask = np.array([1.0, 0.0, 1.0, 0.0])  # terminal: the second and the last
    target = bellman_target(*(np.float32(x) for x in (next_q, log_prob, 0.3, reward, 0.9 * mask)))
    for i in range(4):
        bootstrap = min(next_q[:, i]) - 0.3 * log_prob[i]
        close(target[i], reward[i] + (0.9 * bootstrap if mask[i] else 0.0))


def test_bellman_error_is_the_weighted_mean_over_ensemble_and_batch():
    rng = np.random.default_rng(2)
    q, target, weight = rng.normal(size=(5, 7)), rng.normal(size=7), rng.uniform(size=7)
    expected = sum(weight[b] * (q[i, b] - target[b]) ** 2 for i in range(5) for b in range(7)) / 35
    close(bellman_error(*(np.float32(x) for x in (q, target, weight))), expected)


def test_random_subset_draws_every_row_equally_and_none_twice():
    q = jnp.arange(5.0)[:, None]
    draws = np.array([random_subset(jax.random.PRNGKey(k), q, 2)[:, 0] for k in range(300)])
    assert np.all(draws[:, 0] != draws[:, 1])
    assert np.bincount(draws.astype(int).ravel(), minlength=5).min() > 80  # 120 expected


@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0, 20.0, 100.0])
def test_log_probability_up_to_saturated_actions(scale):
    rng = np.random.default_rng(3)
    mean, log_std = rng.normal(size=(64, 3)), rng.uniform(-3, 1, (64, 3))
    u = mean + scale * rng.normal(size=(64, 3))
    ours = log_prob_tanh_gaussian(*(np.float32(x) for x in (u, mean, log_std)))
    expected = reference.log_prob(*(np.float64(np.float32(x)) for x in (u, mean, log_std)))
    assert np.isfinite(ours).all()
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


def test_gradient_of_the_log_probability_is_finite_where_the_action_is_saturated():
    def loss(mean):
        action, log_prob = sample_tanh_gaussian(jax.random.PRNGKey(0), mean, jnp.full(3, 2.0))
        return log_prob + action.sum()

    assert np.isfinite(jax.grad(loss)(jnp.array([-50.0, 50.0, 1e4]))).all()


def test_shift_equals_padding_and_cropping_in_a_loop():
    image = np.random.default_rng(4).integers(0, 256, (64, 9, 11, 6), dtype=np.uint8)
    key = jax.random.PRNGKey(2)
    offset = np.asarray(jax.random.randint(key, (64, 2), -4, 5))
    assert offset.min() == -4 and offset.max() == 4  # both ends are drawn
    shifted = random_shift(key, jnp.asarray(image), 4)
    assert shifted.dtype == jnp.uint8
    np.testing.assert_array_equal(shifted, reference.shift(image, offset, 4))


def test_images_are_shifted_apart_or_together_as_the_encoder_takes_them():
    rng, key = np.random.default_rng(5), jax.random.PRNGKey(3)
    images = {"scene": rng.integers(0, 256, (64, 9, 11, 2), np.uint8), "wrist": rng.integers(0, 256, (64, 9, 11, 6), np.uint8)}
    separate = [jax.random.randint(k, (64, 2), -4, 5) for k in jax.random.split(key, 2)]
    together = [jax.random.randint(key, (64, 2), -4, 5)] * 2
    assert not np.array_equal(*separate)
    for joined, offsets in ((False, separate), (True, together)):
        shifted = shift_images(key, images, 4, joined)
        for name, offset in zip(images, offsets, strict=True):
            np.testing.assert_array_equal(shifted[name], reference.shift(images[name], np.asarray(offset), 4))


def test_weight_clip_bounds_kernels_and_nothing_else(case):
    _, critic, _, _ = case
    params = jax.tree.map(lambda leaf: 100.0 * leaf, critic)
    bound = 2.0 * 2.0**0.5
    for path, leaf in jax.tree_util.tree_leaves_with_path(clip_weights(params, 2.0)):
        before = params
        for part in path:
            before = before[part.key]
        expected = np.clip(before, -bound, bound) if path[-1].key == "kernel" else before
        np.testing.assert_allclose(leaf, expected, rtol=1e-6)


def test_target_moves_by_tau():
    new, old = {"a": np.float32([1.0, -3.0])}, {"a": np.float32([2.0, 5.0])}
    close(update_target(new, old, 0.005)["a"], np.array([0.005 * 1 + 0.995 * 2, 0.005 * -3 + 0.995 * 5]))


@pytest.mark.parametrize("size", [0.01, 100.0])
def test_gradient_steps_are_clipped_adam(size):
    rng = np.random.default_rng(5)
    expected = {"kernel": rng.normal(size=(3, 2)), "bias": rng.normal(size=2)}
    optimiser = gradient.make_optimiser(1e-2, 1.0)
    params = jax.tree.map(jnp.float32, expected)
    opt_state = optimiser.init(params)
    mean, square = (jax.tree.map(np.zeros_like, expected) for _ in range(2))
    for t in range(1, 6):
        grads = jax.tree.map(lambda leaf: size * rng.normal(size=leaf.shape), expected)
        ours = jax.tree.map(jnp.float32, grads)
        params, opt_state = gradient.step(optimiser, ours, params, opt_state, jnp.bool_(True))
        norm = np.sqrt(sum((leaf**2).sum() for leaf in grads.values()))
        for name, leaf in grads.items():
            leaf = leaf * min(1.0, 1.0 / norm)
            mean[name] = 0.9 * mean[name] + 0.1 * leaf
            square[name] = 0.999 * square[name] + 0.001 * leaf**2
            change = mean[name] / (1 - 0.9**t) / (np.sqrt(square[name] / (1 - 0.999**t)) + 1e-8)
            expected[name] = expected[name] - 1e-2 * change
    for name, leaf in expected.items():
        close(params[name], leaf)


def test_kernels_start_orthogonal_with_scale_root_two_and_heads_with_their_own():
    agent = agent_of("both", "jsac", small(head_scale=1.0, **LAYERS))
    params = agent.init(seed=0).params
    critic, actor = params["critic"], params["actor"]
    kernels = [
        (critic["encoder"]["wrist"]["conv_1"]["kernel"].reshape(-1, 6), 2.0),
        (critic["critic"]["latent"]["projection"]["kernel"], 2.0),
        (critic["critic"]["ensemble"]["mlp"]["dense_1"]["kernel"][2], 2.0),
        (critic["critic"]["ensemble"]["value"]["kernel"][0], 1.0),
        (actor["mean"]["kernel"], 1.0),
        (actor["log_std"]["kernel"], 1.0),
    ]
    for kernel, square in kernels:
        narrow = kernel if kernel.shape[0] >= kernel.shape[1] else kernel.T
        np.testing.assert_allclose(narrow.T @ narrow, square * np.eye(narrow.shape[1]), atol=1e-5)
    first, second = critic["critic"]["ensemble"]["mlp"]["dense_1"]["kernel"][:2]
    assert not np.allclose(first, second)


def test_the_published_configuration_has_as_many_parameters_as_its_authors_print():
    """Their hyperparameters.md, Create2-Orin reacher: two frames of colour and mask, 14 numbers, 7 actions."""
    spaces = Spaces.of([ImageSpace("front", 60, 80, channels=1, stack=8)], [VectorSpace("base", 14)], [ActionSpace("base", 7)])
    agent = build(load("jsac_published").agent, spaces)
    params = agent.template.params
    count = lambda tree: sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))
    assert count(params["critic"]["encoder"]) == 87_744
    assert count(params["critic"]["critic"]) == 6_140_101 and count(params["actor"]) == 1_575_118
