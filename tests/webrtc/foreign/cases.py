"""The table of what is shown with peers that are no browsers; `test_foreign_peers.py` shows it."""

from __future__ import annotations

import enum
from typing import Any

import attrs
import pytest

from tests.webrtc.foreign.lines import FIRST, FREQUENCY, PICTURES
from tests.webrtc.foreign.process import Program

KIB = 1024
OUR_FIRST = 1000
"""The counter of the first picture that we show,"""
OUR_NEXT = 4000
"""and of that after a break."""
OUR_FREQUENCY = 440.0


class Feature(enum.Enum):
    """What is shown in a call."""

    OUR_OFFER = "ours offers: media both ways, channels of every kind"
    THEIR_OFFER = "ours answers: media both ways, channels of every kind"
    CHANGES = "tracks come and go at both ends"
    ADDITIONS = "tracks come at both ends"
    OUR_RESTART = "ours restarts ICE"
    THEIR_RESTART = "theirs restarts ICE"
    FILE_OUT = "a file from ours"
    FILE_IN = "a file to ours"
    UDP_RELAYS = "both at turnd's relays alone, by UDP"
    TCP_RELAYS = "both at turnd's relays alone, by TCP"
    TLS_RELAYS = "both at turnd's relays alone, by TLS"


@attrs.frozen
class Foreign:
    """What a foreign implementation can do.

    Attributes:
        longest_taken: bytes of the longest message that its descriptions let us send.
        longest_read: bytes of the longest that it really takes.
        file_out: bytes of the file that it gets; seconds for each. The longest tests have 50 MB
            each way for all.
        file_in: bytes of the file that it sends.
        first_picture: the counter of the first of the pictures that it shows.
        frequency: of the tone that it sounds, in Hz.
        has_codecs: whether it decodes; who doesn't sends our media back as they come.
        offers_changes: whether its offers in mid-call can be kept to; else we offer for it.
        cannot: what it can't do, and why.

    """

    longest_taken: int
    longest_read: int
    file_out: int
    file_in: int
    first_picture: int = FIRST
    frequency: float = FREQUENCY
    has_codecs: bool = True
    offers_changes: bool = True
    cannot: dict[Feature, str] = attrs.field(factory=dict)


_NO_RESTART = "its ICE credentials are set once"

TABLE = {
    Program.AIORTC: Foreign(
        longest_taken=256 * KIB,
        longest_read=256 * KIB,
        file_out=4_000_000,
        file_in=50_000_000,
        # It gives its codecs other numbers then, and goes on to receive by the old ones.
        offers_changes=False,
        cannot={Feature.OUR_RESTART: _NO_RESTART, Feature.THEIR_RESTART: _NO_RESTART},
    ),
    Program.PION: Foreign(
        # Its descriptions name no length (RFC 8841 §6.1 has a default), and its buffer is a byte
        # shorter than that.
        longest_taken=64 * KIB,
        longest_read=64 * KIB - 1,
        file_out=50_000_000,
        file_in=10_000_000,
        first_picture=OUR_FIRST,
        frequency=OUR_FREQUENCY,
        has_codecs=False,
    ),
    Program.GSTREAMER: Foreign(
        longest_taken=64 * KIB,
        longest_read=64 * KIB,
        file_out=50_000_000,
        file_in=10_000_000,
        cannot={
            Feature.CHANGES: "webrtcbin 1.22 says itself that it has no changes of direction, nor "
            "can it offer once it has answered an offer with tracks in it",
            Feature.OUR_RESTART: "webrtcbin 1.22 answers a restart with its old credentials",
            Feature.THEIR_RESTART: "webrtcbin 1.22 has no restart",
            Feature.TLS_RELAYS: "libnice has no TLS to TURN servers: it takes turns: for plain TCP",
        },
    ),
    Program.WRTC: Foreign(
        longest_taken=256 * KIB,
        longest_read=256 * KIB,
        file_out=50_000_000,
        file_in=50_000_000,
        cannot={
            Feature.TLS_RELAYS: "it trusts the authorities built into libwebrtc alone, and no "
            "option of it adds a test's",
        },
    ),
}

CASES = [
    pytest.param(program, feature, id=f"{program.value}: {feature.value}")
    for program, foreign in TABLE.items()
    for feature in Feature
    if feature not in foreign.cannot
    # Who can do more need not show this.
    and (feature is not Feature.ADDITIONS or Feature.CHANGES in foreign.cannot)
]
RELAYS = {
    Feature.UDP_RELAYS: "udp",
    Feature.TCP_RELAYS: "tcp",
    Feature.TLS_RELAYS: "tls",
}
"""How both ends speak to turnd, as its log calls it."""


def counters_of(foreign: Foreign) -> range:
    """Return the counters that its pictures may have."""
    return range(foreign.first_picture, foreign.first_picture + PICTURES)


CHANNELS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"ordered": False, "protocol": "lines"}, {"ordered": False, "protocol": "lines"}),
    ({"max_retransmits": 3}, {"maxRetransmits": 3}),
    ({"max_retransmits": 0, "ordered": False}, {"maxRetransmits": 0, "ordered": False}),
    ({"max_lifetime": 0.5}, {"maxPacketLifeTime": 500}),
]
"""Every kind of channel, as we open it and as the W3C names it."""
