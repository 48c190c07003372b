"""Every video codec: what is decoded is what was encoded; key frames, bit rates, broken data."""

from __future__ import annotations

import attrs
import pytest

from tests.webrtc.media.pictures import (
    ENCODERS,
    FRAME_TICKS,
    HEIGHT,
    WIDTH,
    camera,
    decode_all,
    encode_all,
    make_encoder,
    rate_of,
)
from webrtc.media.codecs import CodecName, Decoded, VideoSettings, video_decoder, video_encoder
from webrtc.media.codecs.av_video import AvVideoEncoder
from webrtc.media.codecs.libvpx import VpxEncoder
from webrtc.media.convert import scale
from webrtc.media.errors import UnknownCodecError
from webrtc.media.frames import EncodedFrame
from webrtc.media.pattern import draw_pattern, psnr, read_pattern
from webrtc.rtp.payload.h264 import split_annex_b

every_encoder = pytest.mark.parametrize("name", list(ENCODERS))
every_codec = pytest.mark.parametrize("name", ["VP8", "VP9", "H264", "AV1"])


@every_encoder
def test_pictures_come_back_at_their_times_without_delay(name: str) -> None:
    pictures = camera(20)
    encoder, decoder = make_encoder(name, 600_000), video_decoder(name[:4].strip())
    for index, picture in enumerate(pictures):
        (encoded,) = encoder.encode(picture)
        assert encoded.timestamp == index * FRAME_TICKS
        assert encoded.is_key_frame == (index == 0)
        result = decoder.decode(encoded)
        assert result.error is None
        (decoded,) = result.frames
        assert decoded.pts == picture.pts
        assert (decoded.width, decoded.height) == (WIDTH, HEIGHT)
        assert psnr(picture, decoded) > 27
    encoder.close()


@every_encoder
def test_a_key_frame_comes_when_it_is_asked_for_and_only_then(name: str) -> None:
    encoder = make_encoder(name)
    keys = []
    for index, picture in enumerate(camera(24)):
        if index in (7, 15):
            encoder.request_key_frame()
        keys += [index for frame in encoder.encode(picture) if frame.is_key_frame]
    assert keys == [0, 7, 15]


@every_codec
def test_decoding_can_begin_at_any_key_frame(name: str) -> None:
    encoder = make_encoder(name)
    pictures = [draw_pattern(index, WIDTH, HEIGHT, index * FRAME_TICKS) for index in range(20)]
    encoded = encode_all(encoder, pictures[:10])
    encoder.request_key_frame()
    encoded += encode_all(encoder, pictures[10:])
    assert video_decoder(name).decode(encoded[9]) == Decoded(key_frame_wanted=True)
    late = decode_all(video_decoder(name), encoded[4:])
    readings = [read_pattern(picture) for picture in late]
    assert [reading and reading.counter for reading in readings] == list(range(10, 20))


@pytest.mark.parametrize("name", ["VP8", "VP9", "H264"])
def test_a_change_of_bit_rate_takes_effect_without_a_key_frame(name: str) -> None:
    encoder = make_encoder(name, 600_000)
    pictures = camera(180)
    high = encode_all(encoder, pictures[:60])
    encoder.set_bit_rate(200_000)
    low = encode_all(encoder, pictures[60:120])
    encoder.set_bit_rate(600_000)
    again = encode_all(encoder, pictures[120:])
    assert rate_of(high[30:], 30) == pytest.approx(600_000, rel=0.25)
    assert rate_of(low[-30:], 30) == pytest.approx(200_000, rel=0.25)
    assert rate_of(again[-30:], 30) == pytest.approx(600_000, rel=0.3)
    assert [frame.is_key_frame for frame in high + low + again].count(True) == 1


@pytest.mark.parametrize("codec", [CodecName.AV1, CodecName.VP8])
def test_codecs_that_cannot_change_begin_anew_but_not_often(codec: CodecName) -> None:
    now = 0.0
    encoder = AvVideoEncoder(codec, VideoSettings(bit_rate=600_000), lambda: now)
    pictures = camera(40)
    keys = []
    for index, picture in enumerate(pictures):
        now = index / 4
        encoder.set_bit_rate(600_000 - index * 15_000)
        keys += [index for frame in encoder.encode(picture) if frame.is_key_frame]
    # A fifth less is 480,000 after 8 pictures and 2 s; from there 384,000 and so on.
    assert keys == [0, 9, 17, 25, 33]
    assert encoder.reopened == 4


@pytest.mark.parametrize("name", ["VP8", "VP9", "H264"])
def test_the_pattern_survives_300_kilobits(name: str) -> None:
    encoder, decoder = make_encoder(name, 300_000), video_decoder(name)
    pictures = [draw_pattern(3 * n, 640, 480, n * FRAME_TICKS) for n in range(60)]
    encoded = encode_all(encoder, pictures)
    assert rate_of(encoded, 60) < 330_000
    decoded = decode_all(decoder, encoded)
    assert len(decoded) >= 55  # the rate control may leave some out
    for picture in decoded:
        reading = read_pattern(picture)
        assert reading is not None
        assert reading.counter == 3 * picture.pts // FRAME_TICKS
        assert reading.is_intact
        assert reading.colour_error < 6


