import pytest
from hypothesis import given
from hypothesis import strategies as st

from stun import DecodeError, EncodeError, Message
from stun.channel_data import ChannelData
from stun.demultiplex import PacketKind, packet_kind
from stun.framer import StreamFramer
from tests.stun.strategies import messages

channels = st.integers(0x4000, 0x7FFF)
channel_data = st.builds(ChannelData, channels, st.binary(max_size=200))


@given(channel_data, st.booleans())
def test_channel_data_round_trips(message: ChannelData, stream: bool) -> None:
    data = message.encode(stream=stream)
    assert ChannelData.decode(data) == message
    assert len(data) == 4 + len(message.data) + (-len(message.data) % 4 if stream else 0)


@pytest.mark.parametrize("number", [0x3FFF, 0x8000, 0])
def test_channel_number_out_of_range_is_refused(number: int) -> None:
    with pytest.raises(EncodeError):
        ChannelData(number, b"").encode(stream=False)
    with pytest.raises(DecodeError):
        ChannelData.decode(number.to_bytes(2, "big") + b"\0\0")


@pytest.mark.parametrize("data", [b"", b"\x40\0\0", b"\x40\0\0\x05abcd", b"\x40\0\0\x00abcd"])
def test_malformed_channel_data_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        ChannelData.decode(data)


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[bytes], bytes]:
    frames, wire = [], b""
    for item in draw(st.lists(messages() | channel_data, max_size=5)):
        if isinstance(item, Message):
            frame = item.encode()
            wire += frame
        else:
            frame = item.encode(stream=False)
            wire += item.encode(stream=True)
        frames.append(frame)
    return frames, wire


@given(streams(), st.data())
def test_frames_do_not_depend_on_how_the_stream_is_cut(
    stream: tuple[list[bytes], bytes], data: st.DataObject
) -> None:
    frames, wire = stream
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    framer = StreamFramer()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        found += framer.receive(wire[start:end])
    assert found == frames
    assert framer.take_rest() == b""


@given(st.binary(max_size=100))
def test_any_stream_gives_frames_or_a_decode_error(data: bytes) -> None:
    framer = StreamFramer()
    try:
        frames = framer.receive(data)
    except DecodeError:
        return
    assert sum(map(len, frames)) <= len(data)


@pytest.mark.parametrize("first", [0x80, 0xC0, 0xFF])
def test_stream_that_is_no_stun_fails_at_its_first_byte(first: int) -> None:
    with pytest.raises(DecodeError):
        StreamFramer().receive(bytes([first]))


def test_frame_longer_than_allowed_fails_by_its_header() -> None:
    framer = StreamFramer(max_frame_size=100)
    with pytest.raises(DecodeError):
        framer.receive(b"\x40\x00\x01\x00")


def test_framing_can_stop_after_a_frame_and_hand_the_rest_over() -> None:
    framer = StreamFramer()
    framer.feed(ChannelData(0x4000, b"one").encode(stream=True) + b"raw bytes")
    assert framer.next_frame() == ChannelData(0x4000, b"one").encode(stream=False)
    assert framer.take_rest() == b"raw bytes"


def test_packet_kinds_are_those_of_rfc_7983() -> None:
    ranges = {
        PacketKind.STUN: range(4),
        PacketKind.ZRTP: range(16, 20),
        PacketKind.DTLS: range(20, 64),
        PacketKind.TURN_CHANNEL: range(64, 80),
        PacketKind.RTP: range(128, 192),
    }
    for kind, first_bytes in ranges.items():
        assert {packet_kind(bytes([byte])) for byte in first_bytes} == {kind}
    assert packet_kind(b"\x05") is PacketKind.UNKNOWN
    assert packet_kind(b"") is PacketKind.UNKNOWN
