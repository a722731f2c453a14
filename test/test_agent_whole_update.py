"""Two whole updates, what each part is computed from and in which order, against NumPy in float64.

The gradients of the float64 losses are central differences; the relative error of everything is <= 1e-5.
"""

from __future__ import annotations

import agent_reference as reference
import jax
import numpy as np
from agent_cases import compiled_update, random_batch, small_config

from jsac_ros.agent.state import create
from jsac_ros.agent.update import stacks
from jsac_ros.types import Spec

RELATIVE_ERROR = 1e-5
# Pictures too: without them there is no encoder to take from the wrong critic.
SPEC = Spec(height=5, width=6, channels=1, stack=2, proprioception=3, action=2)
# Few layers, as compiling them takes most of the time. Steps so long that a loss tells the parameters and the
# temperature after them from those before; both bounds on gradients and the one on weights are reached.
CONFIG = small_config(
    conv_channels=(3,), conv_strides=(2,), latent_dim=5, hidden=(6,), q_count=2, shift_pad=1,
    learning_rate=1e-2, temperature_learning_rate=3e-2, initial_temperature=0.3, tau=0.1,
    max_gradient_norm=1.0, actor_max_gradient_norm=0.3, weight_clip_kappa=0.7,
)  # fmt: skip


def slope_of(loss, params):
    """The gradient of `loss`, by central differences in one parameter after the other."""

    def along(leaf):
        slope, step = np.empty_like(leaf), 1e-6
        for i in range(leaf.size):
            value = leaf.flat[i]
            leaf.flat[i] = value + step
            above = loss(params)
            leaf.flat[i] = value - step
            slope.flat[i] = (above - loss(params)) / (2 * step)
            leaf.flat[i] = value
        return slope

    return jax.tree.map(along, params)


def norm_of(tree) -> float:
    return np.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(tree)))


class ClippedAdam:
    """Adam on a gradient clipped to a global norm, then kernels clipped to +-bound. Infinite: not clipped."""

    def __init__(self, params, learning_rate, max_norm=np.inf, bound=np.inf):
        self.learning_rate, self.max_norm, self.bound, self.steps = learning_rate, max_norm, bound, 0
        self.mean, self.square = (jax.tree.map(np.zeros_like, params) for _ in range(2))

    def move(self, params, slope):
        self.steps += 1
        share = min(1.0, self.max_norm / norm_of(slope))
        self.mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * share * g, self.mean, slope)
        self.square = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * (share * g) ** 2, self.square, slope)

        def moved(path, leaf, mean, square):
            unbiased, deviation = mean / (1 - 0.9**self.steps), np.sqrt(square / (1 - 0.999**self.steps))
            leaf = leaf - self.learning_rate * unbiased / (deviation + 1e-8)
            return np.clip(leaf, -self.bound, self.bound) if path and path[-1].key == "kernel" else leaf

        return jax.tree_util.tree_map_with_path(moved, params, self.mean, self.square)


