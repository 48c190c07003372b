"""ffmpeg's RTP muxer writes what we read, and its demuxer reads what we write."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator

import av
import pytest

from tests.webrtc.rtp.payload.encoded import ENCODERS, configure, frames, pictures
from tests.webrtc.rtp.payload.test_formats import format_of, normal
from webrtc.media.codecs.scheduling import ordinary_threads
from webrtc.rtp.packet import RtpPacket, is_rtcp, parse_rtp, serialise_rtp

TIMEOUT = 10.0
NAMES = ["VP8", "VP9", "H264", "AV1"]


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    """A socket whose next port is free, too: ffmpeg sends RTCP there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(TIMEOUT)
        yield sock


@pytest.mark.parametrize("name", NAMES)
def test_we_join_what_ffmpeg_cuts(name: str, receiver: socket.socket) -> None:
    port = receiver.getsockname()[1]
    encoded: list[tuple[bytes, bool]] = []
    depacketiser = format_of(name).depacketiser
    joined: list[bytes] = []
    payloads: list[bytes] = []
    options = {"strict": "experimental"}

    def receive_frame() -> None:
        """Join one frame: after each, since a socket's buffer holds few small datagrams."""
        while True:
            data = receiver.recv(2048)
            if is_rtcp(data):
                continue
            packet = parse_rtp(data)
            payloads.append(packet.payload)
            if packet.marker:
                break
        is_key = any(depacketiser.inspect(payload).is_key_frame for payload in payloads)
        # ffmpeg's VP9 muxer leaves P unset in every frame.
        assert is_key == encoded[len(joined)][1] or name == "VP9"
        joined.append(depacketiser.assemble(payloads))
        payloads.clear()

    with av.open(f"rtp://127.0.0.1:{port}?pkt_size=600", "w", format="rtp", options=options) as out:
        stream = out.add_stream(ENCODERS[name][0], rate=30)
        assert isinstance(stream, av.VideoStream)
        configure(name, stream.codec_context)
        with ordinary_threads():
            stream.codec_context.open(strict=False)
        for picture in (*pictures(), None):
            for packet in stream.encode(picture):
                encoded.append((bytes(packet), packet.is_keyframe))
                out.mux(packet)
                receive_frame()
    assert len(joined) == 12
    assert joined == [normal(name, frame) for frame, _ in encoded]


@pytest.mark.parametrize("name", NAMES)
def test_ffmpeg_joins_what_we_cut(name: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    sdp = (
        f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        f"m=video {port} RTP/AVP 96\r\na=rtpmap:96 {name}/90000\r\n"
        + ("a=fmtp:96 packetization-mode=1\r\n" if name == "H264" else "")
    )
    packetiser = format_of(name).packetiser(5)
    encoded = frames(name)
    done = threading.Event()

    def send() -> None:
        """Send the frames over and over: ffmpeg listens only when it has read the SDP."""
        number = timestamp = 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            while not done.is_set():
                for frame, _ in encoded:
                    payloads = packetiser.packetise(frame, 1000)
                    for payload in payloads:
                        packet = RtpPacket(
                            96, number, timestamp, 7, payload, marker=payload is payloads[-1]
                        )
                        sock.sendto(serialise_rtp(packet), ("127.0.0.1", port))
                        number = (number + 1) & 0xFFFF
                    timestamp += 3000
                    done.wait(0.002)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        options = {"protocol_whitelist": "file,rtp,udp", "analyzeduration": "200000"}
        with av.open(
            io.BytesIO(sdp.encode()), format="sdp", options=options, timeout=TIMEOUT
        ) as source:
            assert isinstance(source, av.container.InputContainer)
            seen = {bytes(packet) for packet, _ in zip(source.demux(), range(40), strict=False)}
    finally:
        done.set()
        thread.join()
    expected = {normal(name, frame) for frame, _ in encoded}
    assert expected <= {normal(name, frame) for frame in seen}
