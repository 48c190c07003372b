"""A slice of `make asan`: the storm, with what a sanitizer finds as the test's failure."""

from __future__ import annotations

import pytest

from tests.fuzz.sanitized import Sanitizer, leaks_of_ours, run_storm
from turnd.datapath.select import is_compiled

SECONDS = 2.5


@pytest.mark.parametrize("sanitizer", Sanitizer if is_compiled() else [])
def test_no_sanitizer_sees_anything_in_a_storm(sanitizer: Sanitizer) -> None:
    storm = run_storm(sanitizer, SECONDS, seed=1)
    assert storm.returncode == 0, storm.stdout + storm.stderr[:8000]
    assert leaks_of_ours(storm.stderr) == []
