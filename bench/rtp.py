"""The command `python -m bench.rtp`: RTP packets per CPU-second, ours beside aiortc's.

Each round runs every cell of both libraries in turn, so that what else the machine does falls on
both. A cell is the work for one packet, without sockets, SRTP or codecs.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable

import aiortc.rtp as theirs
import click
from aiortc.codecs import depayload
from aiortc.jitterbuffer import JitterBuffer
from aiortc.rtcrtpparameters import (
    RTCRtpCodecParameters,
    RTCRtpHeaderExtensionParameters,
    RTCRtpParameters,
)

from bench.machine import describe
from webrtc.rtp import (
    Codec,
    ExtensionMap,
    HeaderExtensions,
    ReceiverConfig,
    RtpPacket,
    RtpSession,
    SenderConfig,
    SessionConfig,
    parse_rtp,
    serialise_rtp,
)
from webrtc.rtp.header_extensions import (
    ABSOLUTE_SEND_TIME_URI,
    MID_URI,
    TRANSPORT_SEQUENCE_NUMBER_URI,
)
from webrtc.rtp.jitter import AudioJitterBuffer, VideoJitterBuffer
from webrtc.rtp.payload import Vp8Depacketiser, Vp8Packetiser
from webrtc.rtp.sequence import Unwrapper

PACKETS_PER_FRAME = 12
PAYLOAD_BYTES = 1000
FRAMES = 400
AUDIO_BYTES = 80
URIS = {1: MID_URI, 2: ABSOLUTE_SEND_TIME_URI, 3: TRANSPORT_SEQUENCE_NUMBER_URI}

Cell = Callable[[], int]
"""Does the work, and returns for how many packets."""


def video_payloads() -> list[tuple[bytes, bool]]:
    """Payloads of VP8 frames, and whether each ends its frame."""
    packetiser = Vp8Packetiser()
    out = []
    for index in range(FRAMES):
        frame = bytes((index > 0,)) + bytes(PACKETS_PER_FRAME * PAYLOAD_BYTES - 1)
        payloads = packetiser.packetise(frame, PAYLOAD_BYTES + 4)
        out += [(payload, payload is payloads[-1]) for payload in payloads]
    return out


def audio_payloads() -> list[tuple[bytes, bool]]:
    """As many payloads of Opus."""
    return [(b"\xfc" + bytes(AUDIO_BYTES - 1), False)] * (FRAMES * PACKETS_PER_FRAME)


def timestamps(payloads: list[tuple[bytes, bool]], *, is_video: bool) -> list[int]:
    """The timestamp of each."""
    if not is_video:
        return [960 * index for index in range(len(payloads))]
    return [3000 * (index // PACKETS_PER_FRAME) for index in range(len(payloads))]


def ours_serialise(payloads: list[tuple[bytes, bool]], *, is_video: bool) -> list[bytes]:
    """Write packets with three header extensions."""
    extensions = ExtensionMap(URIS)
    times = timestamps(payloads, is_video=is_video)
    out = []
    for index, (payload, marker) in enumerate(payloads):
        profile, data = extensions.write(
            HeaderExtensions(
                mid="0", absolute_send_time=index, transport_sequence_number=index & 0xFFFF
            )
        )
        packet = RtpPacket(96, index & 0xFFFF, times[index], 7, payload, marker, (), profile, data)
        out.append(serialise_rtp(packet))
    return out


def ours_receive(wires: list[bytes], *, is_video: bool) -> int:
    """Parse packets and their extensions, put them through the jitter buffer, count frames."""
    extensions = ExtensionMap(URIS)
    numbers, times = Unwrapper(16), Unwrapper(32)
    buffer: VideoJitterBuffer | AudioJitterBuffer
    buffer = (
        VideoJitterBuffer(90_000, {96: Vp8Depacketiser()})
        if is_video
        else AudioJitterBuffer(48_000)
    )
    frames = 0
    now = 0.0
    for wire in wires:
        packet = parse_rtp(wire)
        extensions.read(packet)
        now += 0.02 if not is_video else 1 / 30 / PACKETS_PER_FRAME
        number, timestamp = numbers.unwrap(packet.sequence_number), times.unwrap(packet.timestamp)
        buffer.insert(packet, number, timestamp, now)
        frames += len(buffer.take(now))
    return frames


def their_map() -> theirs.HeaderExtensionsMap:
    """The same extensions; aiortc knows no transport-wide sequence number."""
    extensions = theirs.HeaderExtensionsMap()
    extensions.configure(
        RTCRtpParameters(
            headerExtensions=[
                RTCRtpHeaderExtensionParameters(id=identifier, uri=uri)
                for identifier, uri in URIS.items()
            ]
        )
    )
    return extensions


def theirs_serialise(payloads: list[tuple[bytes, bool]], *, is_video: bool) -> list[bytes]:
    """Write packets with the header extensions that aiortc knows."""
    extensions = their_map()
    times = timestamps(payloads, is_video=is_video)
    out = []
    for index, (payload, marker) in enumerate(payloads):
        packet = theirs.RtpPacket(
            payload_type=96,
            marker=int(marker),
            sequence_number=index & 0xFFFF,
            timestamp=times[index],
            ssrc=7,
            payload=payload,
        )
        packet.extensions.mid = "0"
        packet.extensions.abs_send_time = index
        out.append(packet.serialize(extensions))
    return out


def theirs_receive(wires: list[bytes], *, is_video: bool) -> int:
    """Parse, depacketise and put through aiortc's jitter buffer, as its receiver does."""
    extensions = their_map()
    name = "video/VP8" if is_video else "audio/opus"
    codec = RTCRtpCodecParameters(mimeType=name, clockRate=90_000, payloadType=96)
    buffer = JitterBuffer(128, is_video=True) if is_video else JitterBuffer(16, prefetch=4)
    frames = 0
    for wire in wires:
        packet = theirs.RtpPacket.parse(wire, extensions)
        packet._data = depayload(codec, packet.payload)  # type: ignore[attr-defined]
        _, frame = buffer.add(packet)
        frames += frame is not None
    return frames


