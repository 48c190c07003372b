"""Loss statistics, NACK, RTX, RED and ULPFEC, each by itself."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.webrtc.rtp import strategies
from webrtc.rtp.errors import RtpDecodeError, RtpEncodeError
from webrtc.rtp.header_extensions import NO_EXTENSIONS
from webrtc.rtp.nack import MAX_MISSING, MAX_RETRIES, NackGenerator
from webrtc.rtp.ntp import compact_ntp, from_ntp, round_trip_time, to_ntp
from webrtc.rtp.packet import RtpPacket, serialise_rtp
from webrtc.rtp.reception import ReceptionStatistics
from webrtc.rtp.red import RedAudioEncoder, RedBlock, parse_red, serialise_red
from webrtc.rtp.rtx import RetransmissionHistory, unwrap_rtx, wrap_rtx
from webrtc.rtp.ulpfec import (
    MAX_FEC_PACKETS,
    MAX_PACKETS,
    FecDecoder,
    FecEncoder,
    FecPacket,
    protect,
)

RTT = 0.1


def packet(number: int, payload: bytes = b"x", *, timestamp: int = 0) -> RtpPacket:
    return RtpPacket(96, number & 0xFFFF, timestamp, 7, payload)


def test_the_round_trip_of_rfc_3550s_figure_is_6_125_s() -> None:
    # §6.4.1, figure 2: received at 0xb710:8000, LSR 0xb705:2000, DLSR 0x0005:4000.
    assert round_trip_time(0x0000B71080000000, 0xB7052000, 0x00054000) == 6.125


def test_no_round_trip_before_a_sender_report_or_when_clocks_went_back() -> None:
    assert round_trip_time(to_ntp(100), 0, 0) is None
    assert round_trip_time(to_ntp(100), compact_ntp(to_ntp(101)), 0) is None
    assert from_ntp(to_ntp(1234.5)) == 1234.5


def report_of(numbers: list[int]) -> tuple[int, int, int]:
    statistics = ReceptionStatistics(7, 8000)
    for number in numbers:
        statistics.receive(0x10000 + number, 0, 1, 0.0)
    block = statistics.report(0.0)
    assert block is not None
    return block.fraction_lost, block.packets_lost, block.highest_sequence_number


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([1, 2, 3, 4], (0, 0, 4)),
        ([1, 3, 4, 5], (51, 1, 5)),  # one of five: 256 / 5
        ([1, 4], (128, 2, 4)),
        ([1, 2, 2, 2], (0, -2, 2)),  # §6.4.1: duplicates make the count negative
        ([3, 1, 2], (0, 0, 3)),
        ([65535, 65536, 65538], (64, 1, 0x10002)),
    ],
)
def test_loss_is_counted_as_appendix_a3_has_it(
    numbers: list[int], expected: tuple[int, int, int]
) -> None:
    assert report_of(numbers) == expected


def test_the_fraction_is_of_the_interval_and_the_count_of_all() -> None:
    statistics = ReceptionStatistics(7, 8000)
    assert statistics.report(0.0) is None
    for number in (1, 3):
        statistics.receive(0x10000 + number, 0, 1, 0.0)
    first = statistics.report(0.0)
    statistics.receive(0x10000 + 4, 0, 1, 0.0)
    second = statistics.report(0.0)
    assert first is not None
    assert second is not None
    assert (first.fraction_lost, first.packets_lost) == (85, 1)
    assert (second.fraction_lost, second.packets_lost) == (0, 1)


def test_jitter_is_smoothed_by_sixteenths_as_appendix_a8_has_it() -> None:
    statistics = ReceptionStatistics(7, 8000)
    expected = 0.0
    arrivals = [0.0, 0.021, 0.039, 0.065]
    transits = [at - 0.02 * n for n, at in enumerate(arrivals)]
    for n, at in enumerate(arrivals):
        # Timestamps that wrap on the way.
        statistics.receive(n, (0xFFFFFF00 + 160 * n) & 0xFFFFFFFF, 1, at)
        if n:
            expected += (abs(transits[n] - transits[n - 1]) * 8000 - expected) / 16
    assert statistics.jitter == pytest.approx(expected)


def test_report_blocks_say_when_the_last_sender_report_came() -> None:
    statistics = ReceptionStatistics(7, 8000)
    statistics.receive(0x10001, 0, 1, 0.0)
    statistics.receive_sender_report(0x12345678, 10.0)
    block = statistics.report(15.25)
    assert block is not None
    assert (block.last_sender_report, block.delay_since_last_sender_report) == (
        0x12345678,
        0x54000,
    )


def test_a_hole_is_asked_for_at_once_and_again_a_round_trip_later() -> None:
    nack = NackGenerator()
    for number in (10, 11, 14):
        assert nack.receive(number, 0.0)
    assert nack.take_requests(0.0, RTT) == (12, 13)
    assert nack.take_requests(0.05, RTT) == ()
    assert nack.next_deadline() == pytest.approx(RTT)
    nack.receive(12, 0.09)
    assert nack.take_requests(RTT, RTT) == (13,)
    assert nack.recovered == 1


def test_reordering_teaches_to_wait_a_little() -> None:
    nack = NackGenerator()
    for number in (1, 3, 2, 4, 6):
        nack.receive(number, 0.0)
    assert nack.take_requests(0.0, RTT) == ()
    assert nack.take_requests(0.02, RTT) == (5,)


def test_requests_end_after_so_many_tries() -> None:
    nack = NackGenerator()
    nack.receive(1, 0.0)
    nack.receive(3, 0.0)
    asked = [now for now in (n * 0.01 for n in range(400)) if nack.take_requests(now, 0.02)]
    assert len(asked) == MAX_RETRIES
    assert len(nack) == 0
    assert nack.given_up == 1


def test_too_many_holes_are_given_up_for_a_key_frame() -> None:
    nack = NackGenerator()
    nack.receive(1, 0.0)
    assert nack.receive(1 + MAX_MISSING + 1, 0.0)
    assert len(nack) == MAX_MISSING
    assert not nack.receive(1 + MAX_MISSING + 3, 0.0)
    assert len(nack) == 0
    nack.receive(1_000_000, 0.0)  # a stream that began anew
    assert len(nack) == 0


def test_what_was_played_is_not_asked_for() -> None:
    nack = NackGenerator()
    for number in (1, 5):
        nack.receive(number, 0.0)
    nack.forget_before(4)
    assert nack.take_requests(0.0, RTT) == (4,)


@given(st.lists(st.integers(0, 200), max_size=200), st.integers(0, 100))
def test_only_what_is_missing_is_asked_for(numbers: list[int], start: int) -> None:
    nack = NackGenerator()
    nack.receive(start, 0.0)
    for number in numbers:
        nack.receive(number, 0.0)
    expected = set(range(start, max([start, *numbers]))) - set(numbers) - {start}
    assert set(nack.take_requests(1.0, RTT)) == expected


def test_rtx_carries_the_original_sequence_number_first() -> None:
    original = packet(0x1234, b"media")
    wrapped = wrap_rtx(original, ssrc=8, payload_type=97, sequence_number=1)
    assert wrapped == RtpPacket(97, 1, 0, 8, b"\x12\x34media")
    assert unwrap_rtx(wrapped, ssrc=7, payload_type=96) == original


@given(strategies.packets, strategies.u16)
def test_rtx_brings_back_what_it_wrapped(original: RtpPacket, number: int) -> None:
    wrapped = wrap_rtx(original, ssrc=1, payload_type=97, sequence_number=number)
    back = unwrap_rtx(wrapped, ssrc=original.ssrc, payload_type=original.payload_type)
    assert back is not None
    assert serialise_rtp(back)[12:].startswith(serialise_rtp(original)[12 : original.header_size])
    assert (back.payload, back.sequence_number) == (original.payload, original.sequence_number)


def test_rtx_padding_is_nothing_and_a_single_byte_is_refused() -> None:
    assert unwrap_rtx(packet(1, b""), ssrc=7, payload_type=96) is None
    with pytest.raises(RtpDecodeError):
        unwrap_rtx(packet(1, b"x"), ssrc=7, payload_type=96)


def test_the_history_is_bounded_in_packets_bytes_and_time() -> None:
    history = RetransmissionHistory(max_packets=10, max_bytes=1000, max_age=2.0)
    for number in range(50):
        history.add(packet(number, bytes(10)), NO_EXTENSIONS, 0.0)
    assert len(history) == 10
    history.add(packet(50, bytes(950)), NO_EXTENSIONS, 0.0)
    assert history.size_bytes <= 1000
    assert history.take(49, 0.0, RTT) is not None
    assert history.take(0, 0.0, RTT) is None
    history.add(packet(51), NO_EXTENSIONS, 3.0)
    assert len(history) == 1
    assert history.take(51, 9.0, RTT) is None


def test_a_request_that_crossed_the_answer_is_not_answered_twice() -> None:
    history = RetransmissionHistory()
    history.add(packet(1), NO_EXTENSIONS, 0.0)
    assert [history.take(1, now, RTT) is not None for now in (0.1, 0.15, 0.21)] == [
        True,
        False,
        True,
    ]


# RFC 2198 §4's example: DVI 4 (PT 5) primary, LPC (PT 7) secondary one packet older.
RED_WIRE = bytes.fromhex("8702801005") + bytes(16) + b"primary"


def test_red_headers_are_laid_out_as_rfc_2198_has_them() -> None:
    blocks = (RedBlock(7, bytes(16), 160), RedBlock(5, b"primary"))
    assert parse_red(RED_WIRE) == blocks
    assert serialise_red(blocks) == RED_WIRE


@given(
    st.lists(
        st.builds(
            RedBlock, st.integers(0, 127), st.binary(max_size=60), st.integers(0, (1 << 14) - 1)
        ),
        max_size=6,
    ),
    st.binary(max_size=60),
)
def test_red_blocks_survive_the_wire(earlier: list[RedBlock], primary: bytes) -> None:
    blocks = (*earlier, RedBlock(5, primary))
    assert parse_red(serialise_red(blocks)) == blocks


@pytest.mark.parametrize("payload", [b"", b"\x87\x02\x80", b"\x87\x02\x80\x10", RED_WIRE[:10]])
def test_red_cut_short_is_refused(payload: bytes) -> None:
    with pytest.raises(RtpDecodeError):
        parse_red(payload)


def test_red_endless_headers_are_refused() -> None:
    with pytest.raises(RtpDecodeError):
        parse_red(bytes.fromhex("80000000") * 300 + b"\x05")


def test_red_audio_repeats_what_its_headers_can_hold() -> None:
    encoder = RedAudioEncoder(111, redundancy=1)
    assert parse_red(encoder.encode(b"one", 0xFFFFFF00)) == (RedBlock(111, b"one"),)
    assert parse_red(encoder.encode(b"two", 0x2C0)) == (
        RedBlock(111, b"one", 960),
        RedBlock(111, b"two"),
    )
    assert len(parse_red(encoder.encode(b"after a long pause", 1 << 20))) == 1
    with pytest.raises(RtpEncodeError):
        serialise_red((RedBlock(1, bytes(1024), 1), RedBlock(1, b"")))


# RFC 5109 §10.1: packets A-D with sequence numbers 8-11, payload types 11 and 18, and lengths
# 200, 140, 100 and 340 are protected at once; the FEC header that the RFC gives for them.
RFC_5109_PACKETS = [
    RtpPacket(11, 8, 3, 2, bytes(200), marker=True),
    RtpPacket(18, 9, 5, 2, bytes(140), marker=False),
    RtpPacket(11, 10, 7, 2, bytes(100), marker=True),
    RtpPacket(18, 11, 9, 2, bytes(340), marker=False),
]


def test_the_fec_header_of_rfc_5109s_example() -> None:
    data = protect(RFC_5109_PACKETS).pack()
    # E, L, P, X, CC, M and PT recovery 0; SN base 8; TS recovery 8; length recovery 372;
    # protection length 340; mask 0xf000.
    assert data[:14].hex() == "000000080000000801740154f000"
    assert len(data) == 14 + 340


@given(
    st.lists(strategies.packets.filter(lambda p: p.size < 400), min_size=1, max_size=16),
    st.integers(0, 0xFFFF),
    st.data(),
)
def test_fec_recovers_any_single_packet_bit_for_bit(
    packets: list[RtpPacket], base: int, data: st.DataObject
) -> None:
    group = [
        msgspec.structs.replace(entry, sequence_number=(base + index) & 0xFFFF, ssrc=7)
        for index, entry in enumerate(packets)
    ]
    lost = data.draw(st.integers(0, len(group) - 1))
    fec = protect(group).pack()
    decoder = FecDecoder(7)
    recovered = []
    for index, entry in enumerate(group):
        if index != lost:
            recovered += decoder.add_media(entry)
    recovered += decoder.add_fec(fec)
    assert recovered == [group[lost]]


def test_what_one_fec_packet_brings_back_completes_anothers_group() -> None:
    media = [packet(number, bytes((number,)) * number) for number in (1, 2, 3)]
    decoder = FecDecoder(7)
    assert decoder.add_media(media[2]) == []
    assert decoder.add_fec(protect(media[:2]).pack()) == []  # both are missing
    assert decoder.add_fec(protect(media[1:]).pack()) == [media[1], media[0]]


def test_fec_packets_parse_as_they_were_packed_with_long_masks_too() -> None:
    for offsets in ((0, 3), (0, 15), (1, 40), (47,)):
        fec = FecPacket(5, offsets, bytes(range(8)), b"payload")
        assert FecPacket.parse(fec.pack()) == fec


@given(st.binary(max_size=80))
def test_malformed_fec_raises_only_decode_errors(data: bytes) -> None:
    decoder = FecDecoder(7)
    try:
        decoder.add_fec(data)
    except RtpDecodeError:
        return


def test_what_the_fec_decoder_keeps_is_bounded() -> None:
    decoder = FecDecoder(7)
    generator = random.Random(1)
    for number in range(5000):
        decoder.add_media(packet(number))
        if number % 5 == 0:
            ahead = number + generator.randrange(10, 40)
            decoder.add_fec(protect([packet(ahead), packet(ahead + 1)]).pack())
    assert len(decoder._media) <= MAX_PACKETS
    assert len(decoder._fec) <= MAX_FEC_PACKETS


def test_a_group_ends_with_its_frame_and_bursts_are_dealt_out() -> None:
    encoder = FecEncoder(ratio=0.5)
    out = []
    for number in range(6):
        out += encoder.add(RtpPacket(96, 100 + number, 0, 7, bytes((number,)), marker=number == 5))
    assert [(fec.base, fec.offsets) for fec in out] == [
        (100, (0, 3)),
        (100, (1, 4)),
        (100, (2, 5)),
    ]
    assert FecEncoder(ratio=0.0).add(packet(1)) == []


def test_fec_over_a_large_frame_goes_after_it() -> None:
    encoder = FecEncoder(ratio=0.1, max_group=10)
    counts = [
        len(encoder.add(RtpPacket(96, number, 0, 7, b"x", marker=number == 24)))
        for number in range(25)
    ]
    assert counts == [0] * 24 + [2]
