"""What holds for every test: which of them may try twice, and how Hypothesis draws."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

HERE = Path(__file__).parent
FOREIGN = tuple(
    HERE / path
    for path in (
        "interop",
        "ice_client/browsers",
        "ice_client/foreign",
        "webrtc/browser",
        "webrtc/demo",
        "webrtc/dtls/test_chromium.py",
        "webrtc/foreign",
        "webrtc/sdp/test_chromium.py",
    )
)
"""Tests that drive other people's programs: turnutils, browsers, aioice, libnice, pion, …

Those have races of their own, which show when a machine is busy: a browser that does not come
up, a port that two of them take. So these tests may fail once and try again, and the summary
names each that did; what fails twice in a row fails. Tests of our own code alone never do.
"""

# A busy machine is no defect. And CI draws what it drew last time: what is new is found by
# everybody else's runs, and by `make fuzz`.
settings.register_profile(
    "turnd",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
settings.load_profile("turnd")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests in `FOREIGN` try twice."""
    for item in items:
        if any(path in (item.path, *item.path.parents) for path in FOREIGN):
            item.add_marker(pytest.mark.flaky(reruns=1))
