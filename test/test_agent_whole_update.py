"""Two whole updates, what each part is computed from and in which order, against NumPy in float64.

The gradients of the float64 losses are central differences; the relative error of everything is <= 1e-5.
"""

from __future__ import annotations

import agent_reference as reference
import jax
import numpy as np
import pytest
from agent_cases import compiled_update, flat, random_batch, small

from jsac_ros.agent import build
from jsac_ros.agent.agent import Sample
from jsac_ros.agent.observation import Inputs
from jsac_ros.spaces import ActionSpace, ImageSpace, Spaces, VectorSpace

RELATIVE_ERROR = 1e-5
VECTORS, ACTIONS = [VectorSpace("p", 2), VectorSpace("q", 1)], [ActionSpace("arm", 1), ActionSpace("tool", 1)]
# Images too: without them there is no encoder to take from the wrong critic.
IMAGES = {
    "separate": [ImageSpace("b", 5, 6, channels=1, stack=2), ImageSpace("a", 4, 5, channels=1, stack=1)],
    "joined": [ImageSpace("b", 5, 6, channels=1, stack=2), ImageSpace("a", 5, 6, channels=1, stack=1)],
}
# Few layers, as compiling them takes most of the time. Steps so long that a loss tells the parameters and the
# temperature after them from those before; both bounds on gradients and the one on weights are reached.
PARAMETERS = small(
    conv_channels=(3,), conv_strides=(2,), latent_dim=5, hidden=(6,), q_count=2, shift_pad=1,
    learning_rate=1e-2, temperature_learning_rate=3e-2, initial_temperature=0.3, tau=0.1,
    max_gradient_norm=1.0, actor_max_gradient_norm=0.3, weight_clip_kappa=0.7,
)  # fmt: skip


def gradient_of(loss, params):
    """The gradient of `loss`, by central differences in one parameter after the other."""

    def along(leaf):
        grads, step = np.empty_like(leaf), 1e-6
        for i in range(leaf.size):
            value = leaf.flat[i]
            leaf.flat[i] = value + step
            above = loss(params)
            leaf.flat[i] = value - step
            grads.flat[i] = (above - loss(params)) / (2 * step)
            leaf.flat[i] = value
        return grads

    return jax.tree.map(along, params)


def norm_of(tree) -> float:
    return np.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(tree)))


class ClippedAdam:
    """Adam on a gradient clipped to a global norm, then kernels clipped to +-bound. Infinite: not clipped."""

    def __init__(self, params, learning_rate, max_norm=np.inf, bound=np.inf):
        self.learning_rate, self.max_norm, self.bound, self.steps = learning_rate, max_norm, bound, 0
        self.mean, self.square = (jax.tree.map(np.zeros_like, params) for _ in range(2))

    def move(self, params, grads):
        self.steps += 1
        share = min(1.0, self.max_norm / norm_of(grads))
        self.mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * share * g, self.mean, grads)
        self.square = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * (share * g) ** 2, self.square, grads)

        def moved(path, leaf, mean, square):
            unbiased, deviation = mean / (1 - 0.9**self.steps), np.sqrt(square / (1 - 0.999**self.steps))
            leaf = leaf - self.learning_rate * unbiased / (deviation + 1e-8)
            return np.clip(leaf, -self.bound, self.bound) if path and path[-1].key == "kernel" else leaf

        return jax.tree_util.tree_map_with_path(moved, params, self.mean, self.square)


