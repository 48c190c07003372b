"""RTCP's own packets: SR, RR, SDES, BYE and APP (RFC 3550 §6.4-6.7).

Each value packs itself to (count, body) and parses from them; the common header is `compound`'s.
"""

from __future__ import annotations

import enum
import struct
from typing import ClassVar, Self

import attrs

from webrtc.rtp.errors import RtpDecodeError, RtpEncodeError

_REPORT = struct.Struct("!IIIIII")
_SENDER = struct.Struct("!IQIII")
MAX_COUNT = 31
"""What the header's five bits can count."""


class SdesItem(enum.IntEnum):
    """RFC 3550 §6.5, and the identifiers of RFC 8843 §15 and RFC 8852 §4.2."""

    CNAME = 1
    NAME = 2
    EMAIL = 3
    PHONE = 4
    LOC = 5
    TOOL = 6
    NOTE = 7
    PRIV = 8
    RTP_STREAM_ID = 12
    REPAIRED_RTP_STREAM_ID = 13
    MID = 15


@attrs.frozen
class ReportBlock:
    """What a receiver says of one source (RFC 3550 §6.4.1).

    Attributes:
        ssrc: the source.
        fraction_lost: since the last report, in 1/256.
        packets_lost: since the beginning, 24 bits, signed: duplicates make it negative.
        highest_sequence_number: with the count of cycles in the high 16 bits.
        jitter: in timestamp units.
        last_sender_report: the middle 32 bits of the last SR's NTP time; 0 before one came.
        delay_since_last_sender_report: in 1/65536 s.

    """

    ssrc: int
    fraction_lost: int = 0
    packets_lost: int = 0
    highest_sequence_number: int = 0
    jitter: int = 0
    last_sender_report: int = 0
    delay_since_last_sender_report: int = 0

    def pack(self) -> bytes:
        """Return its 24 bytes.

        Raises:
            RtpEncodeError: a field is out of range.

        """
        if not -(1 << 23) <= self.packets_lost < 1 << 23 or not 0 <= self.fraction_lost < 256:
            raise RtpEncodeError(f"lost {self.packets_lost}, fraction {self.fraction_lost}")
        return _packed(
            _REPORT,
            self.ssrc,
            self.fraction_lost << 24 | self.packets_lost & 0xFFFFFF,
            self.highest_sequence_number,
            self.jitter,
            self.last_sender_report,
            self.delay_since_last_sender_report,
        )


def _packed(form: struct.Struct, *values: int) -> bytes:
    try:
        return form.pack(*values)
    except struct.error as error:
        raise RtpEncodeError(str(error)) from error


def _parse_reports(count: int, body: bytes, offset: int) -> tuple[ReportBlock, ...]:
    if len(body) < offset + count * _REPORT.size:
        raise RtpDecodeError(f"{count} report blocks in {len(body) - offset} bytes")
    reports = []
    for start in range(offset, offset + count * _REPORT.size, _REPORT.size):
        ssrc, lost, highest, jitter, last, delay = _REPORT.unpack_from(body, start)
        cumulative = lost & 0xFFFFFF
        if cumulative >= 1 << 23:
            cumulative -= 1 << 24
        reports.append(ReportBlock(ssrc, lost >> 24, cumulative, highest, jitter, last, delay))
    return tuple(reports)


def _pack_reports(reports: tuple[ReportBlock, ...]) -> bytes:
    if len(reports) > MAX_COUNT:
        raise RtpEncodeError(f"{len(reports)} report blocks")
    return b"".join(report.pack() for report in reports)


@attrs.frozen
class SenderReport:
    """SR (RFC 3550 §6.4.1).

    Attributes:
        ssrc: of the sender.
        ntp_time: 64 bits: seconds since 1900 in the high half, the fraction in the low.
        rtp_timestamp: the same instant on the media's clock.
        packet_count: sent since the beginning.
        octet_count: of payload.
        reports: on what it receives, at most 31.

    """

    packet_type: ClassVar[int] = 200

    ssrc: int
    ntp_time: int
    rtp_timestamp: int
    packet_count: int
    octet_count: int
    reports: tuple[ReportBlock, ...] = ()

    def pack(self) -> tuple[int, bytes]:
        """Return count and body; raises RtpEncodeError."""
        head = _packed(
            _SENDER,
            self.ssrc,
            self.ntp_time,
            self.rtp_timestamp,
            self.packet_count,
            self.octet_count,
        )
        return len(self.reports), head + _pack_reports(self.reports)

    @classmethod
    def parse(cls, count: int, body: bytes) -> Self:
        """Parse count and body; raises RtpDecodeError. Profile extensions are left out."""
        if len(body) < _SENDER.size:
            raise RtpDecodeError(f"SR of {len(body)} bytes")
        ssrc, ntp, timestamp, packets, octets = _SENDER.unpack_from(body)
        reports = _parse_reports(count, body, _SENDER.size)
        return cls(ssrc, ntp, timestamp, packets, octets, reports)


@attrs.frozen
class ReceiverReport:
    """RR (RFC 3550 §6.4.2).

    Attributes:
        ssrc: of who reports.
        reports: at most 31.

    """

    packet_type: ClassVar[int] = 201

    ssrc: int
    reports: tuple[ReportBlock, ...] = ()

    def pack(self) -> tuple[int, bytes]:
        """Return count and body; raises RtpEncodeError."""
        return len(self.reports), _packed(_SSRC, self.ssrc) + _pack_reports(self.reports)

    @classmethod
    def parse(cls, count: int, body: bytes) -> Self:
        """Parse count and body; raises RtpDecodeError. Profile extensions are left out."""
        if len(body) < 4:
            raise RtpDecodeError(f"RR of {len(body)} bytes")
        return cls(_SSRC.unpack_from(body)[0], _parse_reports(count, body, 4))


