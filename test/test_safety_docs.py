"""The safety manual names every rule and every fault that it speaks of exists."""

from pathlib import Path

from jsac_ros.bench.fault_kinds import FAULTS
from jsac_ros.control.safety.rules import NAMES, RULES

MANUAL = (Path(__file__).resolve().parent.parent / "docs" / "safety.md").read_text()


def test_every_rule_is_in_the_manual_and_has_its_reason():
    assert [name for name in NAMES if f"`{name}`" not in MANUAL] == []
    assert all(rule.applies.__doc__ for rule in RULES)


def test_the_table_shows_every_fault_of_the_campaign():
    assert [fault for fault in FAULTS if f"| {fault} |" not in MANUAL] == []
