"""Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01).

Arrival times of all packets of a transport, whatever their stream. Chunks say which packets came,
deltas when, in ticks of 250 µs after the one before.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar, Self

import attrs

from webrtc.rtp.errors import RtpDecodeError, RtpEncodeError
from webrtc.rtp.rtcp.feedback import TRANSPORT_FEEDBACK, pack_ssrcs, parse_ssrcs

TICK = 250e-6
"""Seconds of a receive delta (§3.1.5)."""
REFERENCE_TICKS = 256
"""Ticks of the reference time: 64 ms (§3.1)."""
_HEAD = struct.Struct("!HHI")
_SMALL, _LARGE, _RESERVED = 1, 2, 3
_MAX_RUN = (1 << 13) - 1


@attrs.frozen
class TransportFeedback:
    """One feedback message.

    Attributes:
        sender_ssrc: of who received.
        media_ssrc: any source of the transport.
        base_sequence_number: the first packet that this reports on.
        packet_count: how many it reports on, from there.
        reference_time: in 64 ms, 24 bits, signed; its origin is the receiver's choice.
        feedback_count: 8 bits, one more in each message: tells lost and reordered feedback.
        received: of what came, place after the base (ascending) and ticks after the one before
            in this list, or after the reference time. What is not listed did not come. Only what
            came is held, so that a few bytes cannot claim to be many.

    """

    packet_type: ClassVar[int] = TRANSPORT_FEEDBACK
    format: ClassVar[int] = 15

    sender_ssrc: int
    media_ssrc: int
    base_sequence_number: int
    packet_count: int
    reference_time: int
    feedback_count: int
    received: tuple[tuple[int, int], ...]

    def arrivals(self) -> Iterator[tuple[int, int]]:
        """Yield place after the base and arrival in ticks since the origin, of what came."""
        ticks = self.reference_time * REFERENCE_TICKS
        for place, delta in self.received:
            ticks += delta
            yield place, ticks

    def pack(self) -> tuple[int, bytes]:
        """Return format and body.

        Raises:
            RtpEncodeError: a delta over 16 bits: such packets belong into two messages.

        """
        symbols = bytearray(self.packet_count)
        deltas = bytearray()
        for place, delta in self.received:
            if not 0 <= place < self.packet_count or not -(1 << 15) <= delta < 1 << 15:
                raise RtpEncodeError(f"packet {place} with a delta of {delta}")
            if 0 <= delta < 256:
                symbols[place] = _SMALL
                deltas.append(delta)
            else:
                symbols[place] = _LARGE
                deltas += delta.to_bytes(2, signed=True)
        try:
            head = _HEAD.pack(
                self.base_sequence_number,
                self.packet_count,
                (self.reference_time & 0xFFFFFF) << 8 | self.feedback_count,
            )
        except struct.error as error:
            raise RtpEncodeError(str(error)) from error
        body = pack_ssrcs(self.sender_ssrc, self.media_ssrc) + head + _chunks(symbols) + deltas
        return self.format, body + bytes(-len(body) % 4)

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Parse a body; raises RtpDecodeError."""
        sender_ssrc, media_ssrc = parse_ssrcs(body)
        if len(body) < 8 + _HEAD.size:
            raise RtpDecodeError(f"transport feedback of {len(body)} bytes")
        base, count, times = _HEAD.unpack_from(body, 8)
        reference_time = times >> 8
        if reference_time >= 1 << 23:
            reference_time -= 1 << 24
        symbols, offset = _parse_chunks(body, 16, count)
        received = []
        size = len(body)
        for place, symbol in symbols:
            if offset + symbol > size:
                raise RtpDecodeError("transport feedback ends within its deltas")
            if symbol == _SMALL:
                received.append((place, body[offset]))
            else:
                received.append((place, int.from_bytes(body[offset : offset + 2], signed=True)))
            offset += symbol  # a small delta is one byte, a large one two
        return cls(
            sender_ssrc, media_ssrc, base, count, reference_time, times & 0xFF, tuple(received)
        )


def _chunks(symbols: bytearray) -> bytes:
    """Return packet chunks (§3.1.2-3.1.4): whichever says most in its 16 bits."""
    chunks = bytearray()
    place, count = 0, len(symbols)
    while place < count:
        symbol = symbols[place]
        run = 1
        while place + run < count and run < _MAX_RUN and symbols[place + run] == symbol:
            run += 1
        bits = 2 if _LARGE in symbols[place : place + 14] else 1
        width = 14 // bits
        if run >= width or place + run == count:
            chunks += (symbol << 13 | run).to_bytes(2)
            place += run
            continue
        vector = 0
        for symbol in symbols[place : place + width].ljust(width, b"\0"):
            vector = vector << bits | symbol
        chunks += (0x8000 | (bits - 1) << 14 | vector).to_bytes(2)
        place += width
    return bytes(chunks)


def _parse_chunks(body: bytes, offset: int, count: int) -> tuple[list[tuple[int, int]], int]:
    """Return place and symbol of what came, and where the deltas begin."""
    received: list[tuple[int, int]] = []
    place = 0
    # Each received packet takes a byte of delta: more cannot be true, whatever a run claims.
    most = len(body)
    while place < count:
        if offset + 2 > len(body):
            raise RtpDecodeError("transport feedback ends within its chunks")
        chunk = int.from_bytes(body[offset : offset + 2])
        offset += 2
        if chunk < 0x8000:
            symbol = chunk >> 13
            run = min(chunk & _MAX_RUN, count - place)
            if symbol and run > most:
                raise RtpDecodeError("transport feedback ends within its deltas")
            if symbol:
                received.extend((index, symbol) for index in range(place, place + run))
            place += chunk & _MAX_RUN
        else:
            bits = 2 if chunk & 0x4000 else 1
            for shift in range(14 - bits, -1, -bits):
                symbol = chunk >> shift & (1 << bits) - 1
                if symbol and place < count:
                    received.append((place, symbol))
                place += 1
    if any(symbol == _RESERVED for _, symbol in received):
        raise RtpDecodeError("transport feedback with a reserved symbol")
    return received, offset
