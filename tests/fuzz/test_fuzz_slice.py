"""A short slice of the fuzz runs, with the same seeds every time."""

import random

import pytest

from tests.fuzz.targets import TARGETS

RUNS = {"decode": 4000, "frame": 2000, "core": 60, "authenticated": 2500, "sctp": 250}


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_escapes(name: str) -> None:
    for seed in range(RUNS[name]):
        TARGETS[name](random.Random(seed))
