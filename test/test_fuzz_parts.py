"""Random and spoiled files and messages are accepted, or refused in one line, within bounds of time and memory."""

import os
import time

import fuzz
import pytest

SECONDS = float(os.environ.get("JSAC_FUZZ_S", "4"))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("part", fuzz.PARTS)
def test_everything_that_is_read_is_accepted_or_refused_in_one_line(part):
    fuzz.fuzz_part(part, SECONDS, seed=int(time.time()))