class Agent:
    """All that learns, in float64; it begins with the parameters and the key of a state."""

    def __init__(self, state, config, spec):
        self.config, self.spec, self.key = config, spec, np.array(state.key)
        self.critic, self.actor, self.log_alpha, self.target = jax.tree.map(
            lambda leaf: np.array(leaf, np.float64),
            (state.critic.params, state.actor.params, state.log_alpha.params, state.target),
        )
        rate, bound = config.learning_rate, config.weight_clip_kappa * np.sqrt(2)
        self.critic_adam = ClippedAdam(self.critic, rate, config.max_gradient_norm, bound)
        self.actor_adam = ClippedAdam(self.actor, rate, config.actor_max_gradient_norm, bound)
        self.alpha_adam = ClippedAdam(self.log_alpha, config.temperature_learning_rate)

    def draw(self, size):
        """What an update draws from its key: offsets of image and next image, noise of next action and of action."""
        self.key, shift, next_shift, next_action, _, action = jax.random.split(self.key, 6)
        pad, shape = self.config.shift_pad, (size, self.spec.action)
        offsets = (np.asarray(jax.random.randint(k, (size, 2), -pad, pad + 1)) for k in (shift, next_shift))
        return *offsets, *(np.asarray(jax.random.normal(k, shape), np.float64) for k in (next_action, action))

    def encode(self, params, image):
        return reference.encode(params["encoder"], image, self.config.conv_strides)

    def update(self, batch) -> dict[str, float]:
        """One update as section 3 of the write-up tells it; returns the metrics."""
        offset, next_offset, next_noise, noise = self.draw(len(batch.reward))
        image, next_image = (np.asarray(part) for part in stacks(batch.frames, self.spec.stack))
        image = reference.shift(image, offset, self.config.shift_pad)
        next_image = reference.shift(next_image, next_offset, self.config.shift_pad)
        alpha = np.exp(self.log_alpha)

        z, p = self.encode(self.critic, next_image), batch.next_proprioception
        next_action, next_log_prob, _, _ = reference.act(self.actor, z, p, next_noise)
        next_q = reference.value(self.target["critic"], self.encode(self.target, next_image), p, next_action)
        target = batch.reward + batch.discount * (next_q.min(0) - alpha * next_log_prob)

        def critic_loss(params):
            return reference.critic_loss(params, image, batch, target, self.config.conv_strides)

        metrics = {"target_mean": target.mean(), "critic_loss": critic_loss(self.critic)}
        slope = slope_of(critic_loss, self.critic)
        metrics["critic_gradient_norm"] = norm_of(slope)
        self.critic = self.critic_adam.move(self.critic, slope)

        z, p = self.encode(self.critic, image), batch.proprioception

        def actor_loss(params):
            return reference.actor_loss(params, self.critic["critic"], alpha, z, p, noise)

        _, log_prob, _, _ = reference.act(self.actor, z, p, noise)
        metrics |= {"actor_loss": actor_loss(self.actor), "entropy": -log_prob.mean()}
        slope = slope_of(actor_loss, self.actor)
        metrics["actor_gradient_norm"] = norm_of(slope)
        self.actor = self.actor_adam.move(self.actor, slope)

        temperature_loss = -alpha * (log_prob.mean() - self.spec.action)
        self.log_alpha = self.alpha_adam.move(self.log_alpha, temperature_loss)  # d/dx of c exp(x) is itself
        metrics |= {"temperature_loss": temperature_loss, "temperature": np.exp(self.log_alpha)}

        tau = self.config.tau
        self.target = jax.tree.map(lambda new, old: tau * new + (1 - tau) * old, self.critic, self.target)
        return metrics


def learning_state(config, spec, seed):
    """A state with biases that are not zero and a target that is not the critic."""
    state, rng = create(config, spec, seed), np.random.default_rng(seed)
    disturb = lambda leaf: np.float32(leaf + 0.1 * rng.normal(size=leaf.shape))  # noqa: E731
    critic, actor, target = jax.tree.map(disturb, (state.critic.params, state.actor.params, state.target))
    return state.replace(
        critic=state.critic._replace(params=critic), actor=state.actor._replace(params=actor), target=target
    )


def error(ours, expected) -> float:
    """|ours - expected| / |expected|, of two trees as vectors."""
    ours, expected = (np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]) for tree in (ours, expected))
    assert ours.shape == expected.shape
    return np.linalg.norm(ours - expected) / np.linalg.norm(expected)


def test_whole_updates_agree_with_float64():
    # With this seed no gradient is so close to zero that Adam's first step has the sign of a rounding error, and
    # none of the metrics is the difference of two that are nearly equal.
    state, update = learning_state(CONFIG, SPEC, seed=7), compiled_update(CONFIG, SPEC)
    agent = Agent(state, CONFIG, SPEC)
    for k in range(2):
        batch = random_batch(SPEC, seed=k)
        expected = agent.update(batch)
        state, metrics = update(state, batch)
        for name, value in expected.items():
            assert error(metrics[name], value) <= RELATIVE_ERROR, (k, name)
        # Adam's mean too: its first step shows only the signs of the gradient.
        pairs = {
            "critic": (state.critic.params, agent.critic),
            "critic's gradient": (state.critic.optimiser[1][0].mu, agent.critic_adam.mean),
            "actor": (state.actor.params, agent.actor),
            "actor's gradient": (state.actor.optimiser[1][0].mu, agent.actor_adam.mean),
            "log alpha": (state.log_alpha.params, agent.log_alpha),
            "target": (state.target, agent.target),
        }
        for name, pair in pairs.items():
            assert error(*pair) <= RELATIVE_ERROR, (k, name)