_SSRC = struct.Struct("!I")


@attrs.frozen
class SourceDescriptionChunk:
    """What one source says of itself.

    Attributes:
        ssrc: the source.
        items: type (`SdesItem` names some) and value, at most 255 bytes each.

    """

    ssrc: int
    items: tuple[tuple[int, bytes], ...] = ()

    def get(self, item: int) -> str | None:
        """Return the first such item's text."""
        for kind, value in self.items:
            if kind == item:
                return value.decode(errors="replace")
        return None


@attrs.frozen
class SourceDescription:
    """SDES (RFC 3550 §6.5)."""

    packet_type: ClassVar[int] = 202

    chunks: tuple[SourceDescriptionChunk, ...] = ()

    def pack(self) -> tuple[int, bytes]:
        """Return count and body; raises RtpEncodeError."""
        if len(self.chunks) > MAX_COUNT:
            raise RtpEncodeError(f"{len(self.chunks)} SDES chunks")
        body = bytearray()
        for chunk in self.chunks:
            body += _packed(_SSRC, chunk.ssrc)
            for kind, value in chunk.items:
                if not 0 < kind < 256 or len(value) > 255:
                    raise RtpEncodeError(f"SDES item {kind} of {len(value)} bytes")
                body += bytes((kind, len(value))) + value
            body += bytes(4 - len(body) % 4)  # §6.5: at least one null ends the list
        return len(self.chunks), bytes(body)

    @classmethod
    def parse(cls, count: int, body: bytes) -> Self:
        """Parse count and body; raises RtpDecodeError."""
        chunks = []
        offset = 0
        for _ in range(count):
            if len(body) < offset + 4:
                raise RtpDecodeError("SDES ends before its last chunk")
            ssrc = _SSRC.unpack_from(body, offset)[0]
            items, offset = cls._parse_items(body, offset + 4)
            chunks.append(SourceDescriptionChunk(ssrc, items))
        return cls(tuple(chunks))

    @staticmethod
    def _parse_items(body: bytes, offset: int) -> tuple[tuple[tuple[int, bytes], ...], int]:
        items: list[tuple[int, bytes]] = []
        while True:
            if offset >= len(body):
                raise RtpDecodeError("SDES chunk does not end")
            kind = body[offset]
            if not kind:
                return tuple(items), (offset + 4) & ~3
            if offset + 1 >= len(body) or offset + 2 + body[offset + 1] > len(body):
                raise RtpDecodeError("SDES item is cut short")
            end = offset + 2 + body[offset + 1]
            items.append((kind, body[offset + 2 : end]))
            offset = end


@attrs.frozen
class Goodbye:
    """BYE (RFC 3550 §6.6).

    Attributes:
        ssrcs: what leaves, at most 31.
        reason: at most 255 bytes; empty without.

    """

    packet_type: ClassVar[int] = 203

    ssrcs: tuple[int, ...] = ()
    reason: bytes = b""

    def pack(self) -> tuple[int, bytes]:
        """Return count and body; raises RtpEncodeError."""
        if len(self.ssrcs) > MAX_COUNT or len(self.reason) > 255:
            raise RtpEncodeError(f"BYE of {len(self.ssrcs)} sources")
        body = b"".join(_packed(_SSRC, ssrc) for ssrc in self.ssrcs)
        if self.reason:
            body += bytes((len(self.reason),)) + self.reason
            body += bytes(-len(body) % 4)
        return len(self.ssrcs), body

    @classmethod
    def parse(cls, count: int, body: bytes) -> Self:
        """Parse count and body; raises RtpDecodeError."""
        if len(body) < 4 * count:
            raise RtpDecodeError(f"BYE of {count} sources in {len(body)} bytes")
        reason = b""
        if len(body) > 4 * count:
            size = body[4 * count]
            reason = body[4 * count + 1 : 4 * count + 1 + size]
            if len(reason) < size:
                raise RtpDecodeError("BYE's reason is cut short")
        return cls(struct.unpack_from(f"!{count}I", body), reason)


@attrs.frozen
class ApplicationDefined:
    """APP (RFC 3550 §6.7).

    Attributes:
        ssrc: of the sender.
        name: four bytes.
        subtype: five bits.
        data: a multiple of four bytes.

    """

    packet_type: ClassVar[int] = 204

    ssrc: int
    name: bytes
    subtype: int = 0
    data: bytes = b""

    def pack(self) -> tuple[int, bytes]:
        """Return subtype and body; raises RtpEncodeError."""
        if len(self.name) != 4 or len(self.data) % 4 or not 0 <= self.subtype <= MAX_COUNT:
            raise RtpEncodeError(f"APP {self.name!r} of {len(self.data)} bytes")
        return self.subtype, _packed(_SSRC, self.ssrc) + self.name + self.data

    @classmethod
    def parse(cls, count: int, body: bytes) -> Self:
        """Parse subtype and body; raises RtpDecodeError."""
        if len(body) < 8:
            raise RtpDecodeError(f"APP of {len(body)} bytes")
        return cls(_SSRC.unpack_from(body)[0], body[4:8], count, body[8:])
