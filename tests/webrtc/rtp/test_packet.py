"""RTP packets and header extensions, by RFC 3550 §5.1 and RFC 8285."""

import aiortc.rtp as theirs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.webrtc.rtp import strategies
from webrtc.rtp.errors import RtpDecodeError, RtpEncodeError
from webrtc.rtp.header_extensions import (
    ABSOLUTE_SEND_TIME_URI,
    AUDIO_LEVEL_URI,
    MID_URI,
    PLAYOUT_DELAY_URI,
    REPAIRED_RID_URI,
    RID_URI,
    SUPPORTED_URIS,
    TRANSPORT_SEQUENCE_NUMBER_URI,
    ExtensionMap,
    HeaderExtensions,
    absolute_send_time,
    elements,
    pack_elements,
)
from webrtc.rtp.packet import RtpPacket, is_rtcp, parse_rtp, serialise_rtp
from webrtc.rtp.sequence import Unwrapper, forward_distance

PLAIN = bytes.fromhex("80e01234 00000aa0 deadbeef 0102")


def test_the_fixed_header_is_read_field_by_field() -> None:
    assert parse_rtp(PLAIN) == RtpPacket(0x60, 0x1234, 0xAA0, 0xDEADBEEF, b"\x01\x02", marker=True)


def test_csrcs_extension_and_padding_are_taken_off_the_payload() -> None:
    data = bytes.fromhex("b2000001 00000002 00000003 00000004 00000005 bede0001 10aa0000 ff 000003")
    assert parse_rtp(data) == RtpPacket(
        0, 1, 2, 3, b"\xff", False, (4, 5), 0xBEDE, bytes.fromhex("10aa0000"), 3
    )


@given(strategies.packets)
def test_a_packet_survives_the_wire(packet: RtpPacket) -> None:
    data = serialise_rtp(packet)
    assert parse_rtp(data) == packet
    assert len(data) == packet.size


@given(strategies.packets)
def test_aiortc_reads_the_same(packet: RtpPacket) -> None:
    other = theirs.RtpPacket.parse(serialise_rtp(packet))
    assert (other.sequence_number, other.timestamp, other.ssrc, other.payload_type) == (
        packet.sequence_number,
        packet.timestamp,
        packet.ssrc,
        packet.payload_type,
    )
    assert (other.payload, other.marker, tuple(other.csrc), other.padding_size) == (
        packet.payload,
        int(packet.marker),
        packet.csrcs,
        packet.padding_size,
    )


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (PLAIN[:11], "11 bytes"),
        (b"\x40" + PLAIN[1:], "version 1"),
        (b"\x81" + PLAIN[1:], "CSRC"),
        (b"\x90" + PLAIN[1:], "extension"),
        (b"\x90" + PLAIN[1:12] + bytes.fromhex("bede0002 00000000"), "extension"),
        (b"\xa0" + PLAIN[1:12] + b"\0", "padding"),
        (b"\xa0" + PLAIN[1:12] + b"\x02", "padding"),
        (b"\xa0" + PLAIN[1:12], "padding"),
    ],
)
def test_a_malformed_packet_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(RtpDecodeError, match=why):
        parse_rtp(data)


@given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda tail: b"\xb3" + tail))
def test_nothing_but_a_decode_error_escapes(data: bytes) -> None:
    try:
        packet = parse_rtp(data)
    except RtpDecodeError:
        return
    ALL.read(packet)


@pytest.mark.parametrize(
    "packet",
    [
        RtpPacket(0, 1 << 16, 0, 0),
        RtpPacket(0, 0, -1, 0),
        RtpPacket(0, 0, 0, 0, csrcs=(0,) * 16),
        RtpPacket(0, 0, 0, 0, extension_profile=0xBEDE, extension=b"abc"),
        RtpPacket(0, 0, 0, 0, padding_size=256),
    ],
)
def test_what_does_not_fit_is_not_written(packet: RtpPacket) -> None:
    with pytest.raises(RtpEncodeError):
        serialise_rtp(packet)


# RFC 8285 §4.2's figure: two elements, padding, and one of four bytes.
ONE_BYTE = bytes.fromhex("10a1 21b1b2 0000 33c1c2c3c4")
# RFC 8285 §4.3's figure: an empty element, padding, one of one byte and one of four.
TWO_BYTE = bytes.fromhex("0100 0201b1 00 0304c1c2c3c4")


def test_elements_of_the_rfcs_figures_are_found() -> None:
    assert list(elements(0xBEDE, ONE_BYTE)) == [
        (1, b"\xa1"),
        (2, b"\xb1\xb2"),
        (3, b"\xc1\xc2\xc3\xc4"),
    ]
    assert list(elements(0x1000, TWO_BYTE)) == [(1, b""), (2, b"\xb1"), (3, b"\xc1\xc2\xc3\xc4")]
    assert list(elements(0x100F, TWO_BYTE)) == list(elements(0x1000, TWO_BYTE))
    assert list(elements(0xABCD, TWO_BYTE)) == []


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ("10a1 f0 20b1", [(1, b"\xa1")]),  # §4.2: identifier 15 ends the processing
        ("10a1 01 20b1", [(1, b"\xa1")]),  # §4.2: so does identifier 0 with a length
        ("10a1 23b1", [(1, b"\xa1")]),  # cut short
    ],
)
def test_one_byte_elements_end_where_the_rfc_says(
    data: str, found: list[tuple[int, bytes]]
) -> None:
    assert list(elements(0xBEDE, bytes.fromhex(data))) == found


