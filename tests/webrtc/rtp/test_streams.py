"""What a session does with streams, feedback and hostile input."""

from __future__ import annotations

import itertools
import random

import attrs
import msgspec
import pytest

from tests.webrtc.rtp.network import Path
from tests.webrtc.rtp.pair import (
    AUDIO,
    EXTENSIONS,
    OPUS,
    RED,
    RTX,
    ULPFEC,
    VIDEO,
    VIDEO_RTX,
    VP8,
    Camera,
    Microphone,
    Pair,
    audio_receiver,
    audio_sender,
    fec_sender,
    video_receiver,
    video_sender,
    vp8_frame,
)
from tests.webrtc.rtp.payload.encoded import frames
from webrtc.rtp import (
    SUPPORTED_URIS,
    Codec,
    Datagram,
    ExtensionMap,
    FrameReceived,
    HeaderExtensions,
    KeyFrameRequested,
    PacketReceived,
    ReceiverConfig,
    RtpError,
    RtpPacket,
    RtpSession,
    SenderConfig,
    SessionConfig,
    StreamEnded,
    parse_rtp,
    serialise_rtp,
)
from webrtc.rtp.demultiplexer import MAX_SSRCS, Demultiplexer
from webrtc.rtp.header_extensions import ABSOLUTE_SEND_TIME_URI, MID_URI
from webrtc.rtp.receiver import MAX_STREAMS
from webrtc.rtp.red import RedAudioEncoder
from webrtc.rtp.rtcp import (
    FullIntraRequest,
    GenericNack,
    PictureLossIndication,
    ReceiverEstimatedMaximumBitrate,
    ReceiverReport,
    ReportBlock,
    SenderReport,
    SourceDescription,
    parse_rtcp,
    serialise_rtcp,
)


def session(extensions: ExtensionMap = EXTENSIONS, seed: int = 1) -> RtpSession:
    return RtpSession(SessionConfig("us", extensions), random.Random(seed).randrange)


def wire(packet: RtpPacket, extensions: HeaderExtensions | None = None) -> bytes:
    if extensions is not None:
        profile, data = EXTENSIONS.write(extensions)
        packet = msgspec.structs.replace(packet, extension_profile=profile, extension=data)
    return serialise_rtp(packet)


def test_a_packet_goes_to_its_mid_then_its_ssrc_then_its_payload_type() -> None:
    table = Demultiplexer()
    table.add("a", [111, 96])
    table.add("v", [96, 97], [5])
    assert table.route(1, 111, None) == "a"  # its payload type is unique
    assert table.route(2, 96, None) is None  # two descriptions have it
    assert table.route(2, 96, "v") == "v"
    assert table.route(2, 96, None) == "v"  # learnt from the MID
    assert table.route(5, 97, None) == "v"  # announced
    assert table.route(2, 96, "a") == "a"  # RFC 8843 §9.2: a MID changes the binding
    assert table.route(2, 111, None) == "a"
    assert table.route(2, 97, None) is None  # not a payload type of its description
    assert table.route(9, 96, "gone") is None
    assert table.unrouted == 3
    table.remove("a")
    assert table.route_ssrc(2) is None
    assert table.route(3, 96, None) == "v"  # now it is unique


def test_learnt_ssrcs_are_bounded_and_leave_nothing_behind() -> None:
    table = Demultiplexer()
    table.add("v", [96])
    for ssrc in range(10_000):
        table.route(ssrc, 96, "v" if ssrc % 2 else None)
        table.route(ssrc, 95, None)
    assert len(table) == MAX_SSRCS
    table.remove("v")
    assert len(table) == 0


