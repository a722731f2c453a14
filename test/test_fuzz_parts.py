"""Random and spoiled files and messages are accepted, or refused in one line, within bounds of time and memory."""

import os

import fuzz
import fuzz_files
import fuzz_foreign
import pytest

SECONDS = float(os.environ.get("JSAC_FUZZ_S", "1.0"))  # of each


@pytest.mark.timeout(120)
@pytest.mark.parametrize("part", (*fuzz_files.PARTS, *fuzz_foreign.PARTS), ids=lambda part: part.__name__)
def test_everything_that_is_read_is_accepted_or_refused_in_one_line(part):
    fuzz.fuzz_part(part, SECONDS, seed=fuzz.SEED)
