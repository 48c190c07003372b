"""RTCP, by RFC 3550 §6, RFC 4585, RFC 5104 and the drafts of REMB and transport-wide feedback."""

import aiortc.rtp as theirs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.webrtc.rtp import strategies
from webrtc.rtp.errors import RtpDecodeError, RtpEncodeError
from webrtc.rtp.rtcp import (
    FullIntraRequest,
    GenericNack,
    Goodbye,
    PictureLossIndication,
    ReceiverEstimatedMaximumBitrate,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SdesItem,
    SenderReport,
    SourceDescription,
    SourceDescriptionChunk,
    TransportFeedback,
    UnknownPacket,
    parse_rtcp,
    serialise_rtcp,
)

# The times of RFC 3550 §6.4.1's figure 2: SR at b44d:b705 . 2000:0000, DLSR of 5.25 s.
WIRE: list[tuple[str, RtcpPacket]] = [
    (
        "81c8000c 00000001 b44db705 20000000 00000002 00000003 00000004"
        "00000005 40fffffe 00010002 00000007 b7052000 00054000",
        SenderReport(
            1,
            0xB44DB70520000000,
            2,
            3,
            4,
            (ReportBlock(5, 64, -2, 0x10002, 7, 0xB7052000, 0x54000),),
        ),
    ),
    ("80c90001 00000001", ReceiverReport(1)),
    (
        "81ca0004 00000001 0104 63406578 0f01 6d 000000",
        SourceDescription(
            (SourceDescriptionChunk(1, ((SdesItem.CNAME, b"c@ex"), (SdesItem.MID, b"m"))),)
        ),
    ),
    ("82cb0004 00000001 00000002 04 6c617465 000000", Goodbye((1, 2), b"late")),
    # RFC 4585 §6.2.1: the mask's least bit is the packet after.
    ("81cd0003 00000001 00000002 0064 8001", GenericNack(1, 2, (100, 101, 116))),
    ("81ce0002 00000001 00000002", PictureLossIndication(1, 2)),
    ("84ce0004 00000001 00000000 00000002 09000000", FullIntraRequest(1, ((2, 9),))),
    # REMB of 1 SSRC: exponent 2, mantissa 0x3ffff.
    (
        "8fce0005 00000001 00000000 52454d42 010bffff 00000002",
        ReceiverEstimatedMaximumBitrate(1, 0x3FFFF << 2, (2,)),
    ),
    # The draft's §3.1.3 example: a run of 221 packets not received (0x00dd).
    (
        "8fcd0005 00000001 00000002 000a 00dd 000001 03 00dd 0000",
        TransportFeedback(1, 2, 10, 221, 1, 3, ()),
    ),
    # A run of three small deltas, and a two-bit vector with a large and a negative one.
    (
        "8fcd0007 00000001 00000002 ffff 0005 fffffe 00 d660 01 02 0100 03 ffff 000000",
        TransportFeedback(1, 2, 65535, 5, -2, 0, ((0, 1), (1, 2), (2, 256), (3, 3), (4, -1))),
    ),
]


@pytest.mark.parametrize(("wire", "packet"), WIRE)
def test_a_packet_is_laid_out_as_specified(wire: str, packet: RtcpPacket) -> None:
    assert parse_rtcp(bytes.fromhex(wire)) == (packet,)
    assert serialise_rtcp([packet]).hex() == wire.replace(" ", "")


@given(st.lists(strategies.rtcp_packets, min_size=1, max_size=4))
def test_a_compound_survives_the_wire(packets: list[RtcpPacket]) -> None:
    assert parse_rtcp(serialise_rtcp(packets)) == tuple(packets)


@given(strategies.rtcp_packets)
def test_aiortc_reads_reports_and_feedback_the_same(packet: RtcpPacket) -> None:
    data = serialise_rtcp([packet])
    match packet:
        case GenericNack():
            (nack,) = theirs.RtcpPacket.parse(data)
            assert isinstance(nack, theirs.RtcpRtpfbPacket)
            assert tuple(nack.lost) == packet.sequence_numbers
        case ReceiverReport():
            (report,) = theirs.RtcpPacket.parse(data)
            assert isinstance(report, theirs.RtcpRrPacket)
            assert [
                ReportBlock(
                    block.ssrc,
                    block.fraction_lost,
                    block.packets_lost,
                    block.highest_sequence,
                    block.jitter,
                    block.lsr,
                    block.dlsr,
                )
                for block in report.reports
            ] == list(packet.reports)
        case SenderReport():
            (sender,) = theirs.RtcpPacket.parse(data)
            assert isinstance(sender, theirs.RtcpSrPacket)
            assert sender.sender_info.ntp_timestamp == packet.ntp_time
            assert sender.sender_info.rtp_timestamp == packet.rtp_timestamp
        case SourceDescription(chunks=(SourceDescriptionChunk(items=(_, *_)),)):
            # Of one chunk only: it loses its place after a chunk that ends on a whole word.
            (description,) = theirs.RtcpPacket.parse(data)
            assert isinstance(description, theirs.RtcpSdesPacket)
            assert [chunk.ssrc for chunk in description.chunks] == [
                chunk.ssrc for chunk in packet.chunks
            ]
            assert [tuple(chunk.items) for chunk in description.chunks] == [
                chunk.items for chunk in packet.chunks
            ]
        case ReceiverEstimatedMaximumBitrate():
            (remb,) = theirs.RtcpPacket.parse(data)
            assert isinstance(remb, theirs.RtcpPsfbPacket)
            bitrate, ssrcs = theirs.unpack_remb_fci(remb.fci)
            assert (bitrate, tuple(ssrcs)) == (packet.bitrate_bps, packet.ssrcs)


