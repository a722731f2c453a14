"""A policy as one ONNX file, `policy.onnx`: its deterministic actions, without JAX and without jsac_ros.

    session = onnxruntime.InferenceSession("policy.onnx")
    (arm,) = session.run(None, {"wrist": images, "joint_position": vectors})

Inputs are batches, uint8 [B, H, W, S*C] and float32 [B, n], named after the parts; outputs are `action/NAME` of each part,
float32 [B, a]. The graph is built from the parameters, in float32. Before it is written, onnxruntime and the policy act on the
same observations, and their actions must agree. The file's metadata contain the spaces and the card as JSON.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from jsac_ros.agent.agent import Agent, Params
from jsac_ros.agent.export import Policy
from jsac_ros.agent.parameters import NetworkParameters
from jsac_ros.spaces import Spaces, VectorSpace
from jsac_ros.types import Arrays

FILE = "policy.onnx"
OPSET = 17  # the first with LayerNormalization
TOLERANCE = 1e-5  # of an action
_BFLOAT16_TOLERANCE = 0.02  # of an action that the policy computes in bfloat16
_IR_VERSION = 8
_NORM_EPSILON = 1e-6  # Flax's
_CHECKED = 16  # observations on which both act
_SIGNS = {
    "relu": ("Relu", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.01}),
    "elu": ("Elu", {"alpha": 1.0}),
    "tanh": ("Tanh", {}),
}


class _Graph:
    """Nodes and constants in the order of computation. Every added node is referred to by the name of its output."""

    def __init__(self):
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, kind: str, *inputs: str, outputs: tuple[str, ...] = (), **attributes: Any) -> str:
        names = outputs or (f"x{len(self.nodes)}",)
        self.nodes.append(helper.make_node(kind, list(inputs), list(names), **attributes))
        return names[0]

    def joined(self, parts: list[str]) -> str:
        """On the last axis."""
        return parts[0] if len(parts) == 1 else self.add("Concat", *parts, axis=-1)

    # -- layers, each as in networks.py ----------------------------------------------------------------------------

    def activation(self, x: str, name: str) -> str:
        if name == "silu":
            return self.add("Mul", x, self.add("Sigmoid", x))
        kind, attributes = _SIGNS[name]
        return self.add(kind, x, **attributes)

    def dense(self, x: str, params: Params) -> str:
        return self.add("Gemm", x, self.constant(params["kernel"]), self.constant(params["bias"]))

    def norm(self, x: str, params: Params) -> str:
        scale, bias = self.constant(params["scale"]), self.constant(params["bias"])
        return self.add("LayerNormalization", x, scale, bias, axis=-1, epsilon=_NORM_EPSILON)

    def conv_net(self, image: str, params: Params, p: NetworkParameters) -> str:
        """image: uint8 [B, H, W, C]; -> [B, z]."""
        scaled = self.add("Mul", self.add("Cast", image, to=TensorProto.FLOAT), self.constant(_f32(2 * p.pixel_limit / 255)))
        x = self.add("Sub", scaled, self.constant(_f32(p.pixel_limit)))
        for i, (_, _, stride) in enumerate(p.conv_layers):
            kernel, bias = params[f"conv_{i}"]["kernel"], params[f"conv_{i}"]["bias"]
            x = self.add("Transpose", x, perm=[0, 3, 1, 2])  # ONNX has channels first
            weights = self.constant(kernel.transpose(3, 2, 0, 1)), self.constant(bias)
            x = self.add("Conv", x, *weights, strides=[stride, stride])
            x = self.add("Transpose", x, perm=[0, 2, 3, 1])
            if i < len(p.conv_layers) - 1:
                x = self.norm(x, params[f"norm_{i}"]) if f"norm_{i}" in params else x
                x = self.activation(x, p.conv_activation)
        return self.add("Flatten", x, axis=1)

    def encoder(self, params: Params, p: NetworkParameters, spaces: Spaces) -> str:
        names = [image.name for image in spaces.images]
        if names and p.encoder == "joined":
            parts = [self.conv_net(self.joined(names), params["joined"], p)]
        else:
            parts = [self.conv_net(name, params[name], p) for name in names]
        return self.joined(parts + [self.spatial_pool(part, params[part.name]) for part in spaces.maps])

    def spatial_pool(self, part: VectorSpace, params: Params) -> str:
        """[B, h*w*c] -> [B, c*k]."""
        height, width, channels = part.map
        shape = self.constant(np.array([-1, height * width, channels, 1], np.int64))
        weighted = self.add("Mul", self.add("Reshape", part.name, shape), self.constant(params["kernel"].transpose(1, 0, 2)))
        summed = self.add("ReduceSum", weighted, self.constant(np.array([1], np.int64)), keepdims=0)
        return self.add("Flatten", summed, axis=1)

    def body(self, params: Params, p: NetworkParameters, spaces: Spaces, encoder: Params) -> str:
        """The input of the heads: latent and hidden layers of an actor, or of the values of choices."""
        vectors = [vector.name for vector in spaces.plain_vectors]
        if spaces.images or spaces.maps:
            latent = params["latent"]
            z = self.dense(self.encoder(encoder, p, spaces), latent["projection"])
            parts = [self.add("Tanh", self.norm(z, latent["norm"]))]
            if vectors:
                vector = self.joined(vectors)
                if p.vector_limit:
                    vector = self.add("Clip", vector, *(self.constant(_f32(v)) for v in (-p.vector_limit, p.vector_limit)))
                parts.append(vector)
        else:
            parts = vectors
        x = self.joined(parts)
        for i in range(len(p.hidden)):
            x = self.dense(x, params["mlp"][f"dense_{i}"])
            x = self.norm(x, params["mlp"][f"norm_{i}"]) if f"norm_{i}" in params["mlp"] else x
            x = self.activation(x, p.hidden_activation)
        return x


def model_of(params: Params, agent: Agent, card: dict[str, Any]) -> onnx.ModelProto:
    """The graph of `Agent.policy_params`. Raises ValueError if the algorithm has other networks than those of this package."""
    p, spaces, graph = agent.parameters, agent.spaces, _Graph()
    params = _arrays(params)
    if not isinstance(p, NetworkParameters) or not ({"actor", "values"} & set(params)):
        raise ValueError(f"agent.type is {p.type!r}, whose networks cannot be converted; expected jsac, sac_v or dqn")
    if "actor" in params:
        x = graph.body(params["actor"], p, spaces, params["encoder"])
        action = graph.add("Tanh", graph.dense(x, params["actor"]["mean"]))
    else:
        x = graph.body(params["values"], p, spaces, params["encoder"])
        best = graph.add("ArgMax", graph.dense(x, params["values"]["values"]), axis=-1, keepdims=1)
        action = graph.add("Cast", best, to=TensorProto.FLOAT)
    sizes, names = [part.size for part in spaces.actions], tuple(part.name for part in spaces.actions)
    graph.add("Split", action, graph.constant(np.array(sizes, np.int64)), outputs=tuple(f"action/{n}" for n in names), axis=-1)
    return _model(graph, spaces, {"spaces": spaces.to_json(), "card": card})


def _model(graph: _Graph, spaces: Spaces, told: dict[str, Any]) -> onnx.ModelProto:
    info = helper.make_tensor_value_info
    inputs = [info(image.name, TensorProto.UINT8, ["batch", *image.shape]) for image in spaces.images]
    inputs += [info(vector.name, TensorProto.FLOAT, ["batch", *vector.shape]) for vector in spaces.vectors]
    outputs = [info(f"action/{part.name}", TensorProto.FLOAT, ["batch", part.size]) for part in spaces.actions]
    whole = helper.make_graph(graph.nodes, "policy", inputs, outputs, graph.constants)
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(whole, opset_imports=opset, ir_version=_IR_VERSION, producer_name="jsac_ros")
    helper.set_model_props(model, {name: json.dumps(value) for name, value in told.items()})
    onnx.checker.check_model(model, full_check=True)
    return model


def write(policy: Policy, path: Path) -> float:
    """Writes the file; returns the largest difference between its actions and the policy's, on random observations.

    Raises ValueError if they differ by more than TOLERANCE or the networks cannot be converted, OSError.
    """
    model = model_of(policy.params, policy.agent, policy.about.get("card", {})).SerializeToString()
    difference = _difference(policy, model)
    bfloat16 = policy.agent.parameters.bfloat16
    most = _BFLOAT16_TOLERANCE if bfloat16 else TOLERANCE
    if not difference <= most:
        raise ValueError(f"onnxruntime's actions differ from the policy's by {difference:.2g}; expected at most {most:g}")
    beside = path.with_name(f".{path.name}")
    beside.write_bytes(model)
    beside.replace(path)
    return difference


def _difference(policy: Policy, model: bytes) -> float:
    spaces, rng = policy.spaces, np.random.default_rng(0)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    batch: Arrays = {i.name: rng.integers(0, 256, (_CHECKED, *i.shape), np.uint8) for i in spaces.images}
    batch |= {v.name: rng.normal(size=(_CHECKED, v.size)).astype(np.float32) for v in spaces.vectors}
    theirs = session.run([f"action/{part.name}" for part in spaces.actions], batch)
    ours = [policy({name: values[k] for name, values in batch.items()}) for k in range(_CHECKED)]
    return max(
        float(np.abs(values - np.stack([action[part.name] for action in ours])).max())
        for part, values in zip(spaces.actions, theirs, strict=True)
    )


def _arrays(params: Params) -> Any:
    """The tree as NumPy arrays."""
    return {k: _arrays(v) if hasattr(v, "items") else np.asarray(v, np.float32) for k, v in params.items()}


def _f32(value: float) -> np.ndarray:
    return np.array(value, np.float32)
