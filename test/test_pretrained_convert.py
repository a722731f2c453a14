"""Published weights become the file of an encoder, which computes what the library would; nothing is unpickled."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections import OrderedDict

import agent_cases  # noqa: F401  compiles without optimising
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pretrained_cases import WIDTHS, basic, encoder_file, layer
from safetensors.numpy import load_file, save_file

from jsac_ros.__main__ import main
from jsac_ros.config import ConfigError
from jsac_ros.pretrained import files, inert, weights
from jsac_ros.pretrained.network import Encoder

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FRAME = np.random.default_rng(1).integers(0, 256, (33, 46, 3), np.uint8)


def converted(path, *words) -> Encoder:
    assert main(["encoder", "convert", str(path), "--to", str(path.parent / "out" / "encoder.safetensors"), *words]) == 0
    return Encoder.load(path.parent / "out" / "encoder.safetensors", FRAME.shape)


class _Torch:
    """The ResNet of these weights, computed by PyTorch."""

    def __init__(self, named):
        self.torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        self.named = {name: self.torch.from_numpy(np.array(value)) for name, value in named.items()}

    def layer(self, x, name, norm, stride):
        functional, w = self.torch.nn.functional, self.named
        x = functional.conv2d(x, w[f"{name}.weight"], stride=stride, padding=w[f"{name}.weight"].shape[-1] // 2)
        kinds = ("running_mean", "running_var", "weight", "bias")
        return functional.batch_norm(x, *(w[f"{norm}.{kind}"] for kind in kinds))

    def features(self, stem, blocks, shortcut="plain"):
        """stem: (name, norm, stride); blocks: (prefix, convolutions, stride, of which convolution)."""
        functional = self.torch.nn.functional
        scaled = ((FRAME / 255.0 - MEAN) / STD).astype(np.float32)
        x = self.torch.from_numpy(scaled.transpose(2, 0, 1)[None])
        for name, norm, stride in stem:
            x = functional.relu(self.layer(x, name, norm, stride))
        x = functional.max_pool2d(x, 3, 2, 1)
        for prefix, count, stride, strided in blocks:
            y = x
            for k in range(1, count + 1):
                y = self.layer(y, f"{prefix}.conv{k}", f"{prefix}.bn{k}", stride if k == strided else 1)
                y = functional.relu(y) if k < count else y
            if f"{prefix}.downsample.0.weight" in self.named:
                x = self.layer(x, f"{prefix}.downsample.0", f"{prefix}.downsample.1", stride)
            elif f"{prefix}.downsample.1.weight" in self.named:
                x = functional.avg_pool2d(x, stride, stride, ceil_mode=True, count_include_pad=False) if stride > 1 else x
                x = self.layer(x, f"{prefix}.downsample.1", f"{prefix}.downsample.2", 1)
            x = functional.relu(x + y)
        return x.numpy()[0].transpose(1, 2, 0).reshape(-1)


STEM, BLOCKS = [("conv1", "bn1", 2)], [("layer1.0", 2, 1, 1), ("layer2.0", 2, 2, 1)]


def test_a_resnet_of_torchvision_computes_the_same_from_both_kinds_of_file(tmp_path):
    named = basic()
    theirs = _Torch(named)
    save_file(named, tmp_path / "a.safetensors")
    wrapped = {"epoch": 3, "state_dict": OrderedDict((f"module.{name}", value) for name, value in theirs.named.items())}
    theirs.torch.save(wrapped, tmp_path / "b.pth")
    expected = theirs.features(STEM, BLOCKS)
    for name in ("a.safetensors", "b.pth"):
        encoder = converted(tmp_path / name)
        np.testing.assert_allclose(encoder(FRAME), expected, rtol=1e-4, atol=1e-4)
        assert encoder.card.shape_of(33, 46) == (5, 6, WIDTHS[1]) and len(expected) == 5 * 6 * WIDTHS[1]
        assert encoder.card.blocks == (1, 1) and encoder.card.source == name


def test_fewer_stages_have_finer_features(tmp_path):
    named = basic()
    save_file(named, tmp_path / "a.safetensors")
    encoder = converted(tmp_path / "a.safetensors", "--stages", "1")
    np.testing.assert_allclose(encoder(FRAME), _Torch(named).features(STEM, BLOCKS[:1]), rtol=1e-4, atol=1e-4)
    assert encoder.card.shape_of(33, 46) == (9, 12, WIDTHS[0]) and not any("stage/1" in name for name in encoder.card.tensors)


def test_bottlenecks_a_deep_stem_and_averaged_shortcuts(tmp_path):
    rng, named = np.random.default_rng(2), {}
    for name, norm, out, into in (("conv1.0", "conv1.1", 4, 3), ("conv1.3", "conv1.4", 6, 4), ("conv1.6", "bn1", 8, 6)):
        named |= layer(rng, name, norm, out, into, 3)
    for stage, into in ((1, 8), (2, 16)):
        block = f"layer{stage}.0"
        for k, (out, from_, size) in enumerate(((4, into, 1), (4, 4, 3), (16, 4, 1)), 1):
            named |= layer(rng, f"{block}.conv{k}", f"{block}.bn{k}", out, from_, size)
    named |= layer(rng, "layer1.0.downsample.0", "layer1.0.downsample.1", 16, 8, 1)
    named |= layer(rng, "layer2.0.downsample.1", "layer2.0.downsample.2", 16, 16, 1)
    save_file(named, tmp_path / "a.safetensors")
    stem = [("conv1.0", "conv1.1", 2), ("conv1.3", "conv1.4", 1), ("conv1.6", "bn1", 1)]
    expected = _Torch(named).features(stem, [("layer1.0", 3, 1, 2), ("layer2.0", 3, 2, 2)])
    np.testing.assert_allclose(converted(tmp_path / "a.safetensors")(FRAME), expected, rtol=1e-4, atol=1e-4)


def test_the_names_of_transformers(tmp_path):
    ours, theirs = basic(), {}
    for name, value in ours.items():
        kind = name.rpartition(".")[2]
        is_kernel, stage = value.ndim == 4, name[5] if name.startswith("layer") else ""
        layer_of = "convolution" if is_kernel else "normalization"
        if name.startswith(("conv1", "bn1")):
            theirs[f"resnet.embedder.embedder.{layer_of}.{kind}"] = value
        elif stage:
            at = f"resnet.encoder.stages.{int(stage) - 1}.layers.0"
            part = "shortcut" if "downsample" in name else f"layer.{int(name.split('.')[2][-1]) - 1}"
            theirs[f"{at}.{part}.{layer_of}.{kind}"] = value
    save_file(theirs | {"classifier.1.weight": ours["fc.weight"]}, tmp_path / "b.safetensors")
    save_file(ours, tmp_path / "a.safetensors")
    first = converted(tmp_path / "a.safetensors")
    assert converted(tmp_path / "b.safetensors").card.digest == first.card.digest


class _Flax(nn.Module):
    """SERL's ResNet in small."""

    @nn.compact
    def __call__(self, x):
        norm = lambda name: nn.GroupNorm(num_groups=4, epsilon=1e-5, name=name)
        x = nn.Conv(8, (7, 7), (2, 2), [(3, 3), (3, 3)], use_bias=False, name="conv_init")(x)
        x = nn.max_pool(nn.relu(norm("norm_init")(x)), (3, 3), (2, 2), "SAME")
        for i, width in enumerate((8, 12)):
            x = _FlaxBlock(width, 2 if i else 1, name=f"ResNetBlock_{i}")(x)
        return x


