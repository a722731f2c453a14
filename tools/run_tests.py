"""`make test`: colcon test, then what was skipped and why, what failed, and as the last line the counts.

Exits with 1 when a test failed, a test process left no result, or nothing ran at all.
"""

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "jsac_ros"
TWO_AT_A_TIME = {"CTEST_PARALLEL_LEVEL": "2"}  # but for those that CMakeLists.txt runs alone
RESULTS = BUILD / "test_results" / "jsac_ros"


def count(results):
    """Reads JUnit files. Returns (number passed, [(test, message)] failed, [(test, reason)] skipped)."""
    passed, failed, skipped = 0, [], []
    for file in results:
        try:
            cases = list(ElementTree.parse(file).iter("testcase"))
        except (OSError, ElementTree.ParseError) as error:
            failed.append((file.name, f"no readable result: {error}"))
            continue
        for case in cases:
            name = f"{case.get('classname')}::{case.get('name')}"
            bad = [child for child in case if child.tag in ("failure", "error")]
            skip = case.find("skipped")
            if bad:
                failed.append((name, (bad[0].get("message") or "").strip().splitlines()[:1]))
            elif skip is not None:
                skipped.append((name, skip.get("message") or "no reason given"))
            else:
                passed += 1
    return passed, [(name, " ".join(text) if isinstance(text, list) else text) for name, text in failed], skipped


def expected_results():
    """One result file for every part of test/test_<part>_<what>.py, as CMakeLists.txt groups them."""
    parts = {file.stem.split("_")[1] for file in (ROOT / "test").glob("test_*.py")}
    return [RESULTS / f"{part}.xunit.xml" for part in sorted(parts)]


def main():
    results = expected_results()
    for file in RESULTS.glob("*.xml"):  # of an earlier run
        file.unlink()
    colcon = [sys.executable, "-m", "colcon", "test", "--packages-select", "jsac_ros", "--return-code-on-test-failure"]
    status = subprocess.run(
        [*colcon, "--event-handlers", "console_direct+"], cwd=ROOT, env=os.environ | TWO_AT_A_TIME, stdin=subprocess.DEVNULL
    ).returncode
    passed, failed, skipped = count(results)
    print()
    for name, reason in skipped:
        print(f"skipped {name}: {reason}")
    for name, message in failed:
        print(f"FAILED {name}: {message}")
    if status and not failed:
        print(f"colcon test ended with status {status}")
    print(f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped", flush=True)
    return 1 if failed or status or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
