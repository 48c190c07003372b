"""Damaged frames, by seed: decoders neither raise nor stay broken after the next key frame."""

from __future__ import annotations

import random

import attrs
import pytest

from tests.webrtc.media.pictures import camera, make_encoder
from webrtc.media.codecs import audio_decoder, video_decoder
from webrtc.media.frames import EncodedFrame


def damaged(data: bytes, chance: random.Random) -> bytes:
    broken = bytearray(data)
    for _ in range(chance.choice((1, 3, 30))):
        broken[chance.randrange(len(broken))] = chance.randrange(256)
    return bytes(broken[: chance.choice((len(broken), chance.randrange(len(broken))))])


@pytest.mark.parametrize("name", ["VP8", "VP9", "H264", "AV1"])
def test_damaged_video_is_shown_or_asks_for_a_key_frame(name: str) -> None:
    chance = random.Random(8)
    encoder = make_encoder(name)
    encoded = []
    for index, picture in enumerate(camera(12)):
        if index % 4 == 0:
            encoder.request_key_frame()
        encoded += encoder.encode(picture)
    decoder = video_decoder(name)
    errors = 0
    for _ in range(300):
        frame = chance.choice(encoded)
        result = decoder.decode(attrs.evolve(frame, data=damaged(frame.data, chance)))
        assert bool(result.frames) != result.key_frame_wanted
        errors += result.error is not None
    assert errors > 10
    assert len(decoder.decode(encoded[0]).frames) == 1


@pytest.mark.parametrize("name", ["opus", "PCMU", "PCMA", "G722"])
def test_random_bytes_are_some_sound_and_never_too_much(name: str) -> None:
    chance = random.Random(9)
    decoder = audio_decoder(name)
    for _ in range(300):
        data = chance.randbytes(chance.randrange(300))
        lost = chance.choice((0, 0, 1, 100))
        packet = EncodedFrame(data, name, chance.randrange(1 << 32), lost_before=lost)
        frames = decoder.decode(packet).frames
        assert len(frames) <= 11
        assert all(frame.duration <= 0.12 for frame in frames)