class _FlaxBlock(nn.Module):
    width: int
    stride: int

    @nn.compact
    def __call__(self, x):
        norm = lambda name: nn.GroupNorm(num_groups=4, epsilon=1e-5, name=name)
        y = nn.Conv(self.width, (3, 3), (self.stride,) * 2, use_bias=False, name="Conv_0")(x)
        y = nn.Conv(self.width, (3, 3), use_bias=False, name="Conv_1")(nn.relu(norm("MyGroupNorm_0")(y)))
        y = norm("MyGroupNorm_1")(y)
        if x.shape != y.shape:
            x = norm("norm_proj")(nn.Conv(self.width, (1, 1), (self.stride,) * 2, use_bias=False, name="conv_proj")(x))
        return nn.relu(x + y)


@pytest.mark.parametrize("kind", ["numpy", "numpy, protocol 2", "numpy, protocol 5", "jax"])
def test_serls_pickle_is_read_without_unpickling(tmp_path, kind, monkeypatch):
    x = jnp.asarray(((FRAME[:32, :44] / 255.0 - MEAN) / STD)[None], jnp.float32)
    params = jax.tree.map(np.asarray, _Flax().init(jax.random.PRNGKey(3), x)["params"])
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: leaf + 0.1 * rng.normal(size=leaf.shape).astype(np.float32), params)
    held = jax.tree.map(jnp.asarray, params) if kind == "jax" else params
    protocol = int(kind[-1]) if "protocol" in kind else 4
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(held, protocol))
    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, None)
    encoder = converted(tmp_path / "a.pkl")
    expected = np.asarray(_Flax().apply({"params": params}, x)).reshape(-1)
    np.testing.assert_allclose(encoder(FRAME[:32, :44]), expected, rtol=1e-4, atol=1e-4)


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harmed",)


