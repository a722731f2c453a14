"""Every option changes what it says, and nothing else."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from agent_cases import SPECS, compiled_update, random_batch, small_config

from jsac_ros.agent.prefetch import prefetch
from jsac_ros.agent.state import create, with_encoder
from jsac_ros.agent.update import make_updates

SPEC = SPECS["proprioception"]  # compiles fastest


def moves(config, updates, spec=SPEC, batch=random_batch):
    """For each update, which of critic, actor, log_alpha and target it changed."""
    state, changed = create(config, spec, 0), []
    parts = {
        "critic": lambda s: s.critic.params, "actor": lambda s: s.actor.params,
        "alpha": lambda s: s.log_alpha.params, "target": lambda s: s.target,
    }  # fmt: skip
    for k in range(updates):
        before = jax.tree.map(np.array, {name: of(state) for name, of in parts.items()})
        state, _ = compiled_update(config, spec)(state, batch(spec, seed=k))
        changed.append(
            {
                name
                for name, of in parts.items()
                if any(
                    not np.array_equal(a, b)
                    for a, b in zip(jax.tree.leaves(before[name]), jax.tree.leaves(of(state)), strict=True)
                )
            }
        )
    return changed


def test_periods_and_critic_warm_up():
    config = small_config(actor_period=2, target_period=3, critic_warmup_updates=3)
    late = {"actor", "alpha"}
    assert moves(config, 6) == [
        {"critic"}, {"critic"}, {"critic", "target"},  # warm-up
        {"critic"}, {"critic"} | late, {"critic", "target"},
    ]  # fmt: skip


def test_weight_of_zero_takes_a_sample_out_of_the_critics_gradient():
    config = small_config()
    params = []
    for reward in (0.0, 1e6):
        batch = random_batch(SPEC)
        batch.weight[2], batch.reward[2] = 0.0, reward
        state, metrics = compiled_update(config, SPEC)(create(config, SPEC, 0), batch)
        params.append(jax.tree.leaves(state.critic.params))
        assert (metrics["td_error"][2] > 1e5) == (reward > 0)  # what a prioritised sampler is told
    assert all(np.array_equal(a, b) for a, b in zip(*params, strict=True))


def test_min_over_a_random_subset_is_no_smaller_than_over_all():
    targets = {}
    for subset in (0, 1):
        config = small_config(q_subset=subset, q_count=5)
        _, metrics = compiled_update(config, SPEC)(create(config, SPEC, 0), random_batch(SPEC))
        targets[subset] = float(metrics["target_mean"])
    assert targets[1] > targets[0]


def test_n_step_batch_has_the_frames_of_both_stacks():
    spec, config = SPECS["both"], small_config(n_step=3)
    batch = random_batch(spec, n_step=3)
    assert batch.frames.shape[1] == 4
    _, metrics = compiled_update(config, spec)(create(config, spec, 0), batch)
    assert np.isfinite(metrics["critic_loss"])
    with pytest.raises(ValueError, match=r"batch.frames is uint8\[8, 3, 17, 19, 3\]; expected uint8\[8, 4, 17, 19, 3\]"):
        compiled_update(config, spec)(create(config, spec, 0), random_batch(spec))


def test_bfloat16_keeps_parameters_in_float32_and_losses_close():
    losses = []
    for bfloat16 in (False, True):
        config = small_config(bfloat16=bfloat16)
        state, metrics = compiled_update(config, SPEC)(create(config, SPEC, 0), random_batch(SPEC))
        losses.append(float(metrics["critic_loss"]))
        assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(state.critic.params))
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


def test_scan_over_updates_equals_one_after_the_other_and_compiles_once():
    config, update = small_config(), compiled_update(small_config(), SPEC)
    batches = [random_batch(SPEC, seed=k) for k in range(3)]
    state = create(config, SPEC, 0)
    td_errors = []
    for batch in prefetch(batches):
        state, metrics = update(state, batch)
        td_errors.append(metrics["td_error"])
    scanned, metrics = make_updates(config, SPEC)(
        create(config, SPEC, 0), jax.tree.map(lambda *fields: np.stack(fields), *batches)
    )
    np.testing.assert_allclose(metrics["td_error"], np.stack(td_errors), rtol=1e-5, atol=1e-6)
    for a, b in zip(jax.tree.leaves(state.critic.params), jax.tree.leaves(scanned.critic.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    before = update._cache_size()
    update(state, batches[0])
    assert update._cache_size() == before


def test_encoder_from_elsewhere_is_taken_over_or_refused():
    spec, config = SPECS["both"], small_config()
    encoder = create(config, spec, 7).critic.params["encoder"]
    state = with_encoder(create(config, spec, 0), encoder)
    for tree in (state.critic.params, state.target):
        np.testing.assert_array_equal(tree["encoder"]["conv_0"]["kernel"], encoder["conv_0"]["kernel"])
    compiled_update(config, spec)(state, random_batch(spec))
    wide = create(small_config(conv_channels=(5, 6)), spec, 7).critic.params["encoder"]
    with pytest.raises(ValueError, match=r"encoder\['conv_0'\]\['bias'\] is \(5,\); expected \(4,\)"):
        with_encoder(create(config, spec, 0), wide)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv_channels": (4,)}, "expected one of each per layer"),
        ({"hidden": ()}, r"hidden is \[\]; expected positive"),
        ({"q_subset": 4}, "q_subset is 4; expected at most q_count 3"),
        ({"log_std_min": 3.0}, "expected less than log_std_max"),
    ],
)
def test_impossible_configurations_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        small_config(**changes)
