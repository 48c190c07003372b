"""A million packets of a forger's, where `tests/webrtc/robust` sends tens of thousands."""

from tests.webrtc.robust.running_call import running_call
from tests.webrtc.robust.test_outsiders import assorted, bad_rtp, packets

HALF = 500_000
"""The attack is made twice, and the second time must leave nothing behind."""


async def test_a_million_bad_srtp_packets_are_counted_and_forgotten() -> None:
    async with running_call() as call:
        srtp = call.victim.srtp
        assert srtp is not None
        await call.assert_no_growth(lambda: packets(bad_rtp, HALF), call.send)
        assert srtp.statistics.unauthentic >= 2 * 0.9 * HALF


async def test_a_hundred_thousand_packets_of_every_kind_change_nothing() -> None:
    async with running_call() as call:
        await call.assert_no_growth(lambda: assorted(HALF // 10), call.send)
