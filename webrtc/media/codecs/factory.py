"""Makes the best encoder or decoder for a codec that this machine has."""

from __future__ import annotations

import attrs

from webrtc.media.codecs import libopus, libvpx
from webrtc.media.codecs.av_audio import AvAudioEncoder
from webrtc.media.codecs.av_decoders import AvAudioDecoder, AvVideoDecoder
from webrtc.media.codecs.av_video import AvVideoEncoder, VideoSettings
from webrtc.media.codecs.base import (
    AudioDecoder,
    AudioEncoder,
    CodecName,
    VideoDecoder,
    VideoEncoder,
)
from webrtc.media.errors import UnknownCodecError


@attrs.frozen
class AudioSettings:
    """What an audio encoder is to do; all but Opus ignore it.

    Attributes:
        bit_rate: bits per second at first.
        channels: 1 or 2; RTP always says 2 for Opus (RFC 7587 §7), whatever is sent.
        fec: in-band FEC, as soon as `set_expected_loss` tells of loss.
        dtx: send next to nothing in silence.
        application: `voip` or `audio` or `lowdelay`.

    """

    bit_rate: int = 32_000
    channels: int = 2
    fec: bool = True
    dtx: bool = False
    application: str = "voip"


def _of_kind(name: str, *, video: bool) -> CodecName:
    codec = CodecName.find(name)
    if codec.is_video is not video:
        raise UnknownCodecError(f"{codec.value} is no {'video' if video else 'audio'} codec")
    return codec


def video_encoder(name: str, settings: VideoSettings | None = None) -> VideoEncoder:
    """Make an encoder of this SDP name; raises UnknownCodecError."""
    codec = _of_kind(name, video=True)
    if libvpx.usable(codec):
        return libvpx.VpxEncoder(codec, settings)
    return AvVideoEncoder(codec, settings)


def audio_encoder(name: str, settings: AudioSettings | None = None) -> AudioEncoder:
    """Make an encoder of this SDP name; raises UnknownCodecError."""
    codec = _of_kind(name, video=False)
    settings = settings or AudioSettings()
    if codec is not CodecName.OPUS:
        return AvAudioEncoder(codec)
    if libopus.library() is None:
        return AvAudioEncoder(codec, settings.bit_rate, settings.channels)
    return libopus.OpusEncoder(
        settings.bit_rate,
        settings.channels,
        application=settings.application,
        fec=settings.fec,
        dtx=settings.dtx,
    )


def video_decoder(name: str) -> VideoDecoder:
    """Make a decoder of this SDP name; raises UnknownCodecError."""
    return AvVideoDecoder(_of_kind(name, video=True))


def audio_decoder(name: str) -> AudioDecoder:
    """Make a decoder of this SDP name; raises UnknownCodecError."""
    codec = _of_kind(name, video=False)
    if codec is CodecName.OPUS and libopus.library() is not None:
        return libopus.OpusDecoder()
    return AvAudioDecoder(codec)
