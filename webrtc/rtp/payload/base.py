"""What a payload format offers: the two halves, and how a frame is cut evenly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from webrtc.rtp.errors import RtpEncodeError


class PayloadInfo(msgspec.Struct, frozen=True, gc=False):
    """What one payload tells without the others of its frame.

    Attributes:
        starts_frame: certainly the first of a frame. Where a format cannot tell, False: then
            only the marker of the packet before does.
        is_key_frame: part of a frame that can be decoded alone; in some formats only said by its
            first payload.
        picture_id: counts frames, where the format does; None without.
        picture_id_mask: what it wraps at.

    """

    starts_frame: bool = False
    is_key_frame: bool = False
    picture_id: int | None = None
    picture_id_mask: int = 0


class Packetiser(Protocol):
    """Cuts encoded frames into payloads."""

    def packetise(self, frame: bytes, max_size: int) -> list[bytes]:
        """Return the payloads of a frame, each at most `max_size` bytes.

        Raises:
            RtpEncodeError: not a frame of this codec, or no room for a payload.

        """


class Depacketiser(Protocol):
    """Puts payloads together again. Keeps nothing between calls."""

    def inspect(self, payload: bytes) -> PayloadInfo:
        """Say what this payload is; raises RtpDecodeError. Runs per packet."""

    def assemble(self, payloads: Sequence[bytes]) -> bytes:
        """Return the frame that all these payloads, in order, make; raises RtpDecodeError."""


def evenly(data: bytes, max_size: int) -> Iterator[bytes]:
    """Yield pieces of nearly the same size: a tiny last one would cost a packet's overhead alone.

    Raises:
        RtpEncodeError: no room for a byte.

    """
    if max_size < 1:
        raise RtpEncodeError("no room for a payload")
    count = -(-len(data) // max_size)
    for index in range(count):
        yield data[len(data) * index // count : len(data) * (index + 1) // count]
