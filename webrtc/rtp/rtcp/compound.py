"""Compound and reduced-size RTCP: several packets in one datagram (RFC 3550 §6.1, RFC 5506)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import attrs

from webrtc.rtp.errors import RtpDecodeError, RtpEncodeError
from webrtc.rtp.rtcp.feedback import (
    PAYLOAD_FEEDBACK,
    TRANSPORT_FEEDBACK,
    FullIntraRequest,
    GenericNack,
    PictureLossIndication,
    ReceiverEstimatedMaximumBitrate,
)
from webrtc.rtp.rtcp.reports import (
    ApplicationDefined,
    Goodbye,
    ReceiverReport,
    SenderReport,
    SourceDescription,
)
from webrtc.rtp.rtcp.transport_feedback import TransportFeedback

_VERSION = 2
_PADDING_BIT = 0x20


@attrs.frozen
class UnknownPacket:
    """A packet of a type or format that this package does not know, kept as it came.

    Attributes:
        packet_type: 8 bits.
        count: 5 bits: a count, subtype or format.
        body: what follows the common header.

    """

    packet_type: int
    count: int
    body: bytes

    def pack(self) -> tuple[int, bytes]:
        """Return count and body."""
        return self.count, self.body


RtcpPacket: TypeAlias = (
    SenderReport
    | ReceiverReport
    | SourceDescription
    | Goodbye
    | ApplicationDefined
    | GenericNack
    | PictureLossIndication
    | FullIntraRequest
    | ReceiverEstimatedMaximumBitrate
    | TransportFeedback
    | UnknownPacket
)

_COUNTED = {
    kind.packet_type: kind
    for kind in (SenderReport, ReceiverReport, SourceDescription, Goodbye, ApplicationDefined)
}
_FEEDBACK = {
    (kind.packet_type, kind.format): kind
    for kind in (
        GenericNack,
        PictureLossIndication,
        FullIntraRequest,
        ReceiverEstimatedMaximumBitrate,
        TransportFeedback,
    )
}


def parse_rtcp(data: bytes) -> tuple[RtcpPacket, ...]:
    """Parse a datagram. It need not begin with a report: reduced size is taken (RFC 5506).

    Raises:
        RtpDecodeError: any of its packets is malformed: then none is to be believed, as the
            validity checks of RFC 3550 appendix A.2 have it.

    """
    packets: list[RtcpPacket] = []
    offset, size = 0, len(data)
    if not size:
        raise RtpDecodeError("empty RTCP")
    while offset < size:
        if size - offset < 4:
            raise RtpDecodeError("RTCP ends within a header")
        first, packet_type = data[offset], data[offset + 1]
        if first >> 6 != _VERSION:
            raise RtpDecodeError(f"RTCP version {first >> 6}")
        end = offset + 4 + 4 * int.from_bytes(data[offset + 2 : offset + 4])
        if end > size:
            raise RtpDecodeError("RTCP ends within a packet")
        body = data[offset + 4 : end]
        if first & _PADDING_BIT:
            body = _unpadded(packet_type, body, is_last=end == size)
        packets.append(_parse_packet(packet_type, first & 0x1F, body))
        offset = end
    return tuple(packets)


def _unpadded(packet_type: int, body: bytes, *, is_last: bool) -> bytes:
    padding = body[-1] if body else 0
    # RFC 3550 §6.4.1: only the last packet may be padded, by whole words. But libwebrtc, and pion
    # after it, fill transport-wide feedback up to a word by padding, wherever it stands: without
    # this three of four of its messages would be lost.
    is_loose = packet_type == TRANSPORT_FEEDBACK
    if not 0 < padding <= len(body) or not (is_loose or (is_last and padding % 4 == 0)):
        raise RtpDecodeError(f"RTCP with {padding} bytes of padding")
    return body[:-padding]


def _parse_packet(packet_type: int, count: int, body: bytes) -> RtcpPacket:
    counted = _COUNTED.get(packet_type)
    if counted is not None:
        return counted.parse(count, body)
    if packet_type in {TRANSPORT_FEEDBACK, PAYLOAD_FEEDBACK}:
        kind = _FEEDBACK.get((packet_type, count))
        packet = None if kind is None else kind.parse(body)
        if packet is not None:
            return packet
    return UnknownPacket(packet_type, count, body)


def serialise_rtcp(packets: Iterable[RtcpPacket]) -> bytes:
    """Return one datagram with these packets.

    Raises:
        RtpEncodeError: a value that does not fit.

    """
    data = bytearray()
    for packet in packets:
        count, body = packet.pack()
        words, rest = divmod(len(body), 4)
        if rest or words > 0xFFFF:
            raise RtpEncodeError(f"RTCP packet of {len(body)} bytes")
        data += bytes((_VERSION << 6 | count, packet.packet_type))
        data += words.to_bytes(2) + body
    return bytes(data)
