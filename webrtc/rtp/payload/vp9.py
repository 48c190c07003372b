"""VP9 (RFC 9628)."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from webrtc.rtp.errors import RtpDecodeError, RtpEncodeError
from webrtc.rtp.payload.base import PayloadInfo, evenly

_PICTURE_ID, _INTER, _LAYERS, _FLEXIBLE = 0x80, 0x40, 0x20, 0x10
_BEGIN, _END, _SCALABILITY = 0x08, 0x04, 0x02
_LONG_PICTURE_ID = 0x80
PICTURE_ID_MASK = 0x7FFF
MAX_REFERENCES = 3
_DESCRIPTOR_SIZE = 3


@attrs.frozen
class Vp9Descriptor:
    """What stands before the VP9 data (RFC 9628 §4.2).

    Attributes:
        begins_frame: B, of a layer frame.
        ends_frame: E, of a layer frame.
        is_inter_predicted: P: depends on earlier pictures.
        picture_id: 7 or 15 bits.
        picture_id_mask: says which.
        temporal_layer: TID.
        spatial_layer: SID; 0 without layers.
        resolutions: width and height of each spatial layer, where the payload describes them.
        size: bytes of the descriptor.

    """

    begins_frame: bool
    ends_frame: bool
    is_inter_predicted: bool
    picture_id: int | None = None
    temporal_layer: int = 0
    spatial_layer: int = 0
    resolutions: tuple[tuple[int, int], ...] = ()
    size: int = 1
    picture_id_mask: int = 0

    @classmethod
    def parse(cls, payload: bytes) -> Vp9Descriptor:
        """Parse a payload's head; raises RtpDecodeError if it is cut short."""
        try:
            return cls._parse(payload)
        except IndexError as error:
            raise RtpDecodeError("VP9 descriptor is cut short") from error

    @classmethod
    def _parse(cls, payload: bytes) -> Vp9Descriptor:
        first = payload[0]
        offset = 1
        picture_id = None
        mask = 0
        if first & _PICTURE_ID:
            picture_id = payload[offset] & 0x7F
            mask = 0x7F
            if payload[offset] & _LONG_PICTURE_ID:
                offset += 1
                picture_id = picture_id << 8 | payload[offset]
                mask = PICTURE_ID_MASK
            offset += 1
        temporal = spatial = 0
        if first & _LAYERS:
            temporal, spatial = payload[offset] >> 5, payload[offset] >> 1 & 0x07
            # TL0PICIDX is only there in non-flexible mode.
            offset += 1 if first & _FLEXIBLE else 2
        if first & _FLEXIBLE and first & _INTER:
            for index in range(MAX_REFERENCES + 1):
                if index == MAX_REFERENCES:
                    raise RtpDecodeError("VP9 descriptor with too many references")
                more = payload[offset] & 0x01
                offset += 1
                if not more:
                    break
        resolutions: tuple[tuple[int, int], ...] = ()
        if first & _SCALABILITY:
            resolutions, offset = cls._parse_scalability(payload, offset)
        if offset > len(payload):
            raise RtpDecodeError("VP9 descriptor is cut short")
        return cls(
            bool(first & _BEGIN),
            bool(first & _END),
            bool(first & _INTER),
            picture_id,
            temporal,
            spatial,
            resolutions,
            offset,
            mask,
        )

    @staticmethod
    def _parse_scalability(payload: bytes, offset: int) -> tuple[tuple[tuple[int, int], ...], int]:
        """Read the scalability structure (§4.2.1): resolutions, and a picture group to skip."""
        first = payload[offset]
        offset += 1
        resolutions = []
        if first & 0x10:
            for _ in range((first >> 5) + 1):
                payload[offset + 3]  # whole, or IndexError
                width = int.from_bytes(payload[offset : offset + 2])
                height = int.from_bytes(payload[offset + 2 : offset + 4])
                resolutions.append((width, height))
                offset += 4
        if first & 0x08:
            count = payload[offset]
            offset += 1
            for _ in range(count):
                offset += 1 + (payload[offset] >> 2 & 0x03)
        return tuple(resolutions), offset


def is_key_frame(frame: bytes) -> bool:
    """Tell a key frame by its uncompressed header (VP9 bitstream §6.2); raises RtpEncodeError."""
    if not frame or frame[0] >> 6 != 2:
        raise RtpEncodeError("not a VP9 frame")
    # Profile 3 has a reserved bit before show_existing_frame and frame_type.
    shift = 2 if frame[0] & 0x30 == 0x30 else 3
    shows_existing = frame[0] >> shift & 1
    return not shows_existing and not frame[0] >> (shift - 1) & 1


class Vp9Packetiser:
    """Writes one layer in non-flexible mode, with a 15-bit picture identifier."""

    def __init__(self, picture_id: int = 0) -> None:
        """Begin with a picture identifier, best random."""
        self._picture_id = picture_id & PICTURE_ID_MASK

    def packetise(self, frame: bytes, max_size: int) -> list[bytes]:
        """Return the payloads of a frame; raises RtpEncodeError."""
        first = _PICTURE_ID | (0 if is_key_frame(frame) else _INTER)
        tail = bytes((_LONG_PICTURE_ID | self._picture_id >> 8, self._picture_id & 0xFF))
        self._picture_id = (self._picture_id + 1) & PICTURE_ID_MASK
        pieces = list(evenly(frame, max_size - _DESCRIPTOR_SIZE))
        last = len(pieces) - 1
        return [
            bytes((first | (0 if index else _BEGIN) | (_END if index == last else 0),))
            + tail
            + piece
            for index, piece in enumerate(pieces)
        ]


class Vp9Depacketiser:
    """Takes the descriptors off; the spatial layers of a picture stay in their order."""

    def inspect(self, payload: bytes) -> PayloadInfo:
        """Say whether a picture begins here, and whether it is a key picture."""
        descriptor = Vp9Descriptor.parse(payload)
        starts = descriptor.begins_frame and not descriptor.spatial_layer
        return PayloadInfo(
            starts_frame=starts,
            is_key_frame=starts and not descriptor.is_inter_predicted,
            picture_id=descriptor.picture_id,
            picture_id_mask=descriptor.picture_id_mask,
        )

    def assemble(self, payloads: Sequence[bytes]) -> bytes:
        """Return the picture: its layers one after another."""
        return b"".join(
            payload[Vp9Descriptor.parse(payload).size :] for payload in payloads if payload
        )
