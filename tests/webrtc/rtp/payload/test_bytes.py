"""Payload formats byte by byte, as their specifications lay them out."""

import pytest

from webrtc.rtp.errors import RtpDecodeError, RtpEncodeError
from webrtc.rtp.payload.av1 import Av1Depacketiser, Av1Packetiser, pack_leb128, parse_leb128
from webrtc.rtp.payload.h264 import H264Depacketiser, H264Packetiser
from webrtc.rtp.payload.vp8 import Vp8Depacketiser, Vp8Descriptor, Vp8Packetiser
from webrtc.rtp.payload.vp9 import Vp9Depacketiser, Vp9Descriptor, Vp9Packetiser, is_key_frame
from webrtc.rtp.payload.whole import TelephoneEvent, WholePacketiser


@pytest.mark.parametrize(
    ("payload", "descriptor"),
    [
        # RFC 7741 §4.6's examples: a key frame's first packet, with and without a picture ID.
        ("90 80 11 00", Vp8Descriptor(True, 0, picture_id=17, size=3, picture_id_mask=127)),
        ("10 00", Vp8Descriptor(True, 0)),
        # A picture ID of 15 bits: 4711.
        ("90 80 92 67 00", Vp8Descriptor(True, 0, picture_id=4711, size=4, picture_id_mask=32767)),
        # Everything: N, TL0PICIDX 7, TID 2 with Y, KEYIDX 3, partition 1.
        ("b1 f0 05 07 a3 00", Vp8Descriptor(True, 1, True, 5, 7, 2, True, 3, 5, 127)),
        ("80 10 1f", Vp8Descriptor(False, 0, key_index=31, size=3)),
    ],
)
def test_vp8_descriptors_are_read(payload: str, descriptor: Vp8Descriptor) -> None:
    assert Vp8Descriptor.parse(bytes.fromhex(payload)) == descriptor


def test_vp8_picture_identifiers_wrap_at_15_bits() -> None:
    packetiser = Vp8Packetiser(0x7FFF)
    assert [packetiser.packetise(b"\0frame", 100)[0][:4].hex() for _ in range(2)] == [
        "9080ffff",
        "90808000",
    ]


def test_vp8_packets_of_a_frame_are_of_nearly_one_size() -> None:
    payloads = Vp8Packetiser().packetise(bytes(2500), 1204)
    assert [len(payload) - 4 for payload in payloads] == [833, 833, 834]
    assert [payload[0] for payload in payloads] == [0x90, 0x80, 0x80]


@pytest.mark.parametrize("payload", ["", "80", "90 80", "90 80 80", "90 40", "90 20"])
def test_vp8_descriptors_cut_short_are_refused(payload: str) -> None:
    with pytest.raises(RtpDecodeError):
        Vp8Depacketiser().inspect(bytes.fromhex(payload))


@pytest.mark.parametrize(
    ("payload", "descriptor"),
    [
        ("8c 05", Vp9Descriptor(True, True, False, 5, size=2, picture_id_mask=127)),
        # Layers in non-flexible mode carry TL0PICIDX: TID 1, SID 2.
        (
            "a8 81 02 24 09",
            Vp9Descriptor(True, False, False, 258, 1, 2, size=5, picture_id_mask=32767),
        ),
        # Flexible mode: no TL0PICIDX; two references.
        ("f4 01 20 03 02", Vp9Descriptor(False, True, True, 1, 1, 0, size=5, picture_id_mask=127)),
        # A scalability structure: one layer of 320x240, a group of one picture, one reference.
        (
            "8a 01 18 0140 00f0 01 04 01",
            Vp9Descriptor(True, False, False, 1, 0, 0, ((320, 240),), 10, 127),
        ),
    ],
)
def test_vp9_descriptors_are_read(payload: str, descriptor: Vp9Descriptor) -> None:
    assert Vp9Descriptor.parse(bytes.fromhex(payload)) == descriptor


@pytest.mark.parametrize(
    "payload", ["", "80", "80 80", "a0 01", "a0 01 20", "d0 01", "d0 01 01 01 01", "82 01 30"]
)
def test_vp9_descriptors_cut_short_are_refused(payload: str) -> None:
    with pytest.raises(RtpDecodeError):
        Vp9Depacketiser().inspect(bytes.fromhex(payload))


@pytest.mark.parametrize(
    ("first", "key"),
    [
        (0x80, True),  # profile 0: marker 10, show_existing 0, frame_type 0
        (0x84, False),  # frame_type 1
        (0x88, False),  # show_existing_frame
        (0xB0, True),  # profile 3 has a reserved bit first
        (0xB2, False),
    ],
)
def test_vp9_key_frames_are_known_by_their_header(first: int, key: bool) -> None:
    assert is_key_frame(bytes((first, 0))) == key
    payload = Vp9Packetiser().packetise(bytes((first, 0)), 100)[0]
    assert Vp9Depacketiser().inspect(payload).is_key_frame == key


def test_vp9_flags_say_where_a_frame_begins_and_ends() -> None:
    payloads = Vp9Packetiser(1).packetise(b"\x84" + bytes(29), 13)
    assert [payload[:3].hex() for payload in payloads] == ["c88001", "c08001", "c48001"]