def test_what_a_pickle_would_do_is_not_done(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"conv1.weight": Harmful()}))
    found = inert.read((tmp_path / "a.pkl").read_bytes())["conv1.weight"]
    assert (found.name, found.arguments) == ("posix mkdir", ("harmed",))
    assert main(["encoder", "convert", "a.pkl", "--to", "b.safetensors"]) == 2
    assert "weights a.pkl: cannot be read: it holds no named array" in capsys.readouterr().err
    assert not (tmp_path / "harmed").exists()


def test_damage_anywhere_in_a_pickle_is_one_line(tmp_path):
    whole = pickle.dumps(basic(), 4)
    rng = np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(whole[: rng.integers(1, len(whole))] if rng.random() < 0.3 else whole)
        for place in rng.integers(0, min(len(data), 400), 3):
            data[place] = rng.integers(256)
        (tmp_path / "a.pkl").write_bytes(data)
        try:
            weights.read(tmp_path / "a.pkl")
        except ConfigError as error:
            assert "\n" not in str(error)


def without(name):
    return {key: value for key, value in basic().items() if key != name}


@pytest.mark.parametrize(
    "named, message",
    [
        ({"a.weight": np.ones(3, np.float32)}, "a.weight is not part of a ResNet; expected torchvision's"),
        ({"fc.weight": np.ones(3, np.float32)}, "contain no ResNet; expected one of torchvision, timm, transformers or SERL"),
        (without("layer2.0.bn2.running_var"), "stage/1/0/1 has no variance; expected a ResNet with its norms"),
        (without("layer2.0.conv2.weight"), "stage/1/0/1 has no kernel"),
        (basic() | {"layer2.0.se.fc1.weight": np.ones((1, 2), np.float32)}, "layer2.0.se.fc1.weight is not part of a ResNet"),
        (basic() | {"layer2.0.conv2.weight": np.ones((12, 3, 3, 3), np.float32)}, "arrays are not those of a ResNet"),
        (basic() | {"bn1.weight": np.ones(3, np.float32)}, "contain no complete ResNet: operands could not be broadcast"),
        ({name.replace("layer2", "layer5"): value for name, value in basic().items()}, "blocks are missing"),
        (basic() | {"bn1.bias": np.full(8, np.nan, np.float32)}, "stem/0 is not finite"),
    ],
)
def test_what_is_no_resnet_is_one_line_and_leaves_nothing(tmp_path, capsys, named, message):
    save_file(named, tmp_path / "a.safetensors")
    assert main(["encoder", "convert", str(tmp_path / "a.safetensors"), "--to", str(tmp_path / "b.safetensors")]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not (tmp_path / "b.safetensors").exists()


@pytest.mark.parametrize(
    "words, message",
    [
        (("missing.pth", "--to", "b.safetensors"), "weights missing.pth: cannot be read: [Errno 2]"),
        (("a.txt", "--to", "b.safetensors"), "weights a.txt: cannot be read: "),
        (("a.txt", "--to", "b.bin"), "--to b.bin: expected a file named .safetensors"),
        (("a.txt", "--to", "b.safetensors", "--stages", "5"), "--stages is 5; expected 1 to 4"),
    ],
)
def test_wrong_words_are_one_line(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("no weights")
    assert main(["encoder", "convert", *words]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def damaged(path, change):
    tensors = load_file(path)
    card = json.loads(files.read_card(path).model_dump_json())
    change(card, tensors)
    save_file(tensors, path, metadata={"jsac_ros.encoder": json.dumps(card)})


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda card, tensors: tensors.pop("stem/0/bias"), "has other arrays than its description"),
        (lambda card, tensors: tensors["stem/0/bias"].__iadd__(1), "is damaged: its arrays are not those that were written"),
        (lambda card, tensors: card.update(blocks=[1, 2]), "its arrays are not those of a ResNet"),
        (lambda card, tensors: card.update(channels=11), "features of a 64x64 image are"),
        (lambda card, tensors: card.update(padding="some"), "padding"),
        (lambda card, tensors: card.update(tensors={}), "tensors"),
    ],
)
def test_a_damaged_encoder_is_refused_in_one_line(tmp_path, change, message):
    path = encoder_file(tmp_path)
    damaged(path, change)
    with pytest.raises(ConfigError, match=message) as refused:
        Encoder.load(path, FRAME.shape)
    assert "\n" not in str(refused.value) and path in str(refused.value)