def test_unknown_ssrcs_and_hostile_bytes_grow_nothing() -> None:
    us = session()
    us.add_receiver(video_receiver)
    us.add_receiver(audio_receiver)
    us.add_sender(video_sender)
    generator = random.Random(7)
    now = 0.0
    for _ in range(20_000):
        now += 0.0001
        data = bytearray(
            wire(
                RtpPacket(
                    generator.choice((96, 97, 98, 99, 100, 111, 5)),
                    generator.randrange(1 << 16),
                    generator.randrange(1 << 32),
                    generator.randrange(1 << 32),
                    generator.randbytes(generator.randrange(40)),
                    marker=generator.random() < 0.5,
                ),
                HeaderExtensions(
                    mid=generator.choice((None, "v", "a", "x")),
                    rid=generator.choice((None, "hi", f"r{generator.randrange(99)}")),
                    repaired_rid=generator.choice((None, "hi", "lo")),
                    transport_sequence_number=generator.randrange(1 << 16),
                ),
            )
        )
        if generator.random() < 0.3:
            data[generator.randrange(len(data))] = generator.randrange(256)
        us.receive(bytes(data), now)
        us.take_events()
        us.take_datagrams()
    streams = [list(receiver.streams) for receiver in us._receivers.values()]
    assert all(len(entry) <= MAX_STREAMS for entry in streams)
    assert us.unrouted > 1000
    assert len(us._recorder._arrivals) <= 4096
    # And the call goes on: a new stream takes the place of a stale one.
    us.receive(wire(RtpPacket(96, 1, 0, 42, bytes.fromhex("1000aa"), marker=True)), now + 20)
    assert ("v", 42) in us.receive_statistics()


def test_a_stream_is_not_pushed_out_while_it_flows() -> None:
    us = session()
    us.add_receiver(audio_receiver)
    for ssrc in range(MAX_STREAMS + 5):
        us.receive(wire(RtpPacket(111, 1, 0, 100 + ssrc, b"x")), 0.1 * ssrc)
    assert set(us.receive_statistics()) == {("a", 100 + n) for n in range(MAX_STREAMS)}
    us.receive(wire(RtpPacket(111, 1, 0, 999, b"x")), 30.0)
    assert ("a", 999) in us.receive_statistics()


def test_streams_that_made_room_for_others_are_not_waited_for() -> None:
    us = session()
    us.add_receiver(video_receiver)
    for number in range(100):  # a sender that takes a new SSRC every minute
        payload = b"\x10" + vp8_frame(20, is_key=True, tag=number)
        us.receive(wire(RtpPacket(96, 1, 0, 1000 + number, payload, marker=True)), 60.0 * number)
    assert len(us.receive_statistics()) == MAX_STREAMS
    assert len(us._synchroniser) == MAX_STREAMS


def test_a_flood_of_nacks_gets_a_share_of_the_bit_rate() -> None:
    us = session()
    us.add_sender(video_sender)
    numbers: list[int] = []
    sent = 0
    now = 0.0
    for step in range(3000):
        now = step * 0.001
        if step % 33 == 0:
            us.send_frame(VIDEO, vp8_frame(3000, is_key=True, tag=step), 90 * step, now)
        us.on_deadline(now)
        for datagram in us.take_datagrams():
            if datagram.is_rtcp:
                continue
            packet = parse_rtp(datagram.data)
            if packet.ssrc == VIDEO:
                numbers.append(packet.sequence_number)
            else:
                sent += len(datagram.data)
        us.receive(serialise_rtcp([GenericNack(1, VIDEO, tuple(numbers[-100:]))]), now)
    assert 0 < 8 * sent / now < 0.8 * us.target_bps


def test_red_audio_fills_single_losses() -> None:
    red = Codec(63, "red", 48_000)
    us, them = session(), session(seed=2)
    us.add_sender(attrs.evolve(audio_sender, codecs=(OPUS, red)))
    them.add_receiver(attrs.evolve(audio_receiver, codecs=(OPUS, red)))
    encoder = RedAudioEncoder(111)
    payloads = []
    for step in range(100):
        now = step * 0.02
        payload = b"\xfc" + bytes((step,))
        payloads.append(payload)
        us.send_payload(
            AUDIO,
            encoder.encode(payload, 960 * step),
            960 * step,
            now,
            payload_type=63,
            marker=False,
        )
        for datagram in us.take_datagrams():
            if step % 5 != 3:
                them.receive(datagram.data, now)
        them.on_deadline(now)
    them.on_deadline(5.0)
    events = [event for event in them.take_events() if isinstance(event, FrameReceived)]
    assert [event.frame.data for event in events] == payloads
    assert {event.frame.payload_type for event in events} == {111}
    assert sum(event.frame.lost_before for event in events) == 0
    assert them.receive_statistics()["a", AUDIO].packets_discarded == 0