class Reference:
    """All that learns, in float64; it begins with the parameters and the key of a state."""

    def __init__(self, state, parameters, spaces):
        self.parameters, self.spaces, self.key = parameters, spaces, np.array(state.key)
        params, self.target = jax.tree.map(lambda leaf: np.array(leaf, np.float64), (state.params, state.target))
        self.critic, self.actor, self.log_alpha = params["critic"], params["actor"], params["log_alpha"]
        rate, bound = parameters.learning_rate, parameters.weight_clip_kappa * np.sqrt(2)
        self.critic_adam = ClippedAdam(self.critic, rate, parameters.max_gradient_norm, bound)
        self.actor_adam = ClippedAdam(self.actor, rate, parameters.actor_max_gradient_norm, bound)
        self.alpha_adam = ClippedAdam(self.log_alpha, parameters.temperature_learning_rate)

    def draw(self, size):
        """What an update draws from its key: keys of both shifts, noise of the next action and of the action."""
        self.key, shift, next_shift, learn = jax.random.split(self.key, 4)
        target, action = jax.random.split(learn)
        next_action, _ = jax.random.split(target)
        shape = (size, self.spaces.action_size)
        noise = (np.asarray(jax.random.normal(k, shape), np.float64) for k in (next_action, action))
        return shift, next_shift, *noise

    def shifted(self, key, images):
        """images: {name: [B, H, W, C]}; an offset for each of them, or one where they are joined."""
        p, count = self.parameters, len(images)
        keys = [key] * count if p.encoder == "joined" else jax.random.split(key, count)
        draw = lambda k, size: np.asarray(jax.random.randint(k, (size, 2), -p.shift_pad, p.shift_pad + 1))
        return {
            name: reference.shift(image, draw(k, len(image)), p.shift_pad)
            for k, (name, image) in zip(keys, images.items(), strict=True)
        }

    def sample_of(self, batch, shift, next_shift):
        """Stacks of frames one after the other, newest last; parts in order of their names."""
        stack_of = lambda frames: np.concatenate(list(np.moveaxis(frames, 1, 0)), axis=-1)
        images, next_images = {}, {}
        for space in sorted(self.spaces.images, key=lambda image: image.name):
            frames = batch.frames[space.name]
            images[space.name], next_images[space.name] = stack_of(frames[:, : space.stack]), stack_of(frames[:, 1:])
        observation = Inputs(self.shifted(shift, images), flat(batch.vectors))
        next_observation = Inputs(self.shifted(next_shift, next_images), flat(batch.next_vectors))
        return Sample(observation, flat(batch.action), batch.reward, batch.discount, batch.weight, next_observation)

    def encode(self, params, observation):
        return reference.encode(params["encoder"], observation.images, self.parameters.conv_strides)

    def update(self, batch) -> dict[str, float]:
        """One update as section 3 of the write-up tells it; returns the metrics."""
        shift, next_shift, next_noise, noise = self.draw(len(batch.reward))
        sample = self.sample_of(batch, shift, next_shift)
        alpha = np.exp(self.log_alpha)

        following = sample.next_observation
        z, vector = self.encode(self.critic, following), following.vector
        next_action, next_log_prob, _, _ = reference.act(self.actor, z, vector, next_noise)
        next_q = reference.value(self.target["critic"], self.encode(self.target, following), vector, next_action)
        target = batch.reward + batch.discount * (next_q.min(0) - alpha * next_log_prob)

        def critic_loss(params):
            return reference.critic_loss(params, sample, target, self.parameters.conv_strides)

        metrics = {"target_mean": target.mean(), "critic_loss": critic_loss(self.critic)}
        grads = gradient_of(critic_loss, self.critic)
        metrics["critic_gradient_norm"] = norm_of(grads)
        self.critic = self.critic_adam.move(self.critic, grads)

        z, vector = self.encode(self.critic, sample.observation), sample.observation.vector

        def actor_loss(params):
            return reference.actor_loss(params, self.critic["critic"], alpha, z, vector, noise)

        _, log_prob, _, _ = reference.act(self.actor, z, vector, noise)
        metrics |= {"actor_loss": actor_loss(self.actor), "entropy": -log_prob.mean()}
        grads = gradient_of(actor_loss, self.actor)
        metrics["actor_gradient_norm"] = norm_of(grads)
        self.actor = self.actor_adam.move(self.actor, grads)

        temperature_loss = -alpha * (log_prob.mean() - self.spaces.action_size)
        self.log_alpha = self.alpha_adam.move(self.log_alpha, temperature_loss)  # d/dx of c exp(x) is itself
        metrics |= {"temperature_loss": temperature_loss, "temperature": np.exp(self.log_alpha)}

        tau = self.parameters.tau
        self.target = jax.tree.map(lambda new, old: tau * new + (1 - tau) * old, self.critic, self.target)
        return metrics


def learning_state(agent, seed):
    """A state with biases that are not zero and a target that is not the critic."""
    state, rng = agent.init(seed), np.random.default_rng(seed)
    disturb = lambda leaf: np.float32(leaf + 0.1 * rng.normal(size=leaf.shape))
    critic, actor, target = jax.tree.map(disturb, (state.params["critic"], state.params["actor"], state.target))
    return state.replace(params=state.params | {"critic": critic, "actor": actor}, target=target)


def error(ours, expected) -> float:
    """|ours - expected| / |expected|, of two trees as vectors."""
    ours, expected = (np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]) for tree in (ours, expected))
    assert ours.shape == expected.shape
    return np.linalg.norm(ours - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("encoder", IMAGES)
def test_whole_updates_agree_with_float64(encoder):
    # With this seed no gradient is so close to zero that Adam's first step has the sign of a rounding error, and
    # none of the metrics is the difference of two that are nearly equal.
    spaces, parameters = Spaces.of(IMAGES[encoder], VECTORS, ACTIONS), PARAMETERS.model_copy(update={"encoder": encoder})
    agent = build(parameters, spaces)
    state, update = learning_state(agent, seed=5), compiled_update(agent)
    expected_agent = Reference(state, parameters, spaces)
    for k in range(2):
        batch = random_batch(spaces, seed=k)
        expected = expected_agent.update(batch)
        state, metrics = update(state, batch)
        for name, value in expected.items():
            assert error(metrics[name], value) <= RELATIVE_ERROR, (k, name)
        # Adam's mean too: its first step shows only the signs of the gradient.
        pairs = {
            "critic": (state.params["critic"], expected_agent.critic),
            "critic's gradient": (state.opt_state["critic"][1][0].mu, expected_agent.critic_adam.mean),
            "actor": (state.params["actor"], expected_agent.actor),
            "actor's gradient": (state.opt_state["actor"][1][0].mu, expected_agent.actor_adam.mean),
            "log alpha": (state.params["log_alpha"], expected_agent.log_alpha),
            "target": (state.target, expected_agent.target),
        }
        for name, pair in pairs.items():
            assert error(*pair) <= RELATIVE_ERROR, (k, name)
