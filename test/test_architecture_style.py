"""The style and the types of the source, by the tools that pyproject.toml configures."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CHECKS = {
    "lint": ("ruff", "check", "--no-cache", "."),
    "format": ("ruff", "format", "--no-cache", "--check", "."),
    "types": ("mypy", "--cache-dir", "/dev/null"),
}


@pytest.mark.parametrize("check", CHECKS)
def test_source_passes(check):
    found = subprocess.run([sys.executable, "-m", *CHECKS[check]], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
