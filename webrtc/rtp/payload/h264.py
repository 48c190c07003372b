"""H.264 in the non-interleaved mode (RFC 6184, packetization-mode 1): single NAL, STAP-A, FU-A.

Frames are access units in Annex B form: NAL units after start codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from webrtc.rtp.errors import RtpDecodeError, RtpEncodeError
from webrtc.rtp.payload.base import PayloadInfo, evenly

START_CODE = b"\x00\x00\x00\x01"
_SLICE, _IDR, _SEI, _SPS, _PPS, _DELIMITER = 1, 5, 6, 7, 8, 9
_STAP_A, _FU_A = 24, 28
_TYPE_MASK = 0x1F
_FORBIDDEN = 0x80
_NRI_MASK = 0x60
_START_BIT, _END_BIT = 0x80, 0x40
_START_CODES = re.compile(b"\x00\x00\x01")
_NOTHING = PayloadInfo()


def split_annex_b(frame: bytes) -> Iterator[bytes]:
    """Yield the NAL units of a byte stream (H.264 annex B), without start codes or zeros after."""
    starts = [match.end() for match in _START_CODES.finditer(frame)]
    ends = [start - 3 for start in starts[1:]] + [len(frame)]
    for start, end in zip(starts, ends, strict=False):
        # A NAL unit ends in a bit that is set: zeros before a start code are not its own.
        unit = frame[start:end].rstrip(b"\x00")
        if unit:
            yield unit


class H264Packetiser:
    """Gathers small NAL units into STAP-A and cuts large ones into FU-A."""

    def packetise(self, frame: bytes, max_size: int) -> list[bytes]:
        """Return the payloads of an access unit; raises RtpEncodeError."""
        if max_size < 3:
            raise RtpEncodeError("no room for a payload")
        payloads: list[bytes] = []
        gathered: list[bytes] = []
        size = 1
        for unit in split_annex_b(frame):
            if unit[0] & _TYPE_MASK == _DELIMITER:
                continue  # RFC 6184 §5.2: RTP's timestamp delimits; decoders do not need it
            if gathered and size + 2 + len(unit) > max_size:
                payloads.append(self._aggregate(gathered))
                gathered, size = [], 1
            if len(unit) > max_size:
                payloads.extend(self._fragment(unit, max_size))
            else:
                gathered.append(unit)
                size += 2 + len(unit)
        if gathered:
            payloads.append(self._aggregate(gathered))
        if not payloads:
            raise RtpEncodeError("H.264 frame without NAL units")
        return payloads

    @staticmethod
    def _aggregate(units: list[bytes]) -> bytes:
        if len(units) == 1:
            return units[0]
        # §5.7.1: the highest NRI and F of what is inside.
        nri = max(unit[0] & _NRI_MASK for unit in units)
        forbidden = max(unit[0] & _FORBIDDEN for unit in units)
        return bytes((forbidden | nri | _STAP_A,)) + b"".join(
            len(unit).to_bytes(2) + unit for unit in units
        )

    @staticmethod
    def _fragment(unit: bytes, max_size: int) -> Iterator[bytes]:
        indicator = unit[0] & ~_TYPE_MASK | _FU_A
        pieces = list(evenly(unit[1:], max_size - 2))
        for index, piece in enumerate(pieces):
            header = unit[0] & _TYPE_MASK
            if index == 0:
                header |= _START_BIT
            if index == len(pieces) - 1:
                header |= _END_BIT
            yield bytes((indicator, header)) + piece


def _stap_units(payload: bytes) -> Iterator[bytes]:
    offset = 1
    while offset < len(payload):
        size = int.from_bytes(payload[offset : offset + 2])
        offset += 2
        if not size or offset + size > len(payload):
            raise RtpDecodeError("STAP-A is cut short")
        yield payload[offset : offset + size]
        offset += size


def _first_units(payload: bytes) -> Iterator[tuple[int, int]]:
    """Yield type and second byte of the NAL units that begin in this payload."""
    kind = payload[0] & _TYPE_MASK
    if kind == _STAP_A:
        for unit in _stap_units(payload):
            yield unit[0] & _TYPE_MASK, unit[1] if len(unit) > 1 else 0
    elif kind == _FU_A:
        if len(payload) < 2:
            raise RtpDecodeError("FU-A is cut short")
        if payload[1] & _START_BIT:
            yield payload[1] & _TYPE_MASK, payload[2] if len(payload) > 2 else 0
    elif 0 < kind < _STAP_A:
        yield kind, payload[1] if len(payload) > 1 else 0
    else:
        raise RtpDecodeError(f"NAL unit type {kind}")


class H264Depacketiser:
    """Writes Annex B again, every NAL unit after a start code of four bytes."""

    def inspect(self, payload: bytes) -> PayloadInfo:
        """Say whether an access unit begins here.

        H.264 has no flag for it; what comes before the first slice (H.264 §7.4.1.2.3), or a slice
        whose `first_mb_in_slice` is 0, begins one.
        """
        if not payload:
            return _NOTHING
        starts: bool | None = None
        key = False
        for kind, second in _first_units(payload):
            if starts is None:
                # The Exp-Golomb code of 0 is a single 1 bit.
                starts = kind in {_SEI, _SPS, _PPS, _DELIMITER} or (
                    kind in {_SLICE, 2, _IDR} and second > 0x7F
                )
            key = key or kind in {_IDR, _SPS}
        return PayloadInfo(bool(starts), key)

    def assemble(self, payloads: Sequence[bytes]) -> bytes:
        """Return the access unit."""
        out = bytearray()
        fragmenting = False
        for payload in payloads:
            if not payload:
                continue
            kind = payload[0] & _TYPE_MASK
            if fragmenting and kind != _FU_A:
                raise RtpDecodeError("FU-A does not end")
            if kind == _STAP_A:
                for unit in _stap_units(payload):
                    out += START_CODE + unit
            elif kind == _FU_A:
                fragmenting = self._add_fragment(out, payload, continues=fragmenting)
            elif 0 < kind < _STAP_A:
                out += START_CODE + payload
            else:
                raise RtpDecodeError(f"NAL unit type {kind}")
        if fragmenting:
            raise RtpDecodeError("FU-A does not end")
        return bytes(out)

    @staticmethod
    def _add_fragment(out: bytearray, payload: bytes, *, continues: bool) -> bool:
        """Add a fragment; return whether more of it must follow."""
        if len(payload) < 2:
            raise RtpDecodeError("FU-A is cut short")
        header = payload[1]
        if bool(header & _START_BIT) == continues:
            raise RtpDecodeError("FU-A begins in the middle")
        if not continues:
            out += START_CODE
            out.append(payload[0] & ~_TYPE_MASK | header & _TYPE_MASK)
        out += payload[2:]
        return not header & _END_BIT
