"""The formats by the name that SDP has for them."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from webrtc.rtp.payload.av1 import Av1Depacketiser, Av1Packetiser
from webrtc.rtp.payload.base import Depacketiser, Packetiser
from webrtc.rtp.payload.h264 import H264Depacketiser, H264Packetiser
from webrtc.rtp.payload.vp8 import Vp8Depacketiser, Vp8Packetiser
from webrtc.rtp.payload.vp9 import Vp9Depacketiser, Vp9Packetiser
from webrtc.rtp.payload.whole import WholeDepacketiser, WholePacketiser


@attrs.frozen
class PayloadFormat:
    """One encoding.

    Attributes:
        name: of `a=rtpmap`, in its usual case.
        clock_rate: of timestamps, in Hz.
        is_video: whether frames span packets.
        packetiser: makes the sending half, from a random number of 15 bits.
        depacketiser: the receiving half.

    """

    name: str
    clock_rate: int
    is_video: bool
    packetiser: Callable[[int], Packetiser]
    depacketiser: Depacketiser


def _audio(name: str, clock_rate: int) -> PayloadFormat:
    return PayloadFormat(name, clock_rate, False, lambda _: WholePacketiser(), WholeDepacketiser())


PAYLOAD_FORMATS = (
    PayloadFormat("VP8", 90_000, True, Vp8Packetiser, Vp8Depacketiser()),
    PayloadFormat("VP9", 90_000, True, Vp9Packetiser, Vp9Depacketiser()),
    PayloadFormat("H264", 90_000, True, lambda _: H264Packetiser(), H264Depacketiser()),
    PayloadFormat("AV1", 90_000, True, lambda _: Av1Packetiser(), Av1Depacketiser()),
    _audio("opus", 48_000),
    _audio("PCMU", 8_000),
    _audio("PCMA", 8_000),
    _audio("G722", 8_000),  # RFC 3551 §4.5.2: an old mistake kept; it samples at 16 kHz
    _audio("telephone-event", 8_000),
)
_BY_NAME = {entry.name.lower(): entry for entry in PAYLOAD_FORMATS}


def find_format(name: str) -> PayloadFormat | None:
    """Return the format of this name; encoding names know no case (RFC 4855 §3)."""
    return _BY_NAME.get(name.lower())