def test_fec_packets_are_no_holes_to_codecs_without_picture_identifiers() -> None:
    h264 = Codec(96, "H264", 90_000)
    us, them = session(), session(seed=2)
    us.add_sender(attrs.evolve(fec_sender, codecs=(h264,)))
    us.set_fec_ratio(VIDEO, 0.5)
    them.add_receiver(ReceiverConfig("v", (h264, RED, ULPFEC)))
    for index, (frame, _) in enumerate(frames("H264")):
        now = 2.0 * index
        us.send_frame(VIDEO, frame, 180_000 * index, now)
        for step in range(1, 200):
            us.on_deadline(now + step / 100)
        for datagram in us.take_datagrams():
            them.receive(datagram.data, now)
    assert us.send_statistics()[VIDEO].fec_packets_sent > 10
    assert them.receive_statistics()["v", VIDEO].frames_received == len(frames("H264"))


def test_a_stream_goes_on_under_the_payload_types_of_another_offer() -> None:
    us = session()
    now, packets = 0.0, []
    for payload_type in (96, 120):
        us.add_sender(
            attrs.evolve(audio_sender, codecs=(attrs.evolve(OPUS, payload_type=payload_type),))
        )
        for _ in range(2):
            us.send_frame(AUDIO, b"opus", round(now * 48_000), now)
            packets += [parse_rtp(datagram.data) for datagram in us.take_datagrams()]
            now += 0.02
    assert [packet.payload_type for packet in packets] == [96, 96, 120, 120]
    first = packets[0]
    for index, packet in enumerate(packets):
        assert packet.sequence_number == first.sequence_number + index
        assert (packet.timestamp - first.timestamp) & 0xFFFFFFFF == 960 * index


def test_hostile_rtcp_raises_nothing_and_changes_no_call() -> None:
    pair = Pair()
    pair.sender.session.add_sender(video_sender)
    pair.receiver.session.add_receiver(video_receiver)
    Camera(pair, bitrate_bps=300_000)
    generator = random.Random(3)

    def attack(now: float) -> None:
        for end in (pair.sender, pair.receiver):
            kind = generator.randrange(200, 208)
            words = generator.randrange(6)
            body = generator.randbytes(4 * words)
            count = generator.randrange(32)
            if generator.random() < 0.5 and words:
                body = generator.randrange(1 << 32).to_bytes(4) + body[4:]
            end.session.receive(bytes((0x80 | count, kind)) + words.to_bytes(2) + body, now)

    pair.ticks.append(attack)
    pair.run(5)
    assert len(pair.receiver.frames("v")) > 140


def test_simulcast_layers_and_their_retransmissions_are_told_apart_by_rid() -> None:
    us = session()
    us.add_receiver(ReceiverConfig("v", (VP8, RTX)))
    for ssrc, rid in ((10, "lo"), (20, "hi")):
        payload = b"\x10" + vp8_frame(20, is_key=True, tag=ssrc)
        first = RtpPacket(96, 100, 0, ssrc, payload, marker=True)
        us.receive(wire(first, HeaderExtensions(mid="v", rid=rid)), 0.0)
    # RTX of both on SSRCs never seen, with the next packet of each inside.
    for rtx_ssrc, rid, tag in ((11, "lo", 30), (21, "hi", 40)):
        payload = (101).to_bytes(2) + b"\x10" + vp8_frame(20, is_key=True, tag=tag)
        repaired = RtpPacket(97, 1, 3000, rtx_ssrc, payload, marker=True)
        us.receive(wire(repaired, HeaderExtensions(mid="v", repaired_rid=rid)), 0.01)
    got = [(event.ssrc, event.rid, event.frame.data[4]) for event in us.take_events()]  # type: ignore[union-attr]
    assert got == [(10, "lo", 10), (20, "hi", 20), (10, "lo", 30), (20, "hi", 40)]


