"""What a packet is, by its first byte (RFC 7983 §7)."""

from __future__ import annotations

import enum


class PacketKind(enum.Enum):
    """The protocols that may share a transport address."""

    STUN = "stun"
    ZRTP = "zrtp"
    DTLS = "dtls"
    TURN_CHANNEL = "turn-channel"
    QUIC = "quic"
    RTP = "rtp"
    UNKNOWN = "unknown"


_KINDS = tuple(
    PacketKind.STUN
    if byte <= 3
    else PacketKind.ZRTP
    if 16 <= byte <= 19
    else PacketKind.DTLS
    if 20 <= byte <= 63
    else PacketKind.TURN_CHANNEL
    if 64 <= byte <= 79
    else PacketKind.QUIC
    if 80 <= byte <= 127 or byte >= 192
    else PacketKind.RTP
    if 128 <= byte <= 191
    else PacketKind.UNKNOWN
    for byte in range(256)
)


def packet_kind(data: bytes) -> PacketKind:
    """Tell what a packet is (RFC 7983 §7 with RFC 9443's range for QUIC); empty ones are unknown.

    A TURN server that takes the channels of RFC 5766 (0x4000 to 0x7FFF) treats QUIC's 80 to
    127 as channels too: nobody sends it QUIC.
    """
    return _KINDS[data[0]] if data else PacketKind.UNKNOWN
