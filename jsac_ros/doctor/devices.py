"""The devices of JAX, queried in a child process, so that JAX is not loaded here and a hanging driver only costs a time-out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from jsac_ros.doctor.finding import Finding

_PROGRAM = "import json, jax; print(json.dumps([[d.platform, d.device_kind] for d in jax.devices()]))"
TIMEOUT_S = 15.0
NVIDIA = Path("/dev/nvidiactl")


def check_devices() -> Finding:
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            env=os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Finding(
            "JAX", "red", f"did not list its devices within {TIMEOUT_S:g} s", "restart the GPU's driver; docs/gpu.md"
        )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        return Finding("JAX", "red", last, "`make setup` installs it again")
    return devices(json.loads(done.stdout.splitlines()[-1]), NVIDIA.exists())


def devices(found: Sequence[tuple[str, str]], has_nvidia: bool) -> Finding:
    """found: platform and kind of every JAX device."""
    said = ", ".join(f"{kind} ({platform})" if kind != platform else platform for platform, kind in found)
    if has_nvidia and not any(platform in ("gpu", "cuda") for platform, _ in found):
        cure = "install JAX's CUDA plug-in: docs/gpu.md. The learner uses the CPU until then."
        return Finding("JAX", "amber", f"{said}, although an NVIDIA driver is installed", cure)
    return Finding("JAX", "green", said)