@given(strategies.transport_feedbacks())
def test_transport_feedback_says_which_packets_came_and_when(feedback: TransportFeedback) -> None:
    (parsed,) = parse_rtcp(serialise_rtcp([feedback]))
    assert isinstance(parsed, TransportFeedback)
    ticks = feedback.reference_time * 256
    expected = []
    for place, delta in feedback.received:
        ticks += delta
        expected.append((place, ticks))
    assert list(parsed.arrivals()) == expected


@given(st.integers(0, (1 << 81) - (1 << 63)))
def test_remb_rounds_down_and_keeps_18_bits(bitrate: int) -> None:
    (remb,) = parse_rtcp(serialise_rtcp([ReceiverEstimatedMaximumBitrate(1, bitrate, ())]))
    assert isinstance(remb, ReceiverEstimatedMaximumBitrate)
    assert remb.bitrate_bps <= bitrate
    assert bitrate - remb.bitrate_bps <= bitrate / (1 << 17)


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        ("", "empty"),
        ("80c9", "header"),
        ("40c90001 00000001", "version"),
        ("80c90002 00000001", "within a packet"),
        ("81c90001 00000001", "report blocks"),
        ("80c80001 00000001", "SR of"),
        ("80c90000", "RR of"),
        ("81ca0001 00000001", "does not end"),
        ("81ca0002 00000001 01ff0000", "cut short"),
        ("81ca0000", "last chunk"),
        ("81cb0000", "BYE of"),
        ("80cb0001 ff000000", "reason"),
        ("80cc0001 00000001", "APP"),
        ("81cd0001 00000001", "feedback of"),
        ("84ce0003 00000001 00000000 00000002", "FIR"),
        ("8fce0003 00000001 00000000 52454d42", "REMB"),
        ("8fce0004 00000001 00000000 52454d42 01000001", "REMB"),
        ("8fcd0003 00000001 00000002 000a00dd", "transport feedback of"),
        ("8fcd0004 00000001 00000002 000a00dd 00000103", "chunks"),
        ("8fcd0005 00000001 00000002 000a00dd 00000103 20dd0000", "deltas"),
        ("8fcd0005 00000001 00000002 000a0001 00000103 60010000", "reserved"),
        ("a0c90001 00000001 80c90001 00000001", "padding"),
        ("a0c90002 00000001 00000003", "padding"),
        ("a0c90002 00000001 0000000c", "padding"),
        ("a0c90002 00000001 00000001", "padding"),
        ("a0c90000", "padding"),
        ("afcd0001 00000005", "padding"),
        ("afcd0001 00000000", "padding"),
    ],
)
def test_a_malformed_datagram_is_refused_whole(wire: str, why: str) -> None:
    with pytest.raises(RtpDecodeError, match=why):
        parse_rtcp(bytes.fromhex(wire))


def test_padding_of_the_last_packet_is_taken_off() -> None:
    data = bytes.fromhex("80c90001 00000001 a0c90003 00000002 00000000 00000008")
    assert parse_rtcp(data) == (ReceiverReport(1), ReceiverReport(2))


@pytest.mark.parametrize(
    ("wire", "places"),
    [
        ("afcd0005 00000001 a98cc774 00000001 082cc500 2001b301", [0]),
        (
            "afcd0008 00000001 a98cc774 0007000b 082cc602 200bd202 130b000a 8c00060e 0e000003",
            list(range(11)),
        ),
    ],
)
def test_feedback_filled_up_with_padding_of_less_than_a_word_is_taken_as_chromium_sends_it(
    wire: str, places: list[int]
) -> None:
    data = bytes.fromhex(wire)
    # libwebrtc joins messages, too: those before the last are padded as well.
    for packet in parse_rtcp(data + data):
        assert isinstance(packet, TransportFeedback)
        assert [place for place, _ in packet.received] == places


def test_unknown_types_and_formats_are_kept_as_they_came() -> None:
    data = bytes.fromhex("80cf0001 00000001 9fcd0002 00000001 00000002")
    packets = parse_rtcp(data)
    assert packets == (
        UnknownPacket(207, 0, data[4:8]),
        UnknownPacket(205, 31, data[12:20]),
    )
    assert serialise_rtcp(packets) == data


def test_another_applications_feedback_is_not_taken_for_remb() -> None:
    data = bytes.fromhex("8fce0003 00000001 00000000 474f4f47")
    assert parse_rtcp(data) == (UnknownPacket(206, 15, data[4:]),)


@given(
    st.binary(max_size=60)
    | st.builds(
        lambda kind, count, body: bytes((0x80 | count, kind)) + (len(body) // 4).to_bytes(2) + body,
        st.integers(200, 206),
        st.integers(0, 31),
        st.binary(max_size=40).map(lambda data: data + bytes(-len(data) % 4)),
    )
)
def test_nothing_but_a_decode_error_escapes(data: bytes) -> None:
    try:
        parse_rtcp(data)
    except RtpDecodeError:
        return


@pytest.mark.parametrize(
    "packet",
    [
        ReceiverReport(1, (ReportBlock(1),) * 32),
        ReceiverReport(1, (ReportBlock(1, packets_lost=1 << 23),)),
        GenericNack(1, 2, (1 << 16,)),
        Goodbye((1,), b"x" * 256),
        SourceDescription((SourceDescriptionChunk(1, ((1, b"x" * 256),)),)),
        TransportFeedback(1, 2, 0, 1, 0, 0, ((0, 1 << 15),)),
        ReceiverEstimatedMaximumBitrate(1, 1 << 81, ()),
    ],
)
def test_what_does_not_fit_is_not_written(packet: RtcpPacket) -> None:
    with pytest.raises(RtpEncodeError):
        serialise_rtcp([packet])