SPS, PPS, IDR = bytes.fromhex("6742c01e"), bytes.fromhex("68ce3c80"), b"\x65\x88" + bytes(20) + b"!"


def test_h264_gathers_small_units_and_cuts_large_ones() -> None:
    frame = b"\0\0\0\1" + SPS + b"\0\0\1" + PPS + b"\0\0\1" + IDR
    payloads = H264Packetiser().packetise(frame, 16)
    # RFC 6184 §5.7.1: type 24 with the highest NRI, each unit after 16 bits of size.
    assert payloads[0].hex() == "78" + "0004" + SPS.hex() + "0004" + PPS.hex()
    # §5.8: indicator of type 28, header with S, none, E; the unit's own header is not repeated.
    assert [payload[:2].hex() for payload in payloads[1:]] == ["7c85", "7c45"]
    assert b"".join(payload[2:] for payload in payloads[1:]) == IDR[1:]
    assert H264Depacketiser().assemble(payloads) == b"".join(
        b"\0\0\0\1" + unit for unit in (SPS, PPS, IDR)
    )


@pytest.mark.parametrize(
    ("payload", "starts", "key"),
    [
        ("6588", True, True),  # an IDR slice whose first_mb_in_slice is 0
        ("6548", False, True),  # its second slice
        ("4188", True, False),
        ("4148", False, False),
        ("7c8588", True, True),  # FU-A with S
        ("7c0588", False, False),
        ("78 0002 6742 0002 68ce", True, True),
        ("0605", True, False),
    ],
)
def test_h264_says_what_begins_an_access_unit(payload: str, starts: bool, key: bool) -> None:
    info = H264Depacketiser().inspect(bytes.fromhex(payload))
    assert (info.starts_frame, info.is_key_frame) == (starts, key)


@pytest.mark.parametrize(
    "payloads",
    [
        ["7c05aa"],  # a fragment without its beginning
        ["7c85aa"],  # without its end
        ["7c85aa", "7c85aa"],
        ["7c85aa", "6588"],
        ["7c85aa", "6588", "7c45aa"],
        ["78 0009 67"],
        ["78 0000"],
        ["7c"],
        ["79 0000"],  # STAP-B: of the interleaved mode
        ["00"],
    ],
)
def test_h264_payloads_that_do_not_fit_are_refused(payloads: list[str]) -> None:
    with pytest.raises(RtpDecodeError):
        H264Depacketiser().assemble([bytes.fromhex(payload) for payload in payloads])


@pytest.mark.parametrize(
    ("value", "wire"),
    [(0, "00"), (127, "7f"), (128, "8001"), (300, "ac02"), (1 << 28, "8080808001")],
)
def test_leb128_is_little_endian_base_128(value: int, wire: str) -> None:
    assert pack_leb128(value).hex() == wire
    assert parse_leb128(bytes.fromhex(wire), 0) == (value, len(wire) // 2)


TEMPORAL_UNIT = bytes.fromhex("1200 0a02aaab 32 05 0102030405")
"""A delimiter, a sequence header of two bytes, and a frame OBU of five."""


def test_av1_counts_elements_and_drops_the_delimiter() -> None:
    # Z=0 Y=0 W=2 N=1; sizes gone from the OBUs' headers; the last element without its length.
    assert [payload.hex() for payload in Av1Packetiser().packetise(TEMPORAL_UNIT, 100)] == [
        "28" + "03" + "08aaab" + "30" + "0102030405"
    ]


def test_av1_continues_an_obu_in_the_next_packet() -> None:
    payloads = Av1Packetiser().packetise(TEMPORAL_UNIT, 9)
    assert [payload[0] for payload in payloads] == [0x68, 0x90]
    assert Av1Depacketiser().assemble(payloads) == TEMPORAL_UNIT


@pytest.mark.parametrize(
    "payloads",
    [
        ["80 30"],  # continues what did not begin
        ["50 30"],  # goes on, and nothing follows
        ["50 30", "10 31"],
        ["00 05 30"],
        ["30 01 30"],
        ["00 ff"],
        ["10"],
    ],
)
def test_av1_payloads_that_do_not_fit_are_refused(payloads: list[str]) -> None:
    with pytest.raises(RtpDecodeError):
        Av1Depacketiser().assemble([bytes.fromhex(payload) for payload in payloads])


def test_audio_frames_are_not_cut() -> None:
    assert WholePacketiser().packetise(b"opus", 10) == [b"opus"]
    with pytest.raises(RtpEncodeError):
        WholePacketiser().packetise(bytes(11), 10)


def test_a_telephone_event_is_laid_out_as_rfc_4733_has_it() -> None:
    event = TelephoneEvent(11, 800, volume=10, is_end=True)
    assert event.pack().hex() == "0b8a0320"
    assert TelephoneEvent.parse(event.pack()) == event
    with pytest.raises(RtpDecodeError):
        TelephoneEvent.parse(b"\0\0\0")
    with pytest.raises(RtpEncodeError):
        TelephoneEvent(1, 1 << 16).pack()
