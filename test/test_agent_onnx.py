"""A policy as ONNX acts as the policy does: every kind of observation, algorithm and layer."""

import json
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx is not installed: pip install onnx onnxruntime")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install onnx onnxruntime")

from agent_cases import OBSERVATIONS, agent_of, random_observation, small, spaces_of  # noqa: E402

from jsac_ros.__main__ import main  # noqa: E402
from jsac_ros.agent import build, export, onnx_export  # noqa: E402
from jsac_ros.spaces import Spaces  # noqa: E402


def saved(folder, agent, card=None):
    params = agent.policy_params(agent.init(0))
    rng = np.random.default_rng(1)  # biases and scales that count
    import jax

    params = jax.tree.map(lambda leaf: np.asarray(leaf) + rng.normal(scale=0.1, size=leaf.shape).astype(np.float32), params)
    export.save(folder, params, agent, card or {"task": "reach"})
    return export.load(folder)


def compared(policy, file):
    """The largest difference over a batch of observations."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    observations = [random_observation(policy.spaces, seed) for seed in range(5)]
    batch = {name: np.stack([o[name] for o in observations]) for name in observations[0]}
    values = dict(zip((out.name for out in session.get_outputs()), session.run(None, batch)))
    assert set(values) == {f"action/{part.name}" for part in policy.spaces.actions}
    return max(
        np.abs(values[f"action/{name}"][k] - part).max()
        for k, observation in enumerate(observations)
        for name, part in policy(observation).items()
    )


@pytest.mark.parametrize("mode", OBSERVATIONS)
def test_of_every_kind_of_observation(tmp_path, mode):
    policy = saved(tmp_path, agent_of(mode))
    assert onnx_export.write(policy, tmp_path / "policy.onnx") <= 1e-5
    assert compared(policy, tmp_path / "policy.onnx") <= 1e-5


@pytest.mark.parametrize("algorithm", ["sac_v", "dqn"])
def test_of_every_algorithm(tmp_path, algorithm):
    policy = saved(tmp_path, agent_of("both", algorithm))
    onnx_export.write(policy, tmp_path / "policy.onnx")
    assert compared(policy, tmp_path / "policy.onnx") <= 1e-5


@pytest.mark.parametrize("activation", ["silu", "elu", "tanh", "relu"])
def test_of_every_layer(tmp_path, activation):
    changes = dict(
        conv_channels=(4, 5), conv_strides=(2, 1), conv_activation=activation, hidden_activation=activation, vector_limit=0.7,
        pixel_limit=0.5, hidden=(16, 8), layer_norm=activation != "elu", conv_layer_norm=activation != "silu",
    )  # fmt: skip
    policy = saved(tmp_path, build(small(**changes), spaces_of("both")))
    onnx_export.write(policy, tmp_path / "policy.onnx")
    assert compared(policy, tmp_path / "policy.onnx") <= 1e-5


def test_the_verb_writes_it_beside_the_weights_and_it_is_loaded_without_jax(tmp_path, capsys):
    policy = saved(tmp_path / "policy", agent_of("both"))
    assert main(["export", str(tmp_path), "--to", "onnx"]) == 0
    assert f"{tmp_path / 'policy/policy.onnx'}: its actions equal the policy" in capsys.readouterr().out
    program = """
import json, sys, numpy as np, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
told = session.get_modelmeta().custom_metadata_map
batch = {i.name: np.zeros([1, *i.shape[1:]], np.uint8 if 'uint8' in i.type else np.float32) for i in session.get_inputs()}
print(json.dumps([[part.tolist() for part in session.run(None, batch)], json.loads(told['spaces']), json.loads(told['card'])]))
assert not {'jax', 'jsac_ros'} & set(sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", program, str(tmp_path / "policy/policy.onnx")], capture_output=True, text=True)
    (arm, gripper), spaces, card = json.loads(ran.stdout)
    nothing = {
        name: np.zeros(space.shape, np.uint8 if len(space.shape) == 3 else np.float32)
        for name, space in policy.spaces.observation.items()
    }
    np.testing.assert_allclose(arm[0], policy(nothing)["arm"], atol=1e-5)
    assert len(gripper[0]) == 1 and Spaces.from_json(spaces) == policy.spaces and card == {"task": "reach"}


def test_a_policy_that_acts_otherwise_is_not_written(tmp_path, monkeypatch, capsys):
    saved(tmp_path, agent_of("both"))
    monkeypatch.setattr(onnx_export, "_NORM_EPSILON", 0.5)
    assert main(["export", str(tmp_path), "--to", "onnx"]) == 2
    assert "onnxruntime's actions differ from the policy's by" in capsys.readouterr().err
    assert not list(tmp_path.glob("*onnx*"))
