"""Networks, losses, gradients and rules against NumPy in float64, with copied weights: relative error <= 1e-5."""

from __future__ import annotations

import agent_reference as reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from agent_cases import SPECS, random_batch, small_config

from jsac_ros.agent import gradient
from jsac_ros.agent.actor import actor_loss
from jsac_ros.agent.augment import random_shift
from jsac_ros.agent.critic import bellman_error, bellman_target, critic_loss, random_subset
from jsac_ros.agent.distributions import log_prob_tanh_gaussian, sample_tanh_gaussian
from jsac_ros.agent.networks import make_networks
from jsac_ros.agent.state import create
from jsac_ros.agent.target import update_target
from jsac_ros.agent.temperature import target_entropy, temperature_loss
from jsac_ros.agent.update import stacks
from jsac_ros.agent.weight_clip import clip_weights

SPEC = SPECS["both"]
CONFIG = small_config()


def close(ours, expected, tolerance=1e-5):
    ours, expected = np.asarray(ours, np.float64), np.asarray(expected, np.float64)
    assert ours.shape == expected.shape
    assert np.linalg.norm(ours - expected) <= tolerance * np.linalg.norm(expected)


def double(tree):
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)


@pytest.fixture(scope="module")
def case():
    """Networks, state with biases that are not zero, a batch and its images."""
    state = create(CONFIG, SPEC, seed=5)
    rng = np.random.default_rng(6)
    disturb = lambda leaf: leaf + jnp.asarray(0.1 * rng.normal(size=leaf.shape), jnp.float32)  # noqa: E731
    critic, actor = jax.tree.map(disturb, (state.critic.params, state.actor.params))
    batch = random_batch(SPEC)
    image, _ = stacks(batch.frames, SPEC.stack)
    return make_networks(CONFIG, SPEC), critic, actor, batch, image


def slopes_agree(loss, params, slope):
    """Every leaf's gradient against central differences of the float64 loss, along a random direction each."""
    params, rng, step = double(params), np.random.default_rng(7), 1e-6
    leaves, structure = jax.tree.flatten(params)
    total = np.sqrt(sum((np.asarray(leaf, np.float64) ** 2).sum() for leaf in jax.tree.leaves(slope)))
    for k, (path, leaf) in enumerate(jax.tree_util.tree_leaves_with_path(slope)):
        direction = rng.normal(size=leaf.shape)

        def moved(by, k=k, direction=direction):
            return jax.tree.unflatten(structure, leaves[:k] + [leaves[k] + by * direction] + leaves[k + 1 :])

        expected = (loss(moved(step)) - loss(moved(-step))) / (2 * step)
        ours = (np.asarray(leaf, np.float64) * direction).sum()
        # A leaf whose directional derivative cancels is judged by the size of the terms that cancel.
        scale = max(abs(expected), np.linalg.norm(leaf), 1e-3 * total)
        assert abs(ours - expected) <= 1e-5 * scale, (jax.tree_util.keystr(path), ours, expected)


def test_networks(case):
    networks, critic, actor, batch, image = case
    z = networks.encoder.apply({"params": critic["encoder"]}, image)
    close(z, reference.encode(double(critic["encoder"]), image, CONFIG.conv_strides))
    q = networks.critic.apply({"params": critic["critic"]}, z, batch.proprioception, batch.action)
    close(q, reference.value(double(critic["critic"]), double(z), batch.proprioception, batch.action))
    mean, log_std = networks.actor.apply({"params": actor}, z, batch.proprioception)
    noise = np.zeros(mean.shape)
    _, _, expected_mean, expected_log_std = reference.act(double(actor), double(z), batch.proprioception, noise)
    close(mean, expected_mean)
    close(log_std, expected_log_std)


def test_critic_loss_and_its_gradient(case):
    networks, critic, _, batch, image = case
    target = np.random.default_rng(8).normal(size=len(batch.reward)).astype(np.float32)
    (loss, _), slope = jax.value_and_grad(critic_loss, has_aux=True)(critic, networks, image, batch, target)

    def expected(params):
        return reference.critic_loss(params, np.asarray(image), batch, target, CONFIG.conv_strides)

    close(loss, expected(double(critic)))
    slopes_agree(expected, critic, slope)