@every_encoder
def test_a_new_size_begins_with_a_key_frame(name: str) -> None:
    encoder, decoder = make_encoder(name), video_decoder(name[:4].strip())
    sizes = [(320, 240), (320, 240), (640, 360), (176, 144)]
    pictures = [draw_pattern(n, *size, n * FRAME_TICKS) for n, size in enumerate(sizes)]
    encoded = encode_all(encoder, pictures)
    assert [frame.is_key_frame for frame in encoded] == [True, False, True, True]
    decoded = decode_all(decoder, encoded)
    assert [(picture.width, picture.height) for picture in decoded] == sizes


@every_codec
def test_broken_data_asks_for_a_key_frame_and_nothing_is_shown_before_it(name: str) -> None:
    encoder, decoder = make_encoder(name), video_decoder(name)
    pictures = camera(14)
    encoded = encode_all(encoder, pictures[:10])
    encoder.request_key_frame()
    encoded += encode_all(encoder, pictures[10:])
    assert len(decode_all(decoder, encoded[:5])) == 5
    broken = decoder.decode(attrs.evolve(encoded[5], data=b"\xff\x07\xa5"))
    assert broken.key_frame_wanted
    assert broken.error
    assert not broken.frames
    for frame in encoded[6:10]:
        # Not even tried: there is nothing wrong with these, but with what they are based on.
        assert decoder.decode(frame) == Decoded(key_frame_wanted=True)
    shown = decode_all(decoder, encoded[10:])
    assert [picture.pts for picture in shown] == [picture.pts for picture in pictures[10:]]


@every_codec
def test_a_hole_asks_for_a_key_frame(name: str) -> None:
    encoder, decoder = make_encoder(name), video_decoder(name)
    first, _, third = encode_all(encoder, camera(3))
    decoder.decode(first)
    result = decoder.decode(attrs.evolve(third, lost_before=1))
    assert result.key_frame_wanted
    assert not result.frames


@every_codec
@pytest.mark.parametrize("length", [0, 1, 10, 200])
def test_no_bytes_make_a_decoder_raise(name: str, length: int) -> None:
    encoder = make_encoder(name)
    (key,) = encode_all(encoder, camera(1))
    decoder = video_decoder(name)
    for data in (key.data[:length], bytes(length), key.data[length:], b"\xff" * length):
        result = decoder.decode(EncodedFrame(data, name, 0))
        assert result.frames or result.key_frame_wanted
    assert decode_all(decoder, [key])


def test_h264_is_constrained_baseline_with_its_parameters_in_every_key_frame() -> None:
    encoder = make_encoder("H264")
    encoded = encode_all(encoder, camera(3))
    encoder.request_key_frame()
    encoded += encode_all(encoder, camera(4)[3:])
    for frame in encoded:
        units = list(split_annex_b(frame.data))
        kinds = [unit[0] & 0x1F for unit in units]
        assert (7 in kinds, 8 in kinds, 5 in kinds) == (frame.is_key_frame,) * 3
        for unit in units:
            if unit[0] & 0x1F == 7:
                # profile_idc 66 with constraint_set0 and 1: RFC 6184 §8.1's 42e0.. or 42c0..
                assert unit[1] == 66
                assert unit[2] & 0xC0 == 0xC0


@every_encoder
def test_times_that_stand_still_or_go_back_do_not_stop_an_encoder(name: str) -> None:
    encoder = make_encoder(name)
    pictures = camera(6)
    times = [0, 3000, 3000, 1500, 1_000_000, 1_003_000]
    encoded = [
        frame
        for picture, pts in zip(pictures, times, strict=True)
        for frame in encoder.encode(picture.at(pts))
    ]
    assert len(encoded) == 6


def test_odd_sizes_are_encoded() -> None:
    pictures = [scale(picture, 161, 121) for picture in camera(3)]
    for name in ("VP8", "VP9"):
        decoded = decode_all(video_decoder(name), encode_all(make_encoder(name), pictures))
        assert [(picture.width, picture.height) for picture in decoded] == [(161, 121)] * 3


@pytest.mark.parametrize(("codec", "header"), [("VP8", b"\x10\x02\x00\x9d\x01\x2a")])
def test_a_picture_that_claims_a_huge_size_is_not_made(codec: str, header: bytes) -> None:
    data = header + b"\xff\x3f\xff\x3f" + bytes(1000)
    result = video_decoder(codec).decode(EncodedFrame(data, codec, 0))
    assert result.error
    assert not result.frames


def test_names_are_found_in_any_case_and_others_are_refused() -> None:
    assert isinstance(video_encoder("vp8"), VpxEncoder)
    assert video_encoder("h264").codec == "H264"
    for name in ("opus", "H265", ""):
        with pytest.raises(UnknownCodecError):
            video_encoder(name)
        with pytest.raises(UnknownCodecError):
            video_decoder(name)
