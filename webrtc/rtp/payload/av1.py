"""AV1 (AOM's "RTP Payload Format For AV1", v1.0): OBUs in aggregates, cut where they must be.

Frames are temporal units in the low-overhead format, every OBU with its size (AV1 §5.2).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from webrtc.rtp.errors import RtpDecodeError, RtpEncodeError
from webrtc.rtp.payload.base import PayloadInfo

_CONTINUES, _CONTINUED, _NEW_SEQUENCE = 0x80, 0x40, 0x08
"""Z, Y and N of the aggregation header (§4.4)."""
_MAX_COUNT = 3
_SEQUENCE_HEADER, _TEMPORAL_DELIMITER, _TILE_LIST, _PADDING = 1, 2, 8, 15
_HAS_EXTENSION, _HAS_SIZE = 0x04, 0x02
_DELIMITER = bytes((_TEMPORAL_DELIMITER << 3 | _HAS_SIZE, 0))
MAX_LEB128_BYTES = 8


def pack_leb128(value: int) -> bytes:
    """Return a number in little-endian base 128 (AV1 §4.10.5)."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def parse_leb128(data: bytes, offset: int) -> tuple[int, int]:
    """Return a number and where it ends; raises RtpDecodeError."""
    value = 0
    for index in range(MAX_LEB128_BYTES):
        if offset + index >= len(data):
            break
        byte = data[offset + index]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, offset + index + 1
    raise RtpDecodeError("LEB128 does not end")


def _units(frame: bytes) -> Iterator[bytes]:
    """Yield the OBUs of a temporal unit, without their sizes."""
    offset = 0
    while offset < len(frame):
        header = frame[offset]
        head = 2 if header & _HAS_EXTENSION else 1
        if header & 0x80 or offset + head > len(frame):
            raise RtpDecodeError("not an AV1 temporal unit")
        start = offset + head
        end = len(frame)
        if header & _HAS_SIZE:
            size, start = parse_leb128(frame, start)
            end = start + size
            if end > len(frame):
                raise RtpDecodeError("OBU is cut short")
        yield bytes((header & ~_HAS_SIZE,)) + frame[offset + 1 : offset + head] + frame[start:end]
        offset = end


def _kind(unit: bytes) -> int:
    return unit[0] >> 3 & 0x0F


class Av1Packetiser:
    """Fills packets with OBUs. Temporal delimiters, tile lists and padding are left out (§5)."""

    def packetise(self, frame: bytes, max_size: int) -> list[bytes]:
        """Return the payloads of a temporal unit; raises RtpEncodeError."""
        try:
            units = [
                unit
                for unit in _units(frame)
                if _kind(unit) not in {_TEMPORAL_DELIMITER, _TILE_LIST, _PADDING}
            ]
        except RtpDecodeError as error:
            raise RtpEncodeError(str(error)) from error
        if not units or max_size < 4:
            raise RtpEncodeError("AV1 temporal unit without OBUs, or no room for a payload")
        new_sequence = _NEW_SEQUENCE if _kind(units[0]) == _SEQUENCE_HEADER else 0
        payloads = []
        elements: list[bytes] = []
        room = max_size - 1
        continues = 0
        for unit in units:
            rest = unit
            while rest:
                # A length before every element: a byte or two that §4.3 would let the last spare.
                length = len(pack_leb128(min(len(rest), room)))
                if room <= length:
                    payloads.append(self._payload(elements, continues, 0))
                    elements, room, continues = [], max_size - 1, 0
                    continue
                piece, rest = rest[: room - length], rest[room - length :]
                elements.append(piece)
                room -= length + len(piece)
                if rest:
                    payloads.append(self._payload(elements, continues, _CONTINUED))
                    elements, room, continues = [], max_size - 1, _CONTINUES
        if elements:
            payloads.append(self._payload(elements, continues, 0))
        payloads[0] = bytes((payloads[0][0] | new_sequence,)) + payloads[0][1:]
        return payloads

    @staticmethod
    def _payload(elements: list[bytes], continues: int, continued: int) -> bytes:
        count = len(elements) if len(elements) <= _MAX_COUNT else 0
        out = bytearray((continues | continued | count << 4,))
        for index, element in enumerate(elements, start=1):
            if index != count:  # with a count, the last element reaches to the end
                out += pack_leb128(len(element))
            out += element
        return bytes(out)


def _elements(payload: bytes) -> Iterator[bytes]:
    count = payload[0] >> 4 & 0x03
    offset = index = 1
    while offset < len(payload):
        end = len(payload)
        if index != count:
            size, offset = parse_leb128(payload, offset)
            end = offset + size
            if end > len(payload):
                raise RtpDecodeError("OBU element is cut short")
        yield payload[offset:end]
        offset = end
        index += 1
        if count and index > count and offset < len(payload):
            raise RtpDecodeError("OBU elements beyond their count")
    if count and index <= count:
        raise RtpDecodeError("OBU elements are missing")


class Av1Depacketiser:
    """Joins OBUs, and gives each its size again."""

    def inspect(self, payload: bytes) -> PayloadInfo:
        """Say whether a coded video sequence begins here: AV1 marks no other frame's start."""
        if not payload:
            raise RtpDecodeError("AV1 payload without its header")
        new = bool(payload[0] & _NEW_SEQUENCE)
        if new and payload[0] & _CONTINUES:
            raise RtpDecodeError("AV1 sequence that begins in the middle")
        return PayloadInfo(new, new)

    def assemble(self, payloads: Sequence[bytes]) -> bytes:
        """Return the temporal unit, its delimiter first."""
        out = bytearray(_DELIMITER)
        pending: bytearray | None = None
        for payload in payloads:
            if not payload:
                continue
            elements = list(_elements(payload))
            if bool(payload[0] & _CONTINUES) != (pending is not None):
                raise RtpDecodeError("AV1 OBU is not continued as it should be")
            for index, element in enumerate(elements):
                if index == 0 and pending is not None:
                    pending += element
                else:
                    pending = bytearray(element)
                if index == len(elements) - 1 and payload[0] & _CONTINUED:
                    break
                self._add(out, bytes(pending))
                pending = None
        if pending is not None:
            raise RtpDecodeError("AV1 OBU does not end")
        return bytes(out)

    @staticmethod
    def _add(out: bytearray, unit: bytes) -> None:
        head = 2 if unit and unit[0] & _HAS_EXTENSION else 1
        if len(unit) < head:
            raise RtpDecodeError("empty OBU")
        if _kind(unit) in {_TEMPORAL_DELIMITER, _TILE_LIST, _PADDING}:
            return  # §5: to be ignored
        if unit[0] & _HAS_SIZE:
            _, start = parse_leb128(unit, head)
        else:
            start = head
        out.append(unit[0] | _HAS_SIZE)
        out += unit[1:head] + pack_leb128(len(unit) - start) + unit[start:]