def test_actor_loss_and_its_gradient(case):
    networks, critic, actor, batch, image = case
    key, alpha = jax.random.PRNGKey(9), 0.2
    z = networks.encoder.apply({"params": critic["encoder"]}, image)
    loss = lambda params: actor_loss(params, networks, critic, alpha, z, batch.proprioception, key)  # noqa: E731
    (ours, _), slope = jax.value_and_grad(loss, has_aux=True)(actor)
    noise = np.asarray(jax.random.normal(key, batch.action.shape), np.float64)

    def expected(params):
        critic_params = double(critic["critic"])
        return reference.actor_loss(params, critic_params, alpha, double(z), batch.proprioception, noise)

    close(ours, expected(double(actor)))
    slopes_agree(expected, actor, slope)


def test_actor_loss_gives_the_encoder_and_the_critic_exactly_nothing(case):
    networks, critic, actor, batch, image = case

    def loss(encoder):
        z = networks.encoder.apply({"params": encoder}, image)
        return actor_loss(actor, networks, critic, 0.2, z, batch.proprioception, jax.random.PRNGKey(9))[0]

    assert all(np.all(leaf == 0.0) for leaf in jax.tree.leaves(jax.grad(loss)(critic["encoder"])))


def test_temperature_loss_and_its_gradient():
    log_alpha, log_prob = np.float32(-1.3), np.random.default_rng(0).normal(size=9).astype(np.float32)
    loss, slope = jax.value_and_grad(temperature_loss)(log_alpha, log_prob, -3.0)
    expected = np.mean(-np.exp(np.float64(log_alpha)) * (log_prob - 3.0))
    close(loss, expected)
    close(slope, expected)  # d/dx of c exp(x) is itself


@pytest.mark.parametrize(
    ("option", "expected"),
    [("minus_actions", -4.0), ("minus_half_actions", -2.0), ("max_std", 4 * (1.4189385332046727 + np.log(0.5)))],
)
def test_target_entropy(option, expected):
    config = small_config(target_entropy=option, target_entropy_std=0.5)
    assert target_entropy(config, 4) == pytest.approx(expected, rel=1e-12)


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


def test_weight_clip_bounds_kernels_and_nothing_else(case):
    _, critic, _, _, _ = case
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
    params = {"kernel": rng.normal(size=(3, 2)), "bias": rng.normal(size=2)}
    optimiser = gradient.make_optimiser(1e-2, 1.0)
    ours = jax.tree.map(jnp.float32, params)
    learned = gradient.Learned(ours, optimiser.init(ours))
    mean, square = (jax.tree.map(np.zeros_like, params) for _ in range(2))
    for t in range(1, 6):
        slope = jax.tree.map(lambda leaf: size * rng.normal(size=leaf.shape), params)
        learned = gradient.step(optimiser, jax.tree.map(jnp.float32, slope), learned, jnp.bool_(True))
        norm = np.sqrt(sum((leaf**2).sum() for leaf in slope.values()))
        for name, leaf in slope.items():
            leaf = leaf * min(1.0, 1.0 / norm)
            mean[name] = 0.9 * mean[name] + 0.1 * leaf
            square[name] = 0.999 * square[name] + 0.001 * leaf**2
            change = mean[name] / (1 - 0.9**t) / (np.sqrt(square[name] / (1 - 0.999**t)) + 1e-8)
            params[name] = params[name] - 1e-2 * change
    for name, leaf in params.items():
        close(learned.params[name], leaf)


def test_kernels_start_orthogonal_with_scale_root_two():
    params = create(CONFIG, SPEC, seed=0).critic.params
    kernels = [
        params["encoder"]["conv_1"]["kernel"].reshape(-1, 6),
        params["critic"]["latent"]["projection"]["kernel"],
        params["critic"]["ensemble"]["mlp"]["dense_1"]["kernel"][2],
        params["critic"]["ensemble"]["value"]["kernel"][0],
    ]
    for kernel in kernels:
        narrow = kernel if kernel.shape[0] >= kernel.shape[1] else kernel.T
        np.testing.assert_allclose(narrow.T @ narrow, 2.0 * np.eye(narrow.shape[1]), atol=1e-5)
    first, second = params["critic"]["ensemble"]["mlp"]["dense_1"]["kernel"][:2]
    assert not np.allclose(first, second)