@given(st.dictionaries(st.integers(1, 255), st.binary(max_size=40), min_size=1, max_size=10))
def test_elements_survive_the_wire_and_the_short_form_is_taken_where_it_will_do(
    values: dict[int, bytes],
) -> None:
    profile, data = pack_elements(values)
    assert dict(elements(profile, data)) == values
    short = all(key < 15 and 1 <= len(value) <= 16 for key, value in values.items())
    assert profile == (0xBEDE if short else 0x1000)
    assert len(data) % 4 == 0


@given(st.dictionaries(st.integers(1, 255), st.binary(max_size=40), min_size=1, max_size=10))
def test_aiortc_finds_the_same_elements(values: dict[int, bytes]) -> None:
    profile, data = pack_elements(values)
    assert profile is not None
    assert theirs.unpack_header_extensions(profile, data) == list(values.items())


ALL = ExtensionMap(dict(enumerate(SUPPORTED_URIS, start=1)))
names = st.text("abc019", min_size=1, max_size=20)
extension_values = st.builds(
    HeaderExtensions,
    mid=st.none() | names,
    rid=st.none() | names,
    repaired_rid=st.none() | names,
    absolute_send_time=st.none() | st.integers(0, (1 << 24) - 1),
    transport_sequence_number=st.none() | strategies.u16,
    video_orientation=st.sampled_from([None, 0, 90, 180, 270]),
)


@given(extension_values)
def test_values_survive_the_wire(values: HeaderExtensions) -> None:
    profile, data = ALL.write(values)
    packet = RtpPacket(0, 0, 0, 0, extension_profile=profile, extension=data)
    assert ALL.read(packet) == values


@pytest.mark.parametrize(
    ("uri", "value", "expected"),
    [
        (MID_URI, b"audio", HeaderExtensions(mid="audio")),
        (RID_URI, b"hi", HeaderExtensions(rid="hi")),
        (REPAIRED_RID_URI, b"hi", HeaderExtensions(repaired_rid="hi")),
        (AUDIO_LEVEL_URI, b"\x83", HeaderExtensions(audio_level=3, voice_activity=True)),
        (ABSOLUTE_SEND_TIME_URI, b"\x04\0\0", HeaderExtensions(absolute_send_time=1 << 18)),
        (
            TRANSPORT_SEQUENCE_NUMBER_URI,
            b"\x01\x02",
            HeaderExtensions(transport_sequence_number=258),
        ),
        # 10 ms and 40 ms, in 12 bits each.
        (PLAYOUT_DELAY_URI, b"\x00\x10\x04", HeaderExtensions(playout_delay=(0.01, 0.04))),
    ],
)
def test_each_extension_is_laid_out_as_specified(
    uri: str, value: bytes, expected: HeaderExtensions
) -> None:
    extension_map = ExtensionMap({7: uri})
    profile, data = extension_map.write(expected)
    assert list(elements(profile, data)) == [(7, value)]
    packet = RtpPacket(0, 0, 0, 0, extension_profile=profile, extension=data)
    assert extension_map.read(packet) == expected


def test_an_extension_too_short_or_unknown_is_left_out() -> None:
    profile, data = pack_elements({1: b"\x01", 2: b"x", 3: b"\xff\xfe", 4: b"m"})
    extension_map = ExtensionMap(
        {1: TRANSPORT_SEQUENCE_NUMBER_URI, 2: "urn:unknown", 3: RID_URI, 4: MID_URI}
    )
    packet = RtpPacket(0, 0, 0, 0, extension_profile=profile, extension=data)
    assert extension_map.read(packet) == HeaderExtensions(mid="m")


def test_absolute_send_time_is_seconds_in_6_18_fixed_point() -> None:
    assert absolute_send_time(1.5) == 0x060000
    assert absolute_send_time(64.25) == 0x010000  # it wraps after 64 s


@pytest.mark.parametrize("second", range(256))
def test_rtcp_is_told_from_rtp_by_its_packet_type(second: int) -> None:
    # RFC 5761 §4: RTCP packet types 192-223; with RTP's payload types 0-63 and 96-127 in use.
    assert is_rtcp(bytes((0x80, second))) == (192 <= second <= 223)


@given(st.integers(0, 1 << 20), st.lists(st.integers(-30000, 30000), max_size=50))
def test_unwrapped_numbers_differ_as_the_true_ones_do(start: int, steps: list[int]) -> None:
    unwrapper = Unwrapper()
    true = [start]
    for step in steps:
        true.append(max(true) + step)
    unwrapped = [unwrapper.unwrap(number & 0xFFFF) for number in true]
    assert [number - unwrapped[0] for number in unwrapped] == [number - start for number in true]


def test_distance_knows_of_wrapping() -> None:
    assert forward_distance(65535, 2) == 3
    assert forward_distance(2, 65535) == -3
    assert forward_distance(0xFFFFFFFF, 0, bits=32) == 1