def session_cell(payloads: list[tuple[bytes, bool]]) -> int:
    """Run ours whole: pacer, congestion control, statistics, NACK, RTCP, both ends."""
    extensions = ExtensionMap(URIS)
    ends = [
        RtpSession(SessionConfig("x", extensions, start_bps=2e7), random.Random(1).randrange)
        for _ in range(2)
    ]
    codec = Codec(96, "VP8", 90_000, nack=True, pli=True, transport_cc=True)
    rtx = Codec(97, "rtx", 90_000, apt=96)
    ends[0].add_sender(
        SenderConfig(
            "0",
            7,
            (codec,),
            rtx_ssrc=8,
            rtx_payload_types={96: 97},
            max_payload_size=PAYLOAD_BYTES + 4,
        )
    )
    ends[1].add_receiver(ReceiverConfig("0", (codec, rtx)))
    now = 0.0
    for index in range(FRAMES):
        frame = bytes((index > 0,)) + bytes(PACKETS_PER_FRAME * PAYLOAD_BYTES - 1)
        ends[0].send_frame(7, frame, 3000 * index, now)
        for _ in range(6):
            now += 1 / 180
            for end, other in (ends, ends[::-1]):
                end.on_deadline(now)
                for datagram in end.take_datagrams():
                    other.receive(datagram.data, now)
                end.take_events()
    sent = ends[0].send_statistics()[7].packets_sent
    if sent < len(payloads):
        raise click.ClickException(f"only {sent} packets were sent")
    return sent


def measure(cell: Cell) -> float:
    """Return packets per CPU-second."""
    began = time.process_time()
    count = cell()
    return count / (time.process_time() - began)


def cells() -> dict[str, Cell]:
    """What is measured, by name."""
    table: dict[str, Cell] = {}
    for kind, payloads in (("video", video_payloads()), ("audio", audio_payloads())):
        for library, serialise, receive in (
            ("ours", ours_serialise, ours_receive),
            ("aiortc", theirs_serialise, theirs_receive),
        ):

            def cell(
                payloads: list[tuple[bytes, bool]] = payloads,
                serialise: Callable[..., list[bytes]] = serialise,
                receive: Callable[..., int] = receive,
                *,
                is_video: bool = kind == "video",
            ) -> int:
                frames = receive(serialise(payloads, is_video=is_video), is_video=is_video)
                expected = FRAMES if is_video else len(payloads)
                if frames < expected - 8:  # some wait in the buffer at the end
                    raise click.ClickException(f"{frames} frames of {expected}")
                return len(payloads)

            table[f"{kind} {library}"] = cell
    table["session ours"] = lambda: session_cell(video_payloads())
    return table


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
def main(rounds: int) -> None:
    """Measure RTP packets per CPU-second: serialise, parse, jitter buffer."""
    table = cells()
    samples: dict[str, list[float]] = {name: [] for name in table}
    print(describe())
    for _ in range(rounds):
        for name, cell in table.items():
            samples[name].append(measure(cell))
    medians = {name: statistics.median(values) for name, values in samples.items()}
    print("| work per packet | ours | aiortc | ratio |\n|---|---|---|---|")
    for kind, text in (("video", "VP8 video"), ("audio", "Opus audio")):
        ours, other = medians[f"{kind} ours"], medians[f"{kind} aiortc"]
        print(
            f"| {text}: serialise, parse, jitter buffer | {ours:,.0f}/s | {other:,.0f}/s |", end=""
        )
        print(f" {ours / other:.2f} |")
    print(f"| whole session, both ends, RTX and feedback | {medians['session ours']:,.0f}/s | | |")


if __name__ == "__main__":
    main()
