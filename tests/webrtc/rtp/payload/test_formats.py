"""Every video format on frames of real encoders, cut and joined again."""

import aiortc.codecs.h264 as their_h264
import aiortc.codecs.vpx as their_vpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.webrtc.rtp.payload.encoded import ENCODERS, frames
from webrtc.rtp.errors import RtpDecodeError, RtpEncodeError
from webrtc.rtp.payload import PAYLOAD_FORMATS, PayloadFormat, find_format
from webrtc.rtp.payload.h264 import split_annex_b

VIDEO = [entry for entry in PAYLOAD_FORMATS if entry.is_video]


def format_of(name: str) -> PayloadFormat:
    entry = find_format(name)
    assert entry is not None
    return entry


def normal(name: str, frame: bytes) -> bytes:
    """Without what a payload format may change: the length of start codes, delimiters."""
    if name == "H264":
        return b"".join(b"\0\0\0\1" + unit for unit in split_annex_b(frame) if unit[0] & 31 != 9)
    return frame


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("max_size", [100, 1200, 100_000])
def test_frames_are_cut_and_joined_again(name: str, max_size: int) -> None:
    entry = format_of(name)
    packetiser = entry.packetiser(32766)
    encoded = frames(name)
    assert sum(is_key for _, is_key in encoded) >= 2 or name == "AV1"
    for frame, is_key in encoded:
        payloads = packetiser.packetise(frame, max_size)
        assert max(map(len, payloads)) <= max_size
        assert entry.depacketiser.assemble(payloads) == normal(name, frame)
        infos = [entry.depacketiser.inspect(payload) for payload in payloads]
        assert any(info.is_key_frame for info in infos) == is_key
        assert not any(info.starts_frame for info in infos[1:]) or name == "H264"
        assert infos[0].starts_frame or (name == "AV1" and not is_key)


@pytest.mark.parametrize("max_size", [300, 1200])
def test_aiortc_reads_our_vp8_payloads(max_size: int) -> None:
    packetiser = format_of("VP8").packetiser(127)
    for index, (frame, _) in enumerate(frames("VP8")):
        joined = b""
        for place, payload in enumerate(packetiser.packetise(frame, max_size)):
            descriptor, rest = their_vpx.VpxPayloadDescriptor.parse(payload)
            assert descriptor.partition_start == (place == 0)
            assert descriptor.picture_id == 127 + index
            joined += rest
        assert joined == frame


def test_we_read_aiortcs_vp8_payloads() -> None:
    depacketiser = format_of("VP8").depacketiser
    for frame, is_key in frames("VP8"):
        payloads = their_vpx.Vp8Encoder._packetize(frame, 5)
        assert depacketiser.assemble(payloads) == frame
        assert depacketiser.inspect(payloads[0]).is_key_frame == is_key


@pytest.mark.parametrize("max_size", [300, 1200, 5000])
def test_aiortc_reads_our_h264_payloads(max_size: int) -> None:
    packetiser = format_of("H264").packetiser(0)
    for frame, _ in frames("H264"):
        payloads = packetiser.packetise(frame, max_size)
        joined = b"".join(their_h264.h264_depayload(payload) for payload in payloads)
        assert joined == normal("H264", frame)


def test_we_read_aiortcs_h264_payloads() -> None:
    depacketiser = format_of("H264").depacketiser
    for frame, _ in frames("H264"):
        payloads = their_h264.H264Encoder._packetize(their_h264.H264Encoder._split_bitstream(frame))
        assert depacketiser.assemble(payloads) == normal("H264", frame)


@pytest.mark.parametrize("entry", VIDEO, ids=lambda entry: entry.name)
@given(payloads=st.lists(st.binary(max_size=30), max_size=4))
def test_nothing_but_a_decode_error_escapes(entry: PayloadFormat, payloads: list[bytes]) -> None:
    for payload in payloads:
        try:
            entry.depacketiser.inspect(payload)
        except RtpDecodeError:
            continue
    try:
        entry.depacketiser.assemble(payloads)
    except RtpDecodeError:
        return


@pytest.mark.parametrize("name", ENCODERS)
@given(data=st.data())
def test_a_payload_cut_short_or_spoiled_raises_only_decode_errors(
    name: str, data: st.DataObject
) -> None:
    entry = format_of(name)
    payload = bytearray(entry.packetiser(0).packetise(frames(name)[0][0], 200)[0])
    place = data.draw(st.integers(0, 12))
    payload[place] ^= data.draw(st.integers(1, 255))
    spoiled = bytes(payload[: data.draw(st.integers(0, 40))])
    try:
        entry.depacketiser.inspect(spoiled)
        entry.depacketiser.assemble([spoiled])
    except RtpDecodeError:
        return


@pytest.mark.parametrize("entry", VIDEO, ids=lambda entry: entry.name)
def test_what_is_no_frame_is_not_cut(entry: PayloadFormat) -> None:
    with pytest.raises(RtpEncodeError):
        entry.packetiser(0).packetise(b"", 1200)
    with pytest.raises(RtpEncodeError):
        entry.packetiser(0).packetise(frames(entry.name)[0][0], 2)


def test_formats_are_found_whatever_the_case() -> None:
    assert find_format("OPUS") is find_format("opus") is not None
    assert find_format("theora") is None
    assert format_of("G722").clock_rate == 8000  # RFC 3551 §4.5.2