def test_weights_themselves_are_no_encoder(tmp_path):
    encoder_file(tmp_path)
    with pytest.raises(ConfigError, match="not a pretrained encoder; expected a file of `jsac-ros encoder convert`"):
        files.read_card(tmp_path / "weights.safetensors")


def test_a_pickle_whose_dicts_hold_each_other_is_refused(tmp_path):
    held: dict[str, object] = {}
    held |= {"a": held, "b": held, "c": held}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(held))
    with pytest.raises(ConfigError, match="its dicts are nested more than 12 deep, or hold more than 100000 names"):
        weights.read(tmp_path / "a.pkl")


DTYPE = b"cnumpy\ndtype\n\x8c\x02f4\x85R"
ONE, LARGE = b"K\x01", b"\x8b" + (4000).to_bytes(4, "little") + b"\x01" * 4000  # whole numbers of 1 and of 4,000 bytes


def pickled(name: bytes, shape: bytes) -> bytes:
    """{name: an array of four bytes and of this shape}."""
    array = b"cnumpy\n_frombuffer\n(C\x04abcd" + DTYPE + b"(" + shape + b"ttR"
    return b"\x80\x04}X" + len(name).to_bytes(4, "little") + name + array + b"s."


# A tuple of two references to a tuple, and so on: 60 levels, a text of 2^60 characters. Memo 0 holds the innermost.
SHARED = b")\x94" + b"".join(b"h%c" % k * 2 + b"\x86\x94" for k in range(60))
ARRAY_OF_SHARED = b"cnumpy\n_frombuffer\n(C\x04abcdcnumpy\ndtype\n" + SHARED + b"\x85RK\x01\x85tR"

BOMBS = {
    "a global with a name of shared parts": (b"\x80\x04}\x8c\x01a" + SHARED + b"\x8c\x01b\x93s.", "a global has no name"),
    "a type of shared parts": (b"\x80\x04}\x8c\x01a" + ARRAY_OF_SHARED + b"s.", "an array is of type none"),
    "keys that are hashed": (b"\x80\x04})" + b"\x85" * 1_000_000 + ONE + b"s.", "it holds no named array"),
    "axes": (pickled(b"a", ONE * 300_000), "expected a tuple of at most 8 numbers"),
    "large numbers": (pickled(b"a", LARGE * 3), "expected whole numbers from 0 to 4294967296"),
    "no values of a large shape": (pickled(b"a", b"K\x00" + LARGE), "expected whole numbers from 0 to 4294967296"),
    "a long name": (pickled(b"model." * 100_000, ONE), "expected at most 300 characters"),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("data", "message"), BOMBS.values(), ids=BOMBS)
def test_what_would_take_forever_is_refused(tmp_path, data, message):
    (tmp_path / "a.pkl").write_bytes(data)
    with pytest.raises(ConfigError, match=message):
        weights.read(tmp_path / "a.pkl")


def torch_file(path, compression, axes: int = 1, tensors: int = 1, kind: bytes = b"ctorch\nFloatStorage\n"):
    """As torch.save writes it: tensors that share a storage of 4 MB."""
    storage = b"(\x8c\x07storage" + kind + b"\x8c\x010\x8c\x03cpuK\x01tQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00(" + ONE * axes + b"t(" + ONE * axes + b"ttR"
    named = b"".join(b"\x8c\x04%04d" % number + tensor for number in range(tensors))
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("a/data.pkl", b"\x80\x04}(" + named + b"u.")
        archive.writestr("a/data/0", bytes(4 << 20))


@pytest.mark.timeout(20)
def test_a_storage_is_read_once_and_as_large_as_it_is_in_the_file(tmp_path):
    torch_file(tmp_path / "a.pth", zipfile.ZIP_STORED, tensors=3000)
    assert len(weights.read(tmp_path / "a.pth")) == 3000
    torch_file(tmp_path / "a.pth", zipfile.ZIP_STORED, axes=100_000)
    with pytest.raises(ConfigError, match="expected a tuple of at most 8 numbers"):
        weights.read(tmp_path / "a.pth")
    torch_file(tmp_path / "a.pth", zipfile.ZIP_DEFLATED)
    with pytest.raises(ConfigError, match="expected them uncompressed, as torch.save writes them"):
        weights.read(tmp_path / "a.pth")
    torch_file(tmp_path / "a.pth", zipfile.ZIP_STORED, kind=SHARED)
    with pytest.raises(ConfigError, match="a tensor is of no storage type"):
        weights.read(tmp_path / "a.pth")
