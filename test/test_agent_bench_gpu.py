"""`jsac-ros bench gpu` as it runs where there is no GPU: what float32 means on both sides, and a peak of memory a shape."""

from __future__ import annotations

import argparse
import json
import time

import agent_cases  # noqa: F401  compiles without optimising
import jax
import pytest

from jsac_ros.agent.jsac.parameters import JsacParameters
from jsac_ros.bench import gpu
from jsac_ros.bench.cases import CASES, _case
from jsac_ros.bench.update import without_tf32

SMALLEST = "48x48x9_b64"


@pytest.fixture
def precision():
    """Of JAX as it was, afterwards."""
    before = jax.config.jax_default_matmul_precision
    yield
    jax.config.update("jax_default_matmul_precision", before)


def test_float32_is_float32_in_jax_and_in_torch(precision):
    assert without_tf32("jax") == "jax with default_matmul_precision 'highest'"
    assert jax.config.jax_default_matmul_precision == "highest"
    torch = pytest.importorskip("torch")
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    try:
        assert without_tf32("torch") == "torch with cuda.matmul.allow_tf32 False and cudnn.allow_tf32 False"
        assert not (torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32)
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def arguments(minutes, file, *shapes):
    return argparse.Namespace(minutes=minutes, shapes=list(shapes), json=file)


def test_every_shape_has_its_peak_and_what_was_set_is_printed(monkeypatch, tmp_path, capsys):
    peaks = iter(range(100, 200))

    def measured(part, shape, until_s):
        if part in gpu.JAX_VARIANTS:
            return {
                "shape": shape,
                "ms": 2.0,
                "peak_mib": next(peaks),
                "float32": "jax with default_matmul_precision 'highest'",
            }
        return None

    monkeypatch.setattr(gpu, "_measured", measured)
    shapes = [SMALLEST, "64x64x9_b64"]
    assert gpu.main(arguments(8.0, tmp_path / "found.json", *shapes)) == 0
    found, printed = json.loads((tmp_path / "found.json").read_text()), capsys.readouterr().out
    assert [found["peak_memory_mib"][shape]["ours"] for shape in shapes] == [100, 101]
    table = printed[printed.index("peak memory, MiB") :]
    assert all(line.split()[1] == peak for line, peak in zip(table.splitlines()[1:3], ("100", "101"), strict=True))
    assert "float32: jax with default_matmul_precision 'highest'; scan" in printed


TINY = dict(conv_channels=(4,), conv_kernels=(3,), conv_strides=(2,), latent_dim=4, hidden=(8,), q_count=2)


def test_a_worker_measures_an_update_and_acting_on_a_cpu(monkeypatch, precision):
    small = _case(16, 16, 4, 2, parameters=JsacParameters(**TINY))
    monkeypatch.setitem(CASES, "tiny", small)
    line = gpu.run_worker("ours", "tiny")
    assert line["ms"] > 0.0 and line["float32"] == "jax with default_matmul_precision 'highest'"
    assert gpu.run_worker("act", "tiny")["cpu_ms"] > 0.0


@pytest.mark.timeout(120)
def test_the_command_ends_within_its_time_and_names_what_it_did_not_measure(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setattr(gpu, "TORCH_VARIANTS", ())
    began = time.monotonic()
    assert gpu.main(arguments(2.0 / 60.0, tmp_path / "found.json", SMALLEST)) == 0
    assert time.monotonic() - began < 20.0
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["not_measured"][-2:] == [f"{part} {gpu.ONE_SHAPE}" for part in ("act", "prefetch")]
    assert "median ms per update" in capsys.readouterr().out


@pytest.mark.timeout(120)
def test_a_worker_process_answers_with_what_the_device_reaches(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    line = gpu._measured("device", SMALLEST, time.monotonic() + 100.0)
    assert line["backend"] == "cpu" and line["float32_tflops"] > 0.0 and line["memory_gb_s"] > 0.0
    assert gpu._measured("device", SMALLEST, time.monotonic() - 1.0) is None, "no time is left"
