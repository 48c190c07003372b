"""Every audio codec: the tone that comes out is the one that went in; loss, silence, bit rates."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import attrs
import numpy as np
import pytest

from webrtc.media.codecs import AudioSettings, CodecName, audio_decoder, audio_encoder
from webrtc.media.codecs.av_audio import AvAudioEncoder
from webrtc.media.codecs.av_decoders import AvAudioDecoder
from webrtc.media.codecs.base import AudioDecoder, AudioEncoder
from webrtc.media.codecs.libopus import OpusDecoder, OpusEncoder
from webrtc.media.errors import UnknownCodecError
from webrtc.media.frames import AudioFrame, EncodedFrame
from webrtc.media.tone import draw_tone, read_tone

# What a second of packets holds: (RTP ticks of a packet, rate that is decoded, bytes of a packet)
FIXED = {"PCMU": (160, 8_000, 160), "PCMA": (160, 8_000, 160), "G722": (160, 16_000, 160)}
ALL = ["opus", *FIXED]


def tones(count: int, frequency: float = 440, start: int = 0) -> list[AudioFrame]:
    return [draw_tone(frequency, start + 960 * n, channels=2) for n in range(count)]


def encode_all(encoder: AudioEncoder, sound: list[AudioFrame]) -> list[EncodedFrame]:
    return [packet for frame in sound for packet in encoder.encode(frame)]


def decode_all(decoder: AudioDecoder, packets: list[EncodedFrame]) -> list[AudioFrame]:
    return [frame for packet in packets for frame in decoder.decode(packet).frames]


def lose(packets: list[EncodedFrame], *lost: int) -> list[EncodedFrame]:
    kept, missing = [], 0
    for index, packet in enumerate(packets):
        if index in lost:
            missing += 1
        else:
            kept.append(attrs.evolve(packet, lost_before=missing))
            missing = 0
    return kept


def assert_continuous(frames: list[AudioFrame]) -> None:
    for one, following in itertools.pairwise(frames):
        assert following.pts == one.pts + one.count


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("frequency", [300.0, 1000.0, 2500.0])
def test_a_tone_comes_back(name: str, frequency: float) -> None:
    encoder, decoder = audio_encoder(name), audio_decoder(name)
    heard = decode_all(decoder, encode_all(encoder, tones(30, frequency)))
    reading = read_tone(*heard[5:])
    assert reading.frequency == pytest.approx(frequency, abs=1)
    assert reading.purity > 0.98
    assert reading.amplitude == pytest.approx(0.5, abs=0.05)
    assert_continuous(heard)


@pytest.mark.parametrize("name", list(FIXED))
def test_packets_are_those_of_rfc_3551(name: str) -> None:
    ticks, rate, size = FIXED[name]
    encoded = encode_all(audio_encoder(name), tones(20))
    assert {len(packet.data) for packet in encoded} == {size}
    assert [packet.timestamp for packet in encoded] == [n * ticks for n in range(len(encoded))]
    assert len(encoded) >= 19
    decoded = decode_all(audio_decoder(name), encoded)
    assert {(frame.rate, frame.channels) for frame in decoded} == {(rate, 1)}


@pytest.mark.parametrize(("name", "silence"), [("PCMU", 0xFF), ("PCMA", 0xD5)])
def test_silence_is_the_code_of_g711(name: str, silence: int) -> None:
    # ITU-T G.711 tables 1a and 2a: the positive value nearest to 0, as sent.
    (packet,) = audio_encoder(name).encode(AudioFrame(np.zeros(160, np.int16), 8_000))
    assert set(packet.data) == {silence}
    assert packet.audio_level == 127


def test_opus_packets_are_20_ms_of_a_48_kHz_clock() -> None:  # noqa: N802
    encoded = encode_all(audio_encoder("opus"), tones(10, start=48_000))
    assert [packet.timestamp for packet in encoded] == [48_000 + 960 * n for n in range(10)]
    assert {packet.audio_level for packet in encoded} == {9}


def test_sound_of_other_rates_and_lengths_is_packetised() -> None:
    encoder = audio_encoder("opus")
    pieces = [draw_tone(440, n * 441, 441, rate=44_100) for n in range(100)]
    encoded = encode_all(encoder, pieces)
    assert len(encoded) == 49  # a second, less what the resampler keeps
    heard = decode_all(audio_decoder("opus"), encoded)
    assert read_tone(*heard[5:]).frequency == pytest.approx(440, abs=0.5)


@pytest.mark.parametrize("kind", [OpusEncoder, lambda rate: AvAudioEncoder(CodecName.OPUS, rate)])
def test_a_change_of_bit_rate_takes_effect(kind: Callable[[int], AudioEncoder]) -> None:
    encoder = kind(64_000)
    draw = np.random.default_rng(3)
    noise = [
        AudioFrame(draw.normal(0, 4000, (960, 2)).astype(np.int16), 48_000, n * 960)
        for n in range(100)
    ]
    high = encode_all(encoder, noise[:50])
    encoder.set_bit_rate(24_000)
    low = encode_all(encoder, noise[50:])
    assert encoder.bit_rate == 24_000
    assert sum(len(packet.data) for packet in high) * 8 == pytest.approx(64_000, rel=0.2)
    assert sum(len(packet.data) for packet in low) * 8 == pytest.approx(24_000, rel=0.2)
    encoder.close()


def test_opus_bit_rates_stay_in_their_bounds() -> None:
    encoder = OpusEncoder()
    encoder.set_bit_rate(1)
    assert encoder.bit_rate == 6_000
    encoder.set_bit_rate(10**9)
    assert encoder.bit_rate == 510_000


def test_the_library_and_pyav_understand_each_others_opus() -> None:
    sound = tones(30)
    for encoder, decoder in (
        (OpusEncoder(), AvAudioDecoder(CodecName.OPUS)),
        (AvAudioEncoder(CodecName.OPUS), OpusDecoder()),
    ):
        heard = decode_all(decoder, encode_all(encoder, sound))
        assert {(frame.rate, frame.channels) for frame in heard} == {(48_000, 2)}
        assert read_tone(*heard[5:]).frequency == pytest.approx(440, abs=0.5)


@pytest.mark.parametrize("dtx", [False, True])
def test_dtx_sends_next_to_nothing_in_silence(dtx: bool) -> None:
    encoder = audio_encoder("opus", AudioSettings(dtx=dtx, channels=1))
    silent = [AudioFrame(np.zeros(960, np.int16), 48_000, 960 * n) for n in range(100)]
    encoded = encode_all(encoder, silent)
    if not dtx:
        assert len(encoded) == 100
        return
    assert len(encoded) < 30
    # Sound after it is sent at once, at its own time.
    (packet,) = encoder.encode(draw_tone(440, 96_000))
    assert packet.timestamp == 96_000


def _syllables(count: int) -> list[AudioFrame]:
    """Make voice of 200 ms and as much near silence, by turns, for SILK: FEC is its alone."""
    time = np.arange(count * 960) / 48_000
    pitch = np.cumsum(2 * np.pi * (140 + 30 * np.sin(time * 3)) / 48_000)
    voice = sum((np.sin(pitch * k) / k for k in range(1, 12)), np.zeros_like(time))
    wave = (voice * 5000 * np.where(time % 0.4 < 0.2, 0.01, 1.0)).astype(np.int16)
    return [AudioFrame(wave[960 * n : 960 * n + 960], 48_000, 960 * n) for n in range(count)]


def test_fec_brings_back_what_concealment_cannot_guess() -> None:
    sound = _syllables(100)
    # The second packet of a syllable, after half of the attack: a guess can only go on from there.
    lost = range(31, 100, 20)
    errors = {}
    for fec in (False, True):
        encoder = OpusEncoder(24_000, 1, fec=fec)
        encoder.set_expected_loss(0.2)
        packets = encode_all(encoder, sound)
        whole = {frame.pts: frame for frame in decode_all(OpusDecoder(1), packets)}
        decoder = OpusDecoder(1)
        heard = decode_all(decoder, lose(packets, *lost))
        assert_continuous(heard)
        assert decoder.from_fec == len(lost)
        guesses = [frame for frame in heard if frame.pts // 960 in lost]
        assert len(guesses) == len(lost)
        errors[fec] = [
            float(
                np.std(guess.samples.astype(float) - whole[guess.pts].samples)
                / np.std(whole[guess.pts].samples)
            )
            for guess in guesses
        ]
    assert max(errors[True]) < 0.2
    assert min(errors[False]) > 0.25


@pytest.mark.parametrize("name", ALL)
def test_lost_packets_are_concealed_in_time(name: str) -> None:
    packets = encode_all(audio_encoder(name), tones(30))
    heard = decode_all(audio_decoder(name), lose(packets, 10, 11, 20))
    assert len(heard) == len(packets)
    assert_continuous(heard)
    assert np.abs(heard[10].samples).max() > 1000  # a guess, no silence


@pytest.mark.parametrize("name", ALL)
def test_concealment_has_an_end(name: str) -> None:
    packets = encode_all(audio_encoder(name), tones(20))
    decoder = audio_decoder(name)
    decode_all(decoder, packets[:10])
    result = decoder.decode(attrs.evolve(packets[10], lost_before=60_000))
    assert len(result.frames) <= 11


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("data", [b"", b"\xff", b"\xff\xff\xff", b"\x03\xff" + bytes(50)])
def test_no_bytes_make_a_decoder_raise(name: str, data: bytes) -> None:
    packets = encode_all(audio_encoder(name), tones(10))
    decoder = audio_decoder(name)
    decode_all(decoder, packets[:5])
    result = decoder.decode(attrs.evolve(packets[5], data=data))
    assert result.error or result.frames
    assert not result.key_frame_wanted
    assert len(decoder.decode(packets[6]).frames) == 1


def test_video_names_and_unknown_ones_are_refused() -> None:
    for name in ("VP8", "telephone-event"):
        with pytest.raises(UnknownCodecError):
            audio_encoder(name)
        with pytest.raises(UnknownCodecError):
            audio_decoder(name)
