"""Values for Hypothesis."""

from hypothesis import strategies as st

from webrtc.rtp.packet import RtpPacket
from webrtc.rtp.rtcp import (
    ApplicationDefined,
    FullIntraRequest,
    GenericNack,
    Goodbye,
    PictureLossIndication,
    ReceiverEstimatedMaximumBitrate,
    ReceiverReport,
    ReportBlock,
    SenderReport,
    SourceDescription,
    SourceDescriptionChunk,
    TransportFeedback,
)

u8 = st.integers(0, 0xFF)
u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)
words = st.binary(max_size=16).map(lambda data: data + bytes(-len(data) % 4))

packets = st.builds(
    RtpPacket,
    payload_type=st.integers(0, 127),
    sequence_number=u16,
    timestamp=u32,
    ssrc=u32,
    payload=st.binary(max_size=64),
    marker=st.booleans(),
    csrcs=st.lists(u32, max_size=15).map(tuple),
    extension_profile=u16,
    extension=words,
    padding_size=u8,
) | st.builds(
    RtpPacket,
    payload_type=st.integers(0, 127),
    sequence_number=u16,
    timestamp=u32,
    ssrc=u32,
    payload=st.binary(max_size=64),
    marker=st.booleans(),
)

report_blocks = st.builds(ReportBlock, u32, u8, st.integers(-(1 << 23), (1 << 23) - 1), *[u32] * 4)
reports = st.lists(report_blocks, max_size=4).map(tuple)
ssrcs = st.lists(u32, max_size=6).map(tuple)
chunks = st.builds(
    SourceDescriptionChunk,
    u32,
    st.lists(st.tuples(st.integers(1, 255), st.binary(max_size=40)), max_size=4).map(tuple),
)


@st.composite
def transport_feedbacks(draw: st.DrawFn) -> TransportFeedback:
    runs = draw(
        st.lists(
            st.tuples(st.integers(0, 20), st.sampled_from(["lost", "small", "large", "negative"])),
            min_size=1,
            max_size=6,
        )
    )
    ticks = {"small": (0, 255), "large": (256, 32767), "negative": (-32768, -1)}
    received: list[tuple[int, int]] = []
    place = 0
    for length, kind in runs:
        if kind != "lost":
            received.extend(
                (index, draw(st.integers(*ticks[kind]))) for index in range(place, place + length)
            )
        place += length
    return TransportFeedback(
        sender_ssrc=draw(u32),
        media_ssrc=draw(u32),
        base_sequence_number=draw(u16),
        packet_count=place,
        reference_time=draw(st.integers(-(1 << 23), (1 << 23) - 1)),
        feedback_count=draw(u8),
        received=tuple(received),
    )


nacks = st.builds(
    GenericNack,
    u32,
    u32,
    st.sets(st.integers(0, 0xFFFF), max_size=40).map(lambda numbers: tuple(sorted(numbers))),
)
rembs = st.builds(
    ReceiverEstimatedMaximumBitrate,
    u32,
    st.builds(lambda mantissa, exponent: mantissa << exponent, st.integers(0, (1 << 18) - 1), u8),
    ssrcs,
).filter(lambda remb: remb.bitrate_bps < (1 << 18) - 1 << 63)

rtcp_packets = st.one_of(
    st.builds(SenderReport, u32, st.integers(0, (1 << 64) - 1), u32, u32, u32, reports),
    st.builds(ReceiverReport, u32, reports),
    st.builds(SourceDescription, st.lists(chunks, max_size=4).map(tuple)),
    st.builds(Goodbye, ssrcs, st.binary(max_size=255)),
    st.builds(
        ApplicationDefined, u32, st.binary(min_size=4, max_size=4), st.integers(0, 31), words
    ),
    nacks,
    st.builds(PictureLossIndication, u32, u32),
    st.builds(FullIntraRequest, u32, st.lists(st.tuples(u32, u8), max_size=8).map(tuple)),
    rembs,
    transport_feedbacks(),
)
