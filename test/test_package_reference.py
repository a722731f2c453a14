"""The pages of docs/reference are what `make reference` writes from the source."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location("write_reference", ROOT / "tools" / "write_reference.py")
reference = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reference)


@pytest.mark.parametrize("name", reference.PAGES)
def test_a_page_is_current(name):
    written = (ROOT / "docs" / "reference" / f"{name}.md").read_text()
    assert written == reference.PAGES[name](), f"docs/reference/{name}.md is not current; run: make reference"


def test_a_field_has_its_range_its_default_its_unit_and_its_comment():
    text = reference.configuration()
    assert "| `rate_hz` | number, 50 to 1000 | `125.0` | Hz | rate at which the safety node checks its inputs |" in text
    jerk = "largest jerk of a revolute joint; 0: not limited"
    assert f"| `max_joint_jerk_rad_s3` | number, 0 (off) or 1 to 10000 | `0.0` | rad/s³ | {jerk} |" in text
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) > 300 and [row[0] for row in rows if not row[-1].strip(" |")] == [], "fields without an explanation"


def test_examples_become_code():
    assert reference.examples_as_code("Does.\n  jsac-ros x\n\nMore.") == "Does.\n\n    jsac-ros x\n\nMore."
