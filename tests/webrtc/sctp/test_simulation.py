"""Channels of every kind on bad networks, a slice by seed."""

import pytest

from tests.webrtc.sctp.simulation import Run


@pytest.mark.parametrize("seed", range(120))
def test_every_channel_keeps_its_promise_and_nothing_is_left(seed: int) -> None:
    Run(seed).run()
