"""Whatever a node hears on any of its topics, it is used, or refused in one line; nothing that it does afterwards fails."""

import os
import re
from pathlib import Path

import pytest

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

import fuzz
import fuzz_nodes

SECONDS = float(os.environ.get("JSAC_FUZZ_S", "0.7"))  # of each
PAGE = Path(__file__).parents[1] / "docs" / "reference" / "topics.md"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Is put back afterwards."""
    for name in ("ROS_DOMAIN_ID", "JSAC_RUN_FOLDER", "ROS_AUTOMATIC_DISCOVERY_RANGE"):
        monkeypatch.setenv(name, "0")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("case", fuzz_nodes.CASES)
def test_whatever_a_node_hears_is_used_or_refused_in_one_line(case, tmp_path):
    tried = fuzz_nodes.fuzz_node(case, tmp_path, SECONDS, seed=fuzz.SEED)
    doors = [door for rows in fuzz_nodes.SUBSCRIBES.values() for door in rows.values()]
    assert {topic for name, *topics in doors if name == case for topic in topics} <= tried.keys()


def test_whatever_the_doctor_hears_does_not_end_it():
    fuzz.fuzz_part(fuzz_nodes.ears, SECONDS, seed=fuzz.SEED)


def test_no_subscription_of_the_reference_is_left_out():
    found, section = {}, ""
    for line in PAGE.read_text().splitlines():
        section = line.removeprefix("## ") if line.startswith("## ") else section
        if row := re.fullmatch(r"\| subscribes \| `(.+?)` \| `(.+?)` \|.*", line):
            found.setdefault(section, set()).add(row.groups())
    assert found == {section: rows.keys() for section, rows in fuzz_nodes.SUBSCRIBES.items()}
    doors = [door for rows in fuzz_nodes.SUBSCRIBES.values() for door in rows.values()]
    assert {name for name, *_ in doors} <= {*fuzz_nodes.CASES, fuzz_nodes.ears.__name__}
