"""The dashboard's pictures in the documentation: one of each state, size and colour scheme, small, and each is shown."""

import importlib.util
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "states.md").read_text()


def tool():
    spec = importlib.util.spec_from_file_location("take_screenshots", ROOT / "tools" / "take_screenshots.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOL = tool()


@pytest.mark.parametrize("state", TOOL.STATES)
def test_every_state_is_shown(state):
    called = TOOL.STATES[state][1]
    assert f"\n## {called}\n".lower() in PAGE.lower(), "a section with the words of the page"
    for size, pixels in TOOL.SIZES.items():
        for scheme in TOOL.SCHEMES:
            path = TOOL.picture_of(state, size, scheme)
            assert path.stat().st_size < TOOL.MOST_BYTES, path
            assert Image.open(path).format == "WEBP" and Image.open(path).size == pixels
            assert f"screenshots/{path.name}" in PAGE, path


def test_there_is_no_other_picture():
    expected = {TOOL.picture_of(state, size, scheme) for state in TOOL.STATES for size in TOOL.SIZES for scheme in TOOL.SCHEMES}
    assert set(TOOL.FOLDER.iterdir()) == expected
