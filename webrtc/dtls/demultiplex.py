"""What came in on the one port of a bundle: STUN, DTLS, RTP or RTCP (RFC 7983 §7, RFC 5761 §4)."""

from __future__ import annotations

import enum

from stun.demultiplex import PacketKind, packet_kind


class MediaPacketKind(enum.Enum):
    """Who gets a packet."""

    STUN = "stun"
    DTLS = "dtls"
    RTP = "rtp"
    RTCP = "rtcp"
    OTHER = "other"


_KINDS = {
    PacketKind.STUN: MediaPacketKind.STUN,
    PacketKind.DTLS: MediaPacketKind.DTLS,
    PacketKind.RTP: MediaPacketKind.RTP,
}
_BY_FIRST_BYTE = tuple(
    _KINDS.get(packet_kind(bytes((byte,))), MediaPacketKind.OTHER) for byte in range(256)
)
_RTP = MediaPacketKind.RTP
_FIRST_RTCP_TYPE, _LAST_RTCP_TYPE = 192, 223
"""RFC 5761 §4: RTP with marker and payload types 64 to 95 would look the same, so none is used."""


def media_packet_kind(data: bytes) -> MediaPacketKind:
    """Tell what a packet is. Per packet.

    ZRTP, QUIC, TURN channels (ICE has unwrapped its own) and what is empty are `OTHER`.
    """
    if not data:
        return MediaPacketKind.OTHER
    kind = _BY_FIRST_BYTE[data[0]]
    if kind is _RTP and len(data) > 1 and _FIRST_RTCP_TYPE <= data[1] <= _LAST_RTCP_TYPE:
        return MediaPacketKind.RTCP
    return kind
