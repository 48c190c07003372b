"""Where the libraries cannot be called directly, PyAV does what it can."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.webrtc.media.pictures import camera, decode_all, encode_all
from webrtc.media.codecs import (
    CodecName,
    audio_decoder,
    audio_encoder,
    libopus,
    libvpx,
    video_decoder,
    video_encoder,
)
from webrtc.media.codecs.av_audio import AvAudioEncoder
from webrtc.media.codecs.av_decoders import AvAudioDecoder
from webrtc.media.codecs.av_video import AvVideoEncoder
from webrtc.media.errors import CodecError
from webrtc.media.tone import draw_tone, read_tone


@pytest.fixture
def without_libraries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def forget() -> None:
        libvpx._library.cache_clear()
        libvpx.abi_version.cache_clear()
        libopus.library.cache_clear()

    for module in (libvpx, libopus):
        monkeypatch.setattr(module, "load", lambda name: None)
    forget()
    yield
    forget()


def test_the_libraries_that_pyav_brings_are_found() -> None:
    assert libopus.library() is not None
    assert libvpx.usable(CodecName.VP8)
    assert libvpx.usable(CodecName.VP9)
    assert not libvpx.usable(CodecName.H264)


@pytest.mark.usefixtures("without_libraries")
def test_pyav_encodes_video_instead() -> None:
    pictures = camera(5)
    for name in ("VP8", "VP9"):
        encoder = video_encoder(name)
        assert isinstance(encoder, AvVideoEncoder)
        assert len(decode_all(video_decoder(name), encode_all(encoder, pictures))) == 5
        with pytest.raises(CodecError):
            libvpx.VpxEncoder(CodecName.find(name))


@pytest.mark.usefixtures("without_libraries")
def test_pyav_does_opus_instead() -> None:
    encoder, decoder = audio_encoder("opus"), audio_decoder("opus")
    assert isinstance(encoder, AvAudioEncoder)
    assert isinstance(decoder, AvAudioDecoder)
    heard = [
        sound
        for n in range(20)
        for packet in encoder.encode(draw_tone(440, 960 * n, channels=2))
        for sound in decoder.decode(packet).frames
    ]
    assert read_tone(*heard[3:]).frequency == pytest.approx(440, abs=1)
    with pytest.raises(CodecError):
        libopus.OpusEncoder()
    with pytest.raises(CodecError):
        libopus.OpusDecoder()


def test_a_library_that_is_laid_out_otherwise_is_not_used(
    without_libraries: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(libvpx._Configuration, "target_kbps", property(lambda _: 0), raising=True)
    assert libvpx.abi_version(CodecName.VP8) is None
