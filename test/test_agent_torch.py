"""Whole updates against an independent PyTorch one in float64, from the same weights and with the same noise."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from agent_cases import agent_of, compiled_update, random_batch, small

from jsac_ros.agent.observation import observations_of

torch = pytest.importorskip("torch", reason="PyTorch is not installed (requirements/bench.txt)")
from jsac_ros.bench import torch_step  # noqa: E402

RELATIVE_ERROR = 1e-5


def error(ours, reference) -> float:
    """|ours - reference| / |reference| as vectors."""
    ours, reference = np.asarray(ours, np.float64), np.asarray(reference, np.float64)
    return np.linalg.norm(ours - reference) / max(np.linalg.norm(reference), 1e-12)


def torch_batch(batch, spaces):
    observation, following = observations_of(spaces, batch)
    images, next_images = (
        [torch.tensor(np.asarray(image)).permute(0, 3, 1, 2) for image in inputs.images.values()]
        for inputs in (observation, following)
    )
    action = spaces.flat_action({name: part.T for name, part in batch.action.items()}).T
    rest = (observation.vector, following.vector, action, batch.reward, batch.discount, batch.weight)
    return torch_step.TorchBatch(images, next_images, *(torch.tensor(np.asarray(x), dtype=torch.float64) for x in rest))


def torch_noise(agent, key, size):
    """What an update of ours draws from the key of its state."""
    p, count = agent.parameters, len(agent.spaces.images)
    _, shift, next_shift, learn = jax.random.split(key, 4)
    target, action = jax.random.split(learn)
    next_action, _ = jax.random.split(target)

    def offsets(key):
        keys = [key] * count if p.encoder == "joined" else jax.random.split(key, count)
        drawn = (jax.random.randint(k, (size, 2), -p.shift_pad, p.shift_pad + 1) for k in keys)
        return [torch.tensor(np.asarray(offset)) for offset in drawn]

    normals = (np.asarray(jax.random.normal(k, (size, agent.spaces.action_size))) for k in (next_action, action))
    return torch_step.Noise(offsets(shift), offsets(next_shift), *(torch.tensor(x).double() for x in normals))


def as_torch(critic, actor, agent):
    found = torch_step.TorchAgent(agent.parameters, agent.spaces, torch.float64)
    torch_step.copy_parameters(critic, actor, found)
    return found


def vector(parameters) -> np.ndarray:
    return np.concatenate([leaf.detach().numpy().ravel() for leaf in parameters])


LAYERS = {"conv_channels": (4, 6), "conv_kernels": (5, 3), "conv_strides": (2, 1), "hidden": (16, 12)}
CASES = {
    "image and vectors": ("both", {}),
    "one image": ("image", {}),
    "two images, separate": ("two images, separate", {"conv_kernels": (3, 3)}),  # one of 9x8
    "two images, joined": ("two images, joined", {"encoder": "joined"}),
    "limits of pixels and vectors": ("both", {"pixel_limit": 0.5, "vector_limit": 0.5}),
    "without LayerNorm and weight clip": ("both", {"layer_norm": False, "weight_clip": False}),
    "everything clipped": ("both", {"weight_clip_kappa": 0.1, "max_gradient_norm": 0.01}),
}


@pytest.mark.parametrize("case", CASES)
def test_losses_gradients_and_updates_agree_with_pytorch(case):
    mode, changes = CASES[case]
    agent = agent_of(mode, "jsac", small(**LAYERS | changes))
    state, update = agent.init(seed=4), compiled_update(agent)
    expected_agent = as_torch(state.params["critic"], state.params["actor"], agent)
    for k in range(4):
        batch = random_batch(agent.spaces, seed=k)
        noise = torch_noise(agent, state.key, len(batch.reward))
        expected = expected_agent.update(torch_batch(batch, agent.spaces), noise)
        state, metrics = update(state, batch)
        for name, value in expected.items():
            assert error(metrics[name], value) <= RELATIVE_ERROR, (k, name)
        if k == 0:  # the mean of Adam is then a tenth of the clipped gradient
            gradients_agree(state, expected_agent, agent)
    ours = as_torch(state.params["critic"], state.params["actor"], agent)
    delayed = as_torch(state.target, state.params["actor"], agent)
    for part, found in (("critic", ours.critic), ("actor", ours.actor), ("target", delayed.target)):
        assert error(vector(found.parameters()), vector(getattr(expected_agent, part).parameters())) <= RELATIVE_ERROR
    assert error(state.params["log_alpha"], expected_agent.log_alpha.detach()) <= RELATIVE_ERROR


def gradients_agree(state, expected_agent, agent):
    ours = as_torch(state.opt_state["critic"][1][0].mu, state.opt_state["actor"][1][0].mu, agent)
    for part in ("critic", "actor"):
        size = np.linalg.norm([leaf.grad.norm() for leaf in getattr(expected_agent, part).parameters()])
        pairs = zip(getattr(ours, part).named_parameters(), getattr(expected_agent, part).parameters(), strict=True)
        for (name, tenth), leaf in pairs:
            # A leaf whose terms cancel (a bias before LayerNorm, of a single value) is judged by their size.
            scale = max(leaf.grad.norm(), 0.1 * size)
            assert (10.0 * tenth.detach() - leaf.grad).norm() <= RELATIVE_ERROR * scale, (part, name)