def test_rtx_is_told_by_the_ssrc_group_where_it_is_announced() -> None:
    us = session()
    us.add_receiver(ReceiverConfig("v", (VP8, RTX), (10, 20), {11: 10, 21: 20}))
    for ssrc in (10, 20):
        payload = b"\x10" + vp8_frame(20, is_key=True, tag=ssrc)
        us.receive(wire(RtpPacket(96, 100, 0, ssrc, payload, marker=True)), 0.0)
    payload = (101).to_bytes(2) + b"\x10" + vp8_frame(20, is_key=True, tag=99)
    us.receive(wire(RtpPacket(97, 1, 3000, 21, payload, marker=True)), 0.0)
    assert us.receive_statistics()["v", 20].retransmitted_packets_received == 1
    assert us.receive_statistics()["v", 10].retransmitted_packets_received == 0


@pytest.mark.parametrize("name", ["VP8", "VP9", "H264", "AV1"])
def test_every_codec_crosses_a_lossy_path(name: str) -> None:
    codec = Codec(96, name, 90_000, nack=True, pli=True)
    pair = Pair(out=Path(seed=8, loss=0.05, jitter=0.01))
    pair.sender.session.add_sender(attrs.evolve(video_sender, codecs=(codec,)))
    pair.receiver.session.add_receiver(ReceiverConfig("v", (codec, RTX)))
    encoded = frames(name)
    for index, (frame, _) in enumerate(encoded):
        if index == len(encoded) - 1:
            pair.out.loss = 0.0  # if nothing came after it, nobody would ask for it
        pair.sender.session.send_frame(VIDEO, frame, 3000 * index, pair.now)
        pair.run(0.1)
    pair.run(2)
    events = pair.receiver.frames("v")
    first = events[0].frame.timestamp
    arrived = [(event.frame.timestamp - first) % (1 << 32) // 3000 for event in events]
    # Encoders are not the same to the bit twice, so neither is what gets lost: once the second
    # key frame is to be shown, what is missing right before it is not waited for.
    (key,) = (index for index, (_, is_key) in enumerate(encoded) if is_key and index)
    skipped = len(encoded) - len(arrived)
    assert skipped <= 2
    assert arrived == [*range(key - skipped), *range(key, len(encoded))]
    assert [event.frame.is_key_frame for event in events] == [encoded[n][1] for n in arrived]


def test_key_frame_requests_are_throttled() -> None:
    us = session()
    us.add_receiver(video_receiver)
    requests = []
    for step in range(4000):  # four seconds of frames without a key frame
        now = step * 0.001
        if step % 33 == 0:
            payload = b"\x10" + vp8_frame(50, is_key=False, tag=step)
            us.receive(wire(RtpPacket(96, step // 33, 90 * step, VIDEO, payload, marker=True)), now)
        deadline = us.next_deadline()
        if deadline is not None and deadline <= now:
            us.on_deadline(now)
        requests += [
            now
            for datagram in us.take_datagrams()
            for packet in parse_rtcp(datagram.data)
            if isinstance(packet, PictureLossIndication)
        ]
    assert requests[0] == pytest.approx(0.2, abs=0.01)  # a new stream has a while
    assert 3 <= len(requests) <= 6
    gaps = [after - before for before, after in itertools.pairwise(requests)]
    assert gaps == sorted(gaps)


def test_fir_is_sent_where_pli_was_not_negotiated_and_repeats_are_known() -> None:
    fir_codec = attrs.evolve(VP8, pli=False, fir=True)
    us = session()
    us.add_receiver(ReceiverConfig("v", (fir_codec,)))
    us.receive(wire(RtpPacket(96, 1, 0, VIDEO, b"\x10\x01aaaa", marker=True)), 0.0)
    us.on_deadline(0.25)
    (fir,) = [
        packet
        for datagram in us.take_datagrams()
        for packet in parse_rtcp(datagram.data)
        if isinstance(packet, FullIntraRequest)
    ]
    them = session()
    them.add_sender(video_sender)
    for _ in range(3):
        them.receive(serialise_rtcp([fir]), 0.3)
    assert them.take_events() == [KeyFrameRequested(VIDEO)]


def test_the_decoder_may_ask_for_a_key_frame() -> None:
    pair = Pair()
    pair.sender.session.add_sender(video_sender)
    pair.receiver.session.add_receiver(video_receiver)
    camera = Camera(pair, bitrate_bps=300_000)
    pair.run(2)
    pair.receiver.session.request_key_frame("v", VIDEO, pair.now)
    pair.run(1)
    assert camera.key_frames == 2


def test_goodbye_ends_a_stream() -> None:
    pair = Pair()
    pair.sender.session.add_sender(audio_sender)
    pair.receiver.session.add_receiver(audio_receiver)
    Microphone(pair)
    pair.run(1)
    pair.ticks.clear()
    pair.sender.session.remove_sender(AUDIO)
    pair.run(0.2)
    assert pair.receiver.events[-1][1] == StreamEnded("a", AUDIO)
    assert pair.receiver.session.receive_statistics() == {}
    with pytest.raises(RtpError):
        pair.sender.session.send_frame(AUDIO, b"x", 0, pair.now)


def test_a_forwarder_gets_packets_and_sends_them_on() -> None:
    pair = Pair(out=Path(seed=1, loss=0.05))
    pair.sender.session.add_sender(video_sender)
    pair.receiver.session.add_receiver(attrs.evolve(video_receiver, wants_packets=True))
    Camera(pair, bitrate_bps=500_000)
    pair.run(4)
    packets = [event for _, event in pair.receiver.events if isinstance(event, PacketReceived)]
    numbers = {event.packet.sequence_number for event in packets}
    assert max(numbers) - min(numbers) + 1 - len(numbers) <= 3  # NACK repaired the others
    assert packets[0].extensions.mid == "v"
    us = session()
    us.add_sender(SenderConfig("0", 77, (VP8,)))
    first = packets[0].packet
    us.send_payload(77, first.payload, 5, 0.0, payload_type=96, marker=True)
    (datagram,) = us.take_datagrams()
    sent = parse_rtp(datagram.data)
    assert (sent.ssrc, sent.payload, sent.marker) == (77, first.payload, True)


def test_mid_and_rid_are_said_until_the_peer_reports() -> None:
    us = session()
    us.add_sender(attrs.evolve(audio_sender, rid="r"))

    def sent() -> HeaderExtensions:
        us.send_frame(AUDIO, b"x", 0, 0.0)
        (datagram,) = [entry for entry in us.take_datagrams() if not entry.is_rtcp]
        return EXTENSIONS.read(parse_rtp(datagram.data))

    assert (sent().mid, sent().rid) == ("a", "r")
    us.receive(serialise_rtcp([ReceiverReport(1, (ReportBlock(AUDIO),))]), 0.0)
    assert (sent().mid, sent().rid) == (None, None)


def test_transport_sequence_numbers_run_over_all_streams() -> None:
    us = session()
    us.add_sender(audio_sender)
    us.add_sender(attrs.evolve(audio_sender, mid="b", ssrc=9))
    for ssrc in (AUDIO, 9, AUDIO):
        us.send_frame(ssrc, b"x", 0, 1.5, extensions=HeaderExtensions(audio_level=30))
    values = [EXTENSIONS.read(parse_rtp(entry.data)) for entry in us.take_datagrams()]
    assert [value.transport_sequence_number for value in values] == [0, 1, 2]
    assert {value.absolute_send_time for value in values} == {0x060000}
    assert {value.audio_level for value in values} == {30}


def test_reports_begin_with_sr_or_rr_and_name_the_source() -> None:
    seen: list[tuple[type, ...]] = []

    class Spy(Path[Datagram]):
        def send(self, item: Datagram, size_bytes: int, now: float) -> None:
            if item.is_rtcp:
                seen.append(tuple(type(packet) for packet in parse_rtcp(item.data)))
            super().send(item, size_bytes, now)

    pair = Pair(out=Spy())
    pair.sender.session.add_sender(audio_sender)
    pair.receiver.session.add_receiver(audio_receiver)
    Microphone(pair)
    pair.run(10)
    assert set(seen) == {(SenderReport, SourceDescription)}
    assert 6 <= len(seen) <= 20


def test_without_reduced_size_feedback_goes_behind_a_report() -> None:
    us = RtpSession(SessionConfig("us", EXTENSIONS, reduced_size=False), random.Random(1).randrange)
    us.add_receiver(video_receiver)
    for number in (1, 3):
        us.receive(wire(RtpPacket(96, number, 0, VIDEO, b"\x10\x00a")), 0.0)
    (datagram,) = us.take_datagrams()
    report, nack = parse_rtcp(datagram.data)
    assert isinstance(report, ReceiverReport)
    assert isinstance(nack, GenericNack)
    assert nack.sequence_numbers == (2,)


def test_nacks_for_packets_never_sent_are_answered_with_nothing() -> None:
    us = session()
    us.add_sender(video_sender)
    us.send_frame(VIDEO, vp8_frame(50, is_key=True, tag=1), 0, 0.0)
    (media,) = us.take_datagrams()
    number = parse_rtp(media.data).sequence_number
    us.receive(serialise_rtcp([GenericNack(1, VIDEO, tuple(range(2000)))]), 0.01)
    us.receive(serialise_rtcp([GenericNack(1, 0x999, (number,))]), 0.01)
    assert us.take_datagrams() == []
    us.receive(serialise_rtcp([GenericNack(1, VIDEO, (number,))]), 0.02)
    answer = us.take_datagrams()[0]
    assert parse_rtp(answer.data).ssrc == VIDEO_RTX
    assert parse_rtp(answer.data).payload[:2] == number.to_bytes(2)


def test_remb_is_told_to_a_sender_that_wants_it_and_limits_it() -> None:
    extensions = ExtensionMap({1: MID_URI, 2: ABSOLUTE_SEND_TIME_URI})
    out: Path[Datagram] = Path(seed=1, bitrate_bps=400_000)
    pair = Pair(out=out, extensions=extensions)
    codec = attrs.evolve(VP8, transport_cc=False, remb=True)
    pair.sender.session.add_sender(attrs.evolve(video_sender, codecs=(codec,)))
    pair.receiver.session.add_receiver(attrs.evolve(video_receiver, codecs=(codec, RTX)))
    Camera(pair)
    pair.run(20)
    assert 200_000 < pair.sender.session.target_bps < 450_000
    recent = [at for at, _ in pair.receiver.events if at > pair.now - 5]
    assert len(recent) > 120


def test_remb_alone_lowers_the_target() -> None:
    us = session()
    us.receive(serialise_rtcp([ReceiverEstimatedMaximumBitrate(1, 100_000, ())]), 0.0)
    assert us.target_bps == 100_000


def test_an_idle_session_has_nothing_due() -> None:
    us = session()
    us.add_receiver(ReceiverConfig("a", (OPUS,)))
    assert us.next_deadline() is None
    us.on_deadline(5.0)
    assert us.take_datagrams() == []


def test_a_new_map_of_extensions_holds_for_streams_that_are_there() -> None:
    us = session(ExtensionMap({1: MID_URI}))
    us.add_sender(audio_sender)
    us.set_extensions(ExtensionMap({5: MID_URI}))
    us.send_frame(AUDIO, b"x", 0, 0.0)
    (datagram,) = us.take_datagrams()
    assert parse_rtp(datagram.data).extension == b"\x50a\0\0"


def test_without_transport_feedback_the_target_is_not_lowered_for_want_of_it() -> None:
    us = session()
    us.add_sender(audio_sender)
    before = us.target_bps
    for step in range(500):
        us.send_frame(AUDIO, b"x", 960 * step, 0.02 * step)
        us.on_deadline(0.02 * step)
    assert us.target_bps >= before


def test_extensions_that_were_not_negotiated_are_not_sent() -> None:
    us = session(ExtensionMap({}))
    us.add_sender(audio_sender)
    us.send_frame(AUDIO, b"x", 0, 0.0)
    (datagram,) = us.take_datagrams()
    assert parse_rtp(datagram.data).extension_profile is None
    assert len(SUPPORTED_URIS) == 8
