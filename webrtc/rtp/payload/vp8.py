"""VP8 (RFC 7741)."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from webrtc.rtp.errors import RtpDecodeError, RtpEncodeError
from webrtc.rtp.payload.base import PayloadInfo, evenly

_EXTENDED, _NON_REFERENCE, _START, _PARTITION = 0x80, 0x20, 0x10, 0x07
_HAS_PICTURE_ID, _HAS_TL0PICIDX, _HAS_TID, _HAS_KEYIDX = 0x80, 0x40, 0x20, 0x10
_LONG_PICTURE_ID = 0x80
_INTER_FRAME = 0x01
PICTURE_ID_MASK = 0x7FFF
_DESCRIPTOR_SIZE = 4
"""Bytes of what the packetiser writes."""


@attrs.frozen
class Vp8Descriptor:
    """What stands before the VP8 data (RFC 7741 §4.2).

    Attributes:
        starts_partition: S.
        partition: PID.
        is_non_reference: N: may be dropped without harm.
        picture_id: 7 or 15 bits.
        picture_id_mask: says which.
        tl0_picture_index: of temporal layer 0, 8 bits.
        temporal_layer: TID.
        is_synchronised: Y.
        key_index: 5 bits.
        size: bytes of the descriptor.

    """

    starts_partition: bool
    partition: int
    is_non_reference: bool = False
    picture_id: int | None = None
    tl0_picture_index: int | None = None
    temporal_layer: int | None = None
    is_synchronised: bool = False
    key_index: int | None = None
    size: int = 1
    picture_id_mask: int = 0

    @classmethod
    def parse(cls, payload: bytes) -> Vp8Descriptor:
        """Parse a payload's head; raises RtpDecodeError if it is cut short."""
        try:
            return cls._parse(payload)
        except IndexError as error:
            raise RtpDecodeError("VP8 descriptor is cut short") from error

    @classmethod
    def _parse(cls, payload: bytes) -> Vp8Descriptor:
        first = payload[0]
        flags = 0
        offset = 1
        if first & _EXTENDED:
            flags = payload[1]
            offset = 2
        picture_id = tl0 = layer = key_index = None
        mask = 0
        is_synchronised = False
        if flags & _HAS_PICTURE_ID:
            picture_id = payload[offset] & 0x7F
            mask = 0x7F
            if payload[offset] & _LONG_PICTURE_ID:
                offset += 1
                picture_id = picture_id << 8 | payload[offset]
                mask = PICTURE_ID_MASK
            offset += 1
        if flags & _HAS_TL0PICIDX:
            tl0 = payload[offset]
            offset += 1
        if flags & (_HAS_TID | _HAS_KEYIDX):
            both = payload[offset]
            offset += 1
            if flags & _HAS_TID:
                layer, is_synchronised = both >> 6, bool(both & 0x20)
            if flags & _HAS_KEYIDX:
                key_index = both & 0x1F
        return cls(
            bool(first & _START),
            first & 0x07,
            bool(first & _NON_REFERENCE),
            picture_id,
            tl0,
            layer,
            is_synchronised,
            key_index,
            offset,
            mask,
        )


class Vp8Packetiser:
    """Writes descriptors with a 15-bit picture identifier, so that receivers see gaps of frames."""

    def __init__(self, picture_id: int = 0) -> None:
        """Begin with a picture identifier, best random (RFC 7741 §4.2)."""
        self._picture_id = picture_id & PICTURE_ID_MASK

    def packetise(self, frame: bytes, max_size: int) -> list[bytes]:
        """Return the payloads of a frame; raises RtpEncodeError.

        Partitions are not aligned to packets, which §4.4 allows: all belong to partition 0.
        """
        if not frame:
            raise RtpEncodeError("empty VP8 frame")
        tail = bytes((_HAS_PICTURE_ID, _LONG_PICTURE_ID | self._picture_id >> 8))
        tail += bytes((self._picture_id & 0xFF,))
        self._picture_id = (self._picture_id + 1) & PICTURE_ID_MASK
        return [
            bytes((_EXTENDED if index else _EXTENDED | _START,)) + tail + piece
            for index, piece in enumerate(evenly(frame, max_size - _DESCRIPTOR_SIZE))
        ]


def _descriptor_size(payload: bytes) -> int:
    """Return where the data begins. Runs per packet: cheaper than a descriptor.

    Raises:
        RtpDecodeError: cut short.

    """
    try:
        if not payload[0] & _EXTENDED:
            return 1
        flags = payload[1]
        size = 2
        if flags & _HAS_PICTURE_ID:
            size += 2 if payload[2] & _LONG_PICTURE_ID else 1
    except IndexError as error:
        raise RtpDecodeError("VP8 descriptor is cut short") from error
    if flags & _HAS_TL0PICIDX:
        size += 1
    if flags & (_HAS_TID | _HAS_KEYIDX):
        size += 1
    if size > len(payload):
        raise RtpDecodeError("VP8 descriptor is cut short")
    return size


_WITHIN = PayloadInfo()


class Vp8Depacketiser:
    """Takes the descriptors off."""

    def inspect(self, payload: bytes) -> PayloadInfo:
        """Say whether a frame begins here, and whether it is a key frame (§4.3)."""
        if payload and payload[0] & (_START | _PARTITION) != _START:
            _descriptor_size(payload)
            return _WITHIN
        descriptor = Vp8Descriptor.parse(payload)
        if len(payload) <= descriptor.size:
            raise RtpDecodeError("VP8 payload without data")
        return PayloadInfo(
            starts_frame=True,
            is_key_frame=not payload[descriptor.size] & _INTER_FRAME,
            picture_id=descriptor.picture_id,
            picture_id_mask=descriptor.picture_id_mask,
        )

    def assemble(self, payloads: Sequence[bytes]) -> bytes:
        """Return the frame."""
        return b"".join([payload[_descriptor_size(payload) :] for payload in payloads if payload])
