"""What somebody sends into a running call who has none of its secrets."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Iterator

import pytest

from tests.webrtc.dtls.test_forgery import forged_hello
from tests.webrtc.robust.running_call import running_call

COUNT = 2_000
"""Packets of one kind; each attack is made twice."""
MANY = 20_000


def noise(_number: int, dice: random.Random) -> bytes:
    return dice.randbytes(dice.randrange(1, 1200))


def bad_rtp(number: int, dice: random.Random) -> bytes:
    return b"\x80\x60" + (number & 0xFFFF).to_bytes(2) + dice.randbytes(400)


def bad_rtcp(_number: int, dice: random.Random) -> bytes:
    return b"\x80\xc8\x00\x06" + dice.randbytes(40)


def hello(number: int, _dice: random.Random) -> bytes:
    return forged_hello(number % 50)


def dtls_record(_number: int, dice: random.Random) -> bytes:
    """Application data of the epoch in use, with a tag that cannot be right."""
    return b"\x17\xfe\xfd\x00\x01" + dice.randbytes(6) + b"\x00\x40" + dice.randbytes(64)


def close_alert(_number: int, _dice: random.Random) -> bytes:
    return b"\x15\xfe\xfd\x00\x00" + bytes(6) + b"\x00\x02\x01\x00"


def stun(_number: int, dice: random.Random) -> bytes:
    """Return a Binding request or response without integrity, or an attribute cut short."""
    kind = dice.choice((b"\x00\x01", b"\x01\x01", b"\x01\x11", b"\x00\x11"))
    body = dice.choice((b"", b"\x00\x25\x00\x00", b"\x00\x06\x00\x40abcd"))
    return kind + len(body).to_bytes(2) + b"\x21\x12\xa4\x42" + dice.randbytes(12) + body


Forge = Callable[[int, random.Random], bytes]
KINDS = [noise, bad_rtp, bad_rtcp, hello, dtls_record, close_alert, stun]


def packets(forge: Forge, count: int = COUNT) -> Iterator[bytes]:
    dice = random.Random(1)
    return (forge(number, dice) for number in range(count))


def assorted(count: int = COUNT) -> Iterator[bytes]:
    dice = random.Random(2)
    return (dice.choice(KINDS)(number, dice) for number in range(count))


async def test_what_comes_from_unvalidated_sources_reaches_neither_dtls_nor_srtp() -> None:
    async with running_call() as call:
        victim = call.victim
        assert victim.srtp is not None
        assert victim.agent is not None
        before = victim.agent.stats().counters
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
            elsewhere.bind(("127.0.0.1", 0))
            elsewhere.setblocking(False)
            await call.assert_no_growth(
                assorted, lambda packet: call.send_from_elsewhere(elsewhere, packet)
            )
        after = victim.agent.stats().counters
        # What looks like STUN did arrive; it is the agent's to refuse.
        assert after.unauthenticated + after.malformed > before.unauthenticated + before.malformed
        assert victim.counters.unknown == 0
        assert victim.srtp.statistics.unauthentic == victim.srtp.statistics.malformed == 0
        dtls = victim.dtls.statistics
        assert dtls.malformed == dtls.unexpected == dtls.unauthentic_alerts == 0


@pytest.mark.parametrize("forge", KINDS)
async def test_a_call_goes_on_under_packets_with_the_peers_address(forge: Forge) -> None:
    async with running_call() as call:
        victim = call.victim
        await call.assert_no_growth(lambda: packets(forge), call.send)
        assert victim.agent is not None
        assert victim.srtp is not None
        ice, dtls = victim.agent.stats().counters, victim.dtls.statistics
        refused = (
            victim.counters.unknown
            + victim.srtp.statistics.unauthentic
            + victim.srtp.statistics.malformed
            + dtls.malformed
            + dtls.unexpected
            + dtls.unauthentic_alerts
            + ice.malformed
            + ice.unauthenticated
            + ice.unmatched_responses
            + ice.unexpected
        )
        if forge in (hello, dtls_record, close_alert):
            # OpenSSL drops records that do not authenticate without a word (RFC 6347 §4.1.2.7).
            refused = dtls.datagrams_received
        assert refused >= COUNT


async def test_tens_of_thousands_of_bad_srtp_packets_are_counted_and_forgotten() -> None:
    async with running_call() as call:
        srtp = call.victim.srtp
        assert srtp is not None
        await call.assert_no_growth(lambda: packets(bad_rtp, MANY), call.send)
        assert srtp.statistics.unauthentic >= 2 * 0.9 * MANY
