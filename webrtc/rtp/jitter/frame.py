"""What a jitter buffer gives: an encoded frame."""

from __future__ import annotations

import msgspec


class EncodedFrame(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One encoded frame, or a packet of audio.

    Attributes:
        data: for the decoder.
        timestamp: of RTP, 32 bits.
        payload_type: says which decoder.
        playout_at: monotonic seconds when it should be seen or heard.
        received_at: when its last packet came.
        is_key_frame: can be decoded without those before; every packet of audio can.
        lost_before: packets (audio) or frames at least (video) that are missing right before it:
            for a decoder's concealment, or its in-band FEC, which is in this packet.

    """

    data: bytes
    timestamp: int
    payload_type: int
    playout_at: float
    received_at: float
    is_key_frame: bool = True
    lost_before: int = 0
