"""Whole updates against an independent PyTorch one in float64, from the same weights and with the same noise."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from agent_cases import SPECS, compiled_update, random_batch, small_config

from jsac_ros.agent.state import create
from jsac_ros.agent.update import stacks

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra `bench`)")
from jsac_ros.bench import torch_step  # noqa: E402

RELATIVE_ERROR = 1e-5


def error(ours, reference) -> float:
    """|ours - reference| / |reference| as vectors."""
    ours, reference = np.asarray(ours, np.float64), np.asarray(reference, np.float64)
    return np.linalg.norm(ours - reference) / max(np.linalg.norm(reference), 1e-12)


def torch_batch(batch, spec):
    image, next_image = (
        torch.tensor(np.asarray(part)).permute(0, 3, 1, 2) for part in stacks(batch.frames, spec.stack)
    )
    rest = (batch.proprioception, batch.next_proprioception, batch.action, batch.reward, batch.discount, batch.weight)
    return torch_step.TorchBatch(image, next_image, *(torch.tensor(x, dtype=torch.float64) for x in rest))


def torch_noise(key, size, pad, actions):
    """What an update of ours draws from the key of its state."""
    _, shift, next_shift, next_action, _, action = jax.random.split(key, 6)
    offsets = [np.asarray(jax.random.randint(k, (size, 2), -pad, pad + 1)) for k in (shift, next_shift)]
    normals = [np.asarray(jax.random.normal(k, (size, actions))) for k in (next_action, action)]
    return torch_step.Noise(*(torch.tensor(x) for x in offsets), *(torch.tensor(x).double() for x in normals))


def as_torch(critic, actor, config, spec):
    agent = torch_step.TorchAgent(config, spec, torch.float64)
    torch_step.copy_parameters(critic, actor, agent)
    return agent


def vector(parameters) -> np.ndarray:
    return np.concatenate([leaf.detach().numpy().ravel() for leaf in parameters])


CASES = {
    "published, both": ("both", {}),
    "published, image": ("image", {}),
    "without LayerNorm and weight clip": ("both", {"layer_norm": False, "weight_clip": False}),
    "everything clipped": ("both", {"weight_clip_kappa": 0.1, "max_gradient_norm": 0.01}),
}


@pytest.mark.parametrize("case", CASES)
def test_losses_gradients_and_updates_agree_with_pytorch(case):
    spec, config = SPECS[CASES[case][0]], small_config(**CASES[case][1])
    state, update = create(config, spec, seed=4), compiled_update(config, spec)
    agent = as_torch(state.critic.params, state.actor.params, config, spec)
    for k in range(4):
        batch = random_batch(spec, seed=k)
        noise = torch_noise(state.key, len(batch.reward), config.shift_pad, spec.action)
        expected = agent.update(torch_batch(batch, spec), noise)
        state, metrics = update(state, batch)
        for name, value in expected.items():
            assert error(metrics[name], value) <= RELATIVE_ERROR, (k, name)
        if k == 0:  # the mean of Adam is then a tenth of the clipped gradient
            gradients_agree(state, agent, config, spec)
    ours = as_torch(state.critic.params, state.actor.params, config, spec)
    delayed = as_torch(state.target, state.actor.params, config, spec)
    assert error(vector(ours.critic.parameters()), vector(agent.critic.parameters())) <= RELATIVE_ERROR
    assert error(vector(ours.actor.parameters()), vector(agent.actor.parameters())) <= RELATIVE_ERROR
    assert error(vector(delayed.target.parameters()), vector(agent.target.parameters())) <= RELATIVE_ERROR
    assert error(state.log_alpha.params, agent.log_alpha.detach()) <= RELATIVE_ERROR


def gradients_agree(state, agent, config, spec):
    critic, actor = state.critic.optimiser[1][0].mu, state.actor.optimiser[1][0].mu
    ours = as_torch(critic, actor, config, spec)
    for part in ("critic", "actor"):
        size = np.linalg.norm([leaf.grad.norm() for leaf in getattr(agent, part).parameters()])
        pairs = zip(getattr(ours, part).named_parameters(), getattr(agent, part).parameters(), strict=True)
        for (name, tenth), leaf in pairs:
            # A leaf whose terms cancel (a bias before LayerNorm, of a single value) is judged by their size.
            scale = max(leaf.grad.norm(), 1e-2 * size)
            assert (10.0 * tenth.detach() - leaf.grad).norm() <= RELATIVE_ERROR * scale, (part, name)
