"""What is offered unless a program says otherwise: codecs and RTP header extensions.

No payload type of a dynamic format is one that Firefox gives another format: in a call where both
ends have offered sections, it goes by the offerer's numbers in each, and by RFC 9143 §9.1 in a
BUNDLE group a number means one thing. Its numbers are 97 to 101, 103 to 106, 109 and 119 to 127.
"""

from __future__ import annotations

from webrtc.rtp.header_extensions import (
    ABSOLUTE_SEND_TIME_URI,
    AUDIO_LEVEL_URI,
    MID_URI,
    REPAIRED_RID_URI,
    RID_URI,
    TRANSPORT_SEQUENCE_NUMBER_URI,
)
from webrtc.sdp.attribute_reader import parse_parameters
from webrtc.sdp.attributes import ExtMap
from webrtc.sdp.codec import Codec, MediaKind

VIDEO_FEEDBACK = ("goog-remb", "transport-cc", "ccm fir", "nack", "nack pli")
AUDIO_FEEDBACK = ("transport-cc",)


def _audio(payload_type: int, name: str, clock_rate: int, channels: int = 1) -> Codec:
    return Codec(
        kind=MediaKind.AUDIO,
        name=name,
        clock_rate=clock_rate,
        channels=channels,
        payload_type=payload_type,
        parameters=parse_parameters("minptime=10;useinbandfec=1") if name == "opus" else (),
        feedback=AUDIO_FEEDBACK,
    )


def _video(
    payload_type: int, rtx_payload_type: int, name: str, parameters: str = ""
) -> tuple[Codec, Codec]:
    """Return the codec, and rtx for it."""
    codec = Codec(
        kind=MediaKind.VIDEO,
        name=name,
        clock_rate=90000,
        payload_type=payload_type,
        parameters=parse_parameters(parameters),
        feedback=() if name == "red" else VIDEO_FEEDBACK,
    )
    rtx = Codec(
        kind=MediaKind.VIDEO,
        name="rtx",
        clock_rate=90000,
        payload_type=rtx_payload_type,
        parameters=(("apt", str(payload_type)),),
    )
    return codec, rtx


def _h264(payload_type: int, rtx_payload_type: int, profile_level_id: str) -> tuple[Codec, Codec]:
    # Mode 1 alone: in mode 0 each NAL unit must fit a packet, which encoders seldom heed.
    return _video(
        payload_type,
        rtx_payload_type,
        "H264",
        f"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={profile_level_id}",
    )


# G.722's RTP clock runs at 8000 Hz though it samples at 16000 (RFC 3551 §4.5.2).
AUDIO_CODECS: tuple[Codec, ...] = (
    _audio(111, "opus", 48000, 2),
    _audio(9, "G722", 8000),
    _audio(0, "PCMU", 8000),
    _audio(8, "PCMA", 8000),
)
VIDEO_CODECS: tuple[Codec, ...] = (
    *_video(96, 110, "VP8"),
    *_video(112, 113, "VP9", "profile-id=0"),
    *_h264(107, 108, "42e01f"),
    *_h264(114, 115, "42001f"),
    *_video(45, 46, "AV1", "level-idx=5;profile=0;tier=0"),
    *_video(116, 117, "red"),
    Codec(kind=MediaKind.VIDEO, name="ulpfec", clock_rate=90000, payload_type=118),
)
DEFAULT_CODECS: tuple[Codec, ...] = (*AUDIO_CODECS, *VIDEO_CODECS)

# Audio and video of a BUNDLE group share one space of identifiers (RFC 9143 §15).
AUDIO_EXTENSIONS: tuple[ExtMap, ...] = (
    ExtMap(1, AUDIO_LEVEL_URI),
    ExtMap(2, ABSOLUTE_SEND_TIME_URI),
    ExtMap(3, TRANSPORT_SEQUENCE_NUMBER_URI),
    ExtMap(4, MID_URI),
)
VIDEO_EXTENSIONS: tuple[ExtMap, ...] = (
    ExtMap(2, ABSOLUTE_SEND_TIME_URI),
    ExtMap(3, TRANSPORT_SEQUENCE_NUMBER_URI),
    ExtMap(4, MID_URI),
    ExtMap(5, RID_URI),
    ExtMap(6, REPAIRED_RID_URI),
)
