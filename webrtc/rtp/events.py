"""What an RTP session tells its owner."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from webrtc.rtp.header_extensions import HeaderExtensions
from webrtc.rtp.jitter import EncodedFrame
from webrtc.rtp.packet import RtpPacket


@attrs.frozen
class FrameReceived:
    """A whole frame (video) or packet's payload (audio), in decoding order.

    Attributes:
        mid: of the media description.
        ssrc: of the stream.
        rid: of the simulcast layer, if it has one.
        frame: for the decoder.

    """

    mid: str
    ssrc: int
    rid: str | None
    frame: EncodedFrame


@attrs.frozen
class PacketReceived:
    """A media packet as it came (retransmissions unwrapped), where the receiver wants packets."""

    mid: str
    ssrc: int
    rid: str | None
    packet: RtpPacket
    extensions: HeaderExtensions


@attrs.frozen
class KeyFrameRequested:
    """The peer cannot decode without a key frame of this stream of ours."""

    ssrc: int


@attrs.frozen
class TargetBitrateChanged:
    """What all our streams together should send from now on."""

    bitrate_bps: float


@attrs.frozen
class LossReported:
    """The peer reported on a stream of ours: encoders may want to reckon with loss.

    Attributes:
        ssrc: of the stream.
        expected_loss: share of packets, smoothed, 0 to 1.

    """

    ssrc: int
    expected_loss: float


@attrs.frozen
class StreamEnded:
    """The peer said goodbye for a stream."""

    mid: str
    ssrc: int


RtpEvent: TypeAlias = (
    FrameReceived
    | PacketReceived
    | KeyFrameRequested
    | TargetBitrateChanged
    | LossReported
    | StreamEnded
)
