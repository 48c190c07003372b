"""What a peer sends into its own call that is wrong: authentic, and malformed or uncalled for."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator

import pytest
import trio

from tests.webrtc.peer.peers import TIMEOUT
from tests.webrtc.robust.running_call import RunningCall, container_sizes, running_call
from webrtc.rtp.packet import RtpPacket, serialise_rtp
from webrtc.sctp.chunks import ChunkType
from webrtc.sctp.packet import PacketWriter, encode_chunk
from webrtc.sctp.settings import Settings

COUNT = 2_000
"""Packets; each attack is made twice."""
UNKNOWN_PAYLOAD_TYPE = 77


# RTP and RTCP


def send_srtp(call: RunningCall) -> Callable[[bytes], None]:
    srtp = call.attacker.srtp
    assert srtp is not None
    return lambda packet: call.send(srtp.protect_rtp(packet))


def send_srtcp(call: RunningCall) -> Callable[[bytes], None]:
    srtp = call.attacker.srtp
    assert srtp is not None
    return lambda packet: call.send(srtp.protect_rtcp(packet))


def of_new_streams(payload_type: int, seed: int) -> Iterator[bytes]:
    dice = random.Random(seed)
    for _ in range(COUNT):
        packet = RtpPacket(
            payload_type=payload_type,
            sequence_number=dice.randrange(1 << 16),
            timestamp=dice.randrange(1 << 32),
            ssrc=dice.randrange(1, 1 << 32),
            payload=dice.randbytes(300),
        )
        yield serialise_rtp(packet)


@pytest.mark.parametrize("payload_type", [UNKNOWN_PAYLOAD_TYPE, None], ids=["unknown", "video"])
async def test_unknown_ssrcs_are_bounded(payload_type: int | None) -> None:
    async with running_call() as call:
        codec = call.peers[0].transceivers[0].sender.codec
        assert codec is not None
        number = codec.payload_type if payload_type is None else payload_type
        seeds = iter((1, 2))
        await call.assert_no_growth(lambda: of_new_streams(number, next(seeds)), send_srtp(call))
        victim = call.victim
        assert victim.srtp is not None
        assert victim.srtp.statistics.received >= 1000
        assert victim.srtp.statistics.excess_streams >= COUNT
        assert len(victim.rtp.receive_statistics()) <= 64
        if payload_type is not None:
            assert victim.rtp.unrouted >= 900
            assert len(victim.rtp.receive_statistics()) == 1


async def test_noise_as_payload_of_any_type_ends_nothing() -> None:
    async with running_call() as call:
        transceiver = call.peers[1].transceivers[0]
        types = [codec.payload_type for codec in transceiver.receiver.codecs]

        def packets() -> Iterator[bytes]:
            dice = random.Random(7)
            for number in range(COUNT):
                packet = RtpPacket(
                    payload_type=dice.choice(types),
                    sequence_number=number & 0xFFFF,
                    timestamp=dice.randrange(1 << 32),
                    ssrc=dice.choice((2, 3, 4)),
                    payload=dice.randbytes(dice.randrange(1, 200)),
                    marker=dice.random() < 0.5,
                )
                yield serialise_rtp(packet)

        await call.flood(packets(), send_srtp(call))
        # Its own video is the peer's to spoil; the rest of the call goes on.
        with trio.fail_after(TIMEOUT):
            await call.channel.send("still there?")
            assert await call.channel.receive() == "still there?"
        assert call.victim.counters.faults == 0
        assert all(count <= 4096 for count in container_sizes(call.victim).values())


def rtcp(number: int, dice: random.Random) -> bytes:
    """Return RTCP of every type, of which most lie about a length or a count."""
    body = dice.randbytes(4 * dice.randrange(1, 12))
    words = dice.choice((len(body) // 4, len(body) // 4, 0, 0xFFFF, dice.randrange(20)))
    first = dice.choice((0x80, 0x80, 0xA0)) | number % 32
    return struct.pack("!BBH", first, 192 + number % 24, words) + body


async def test_malformed_rtcp_is_counted_and_dropped() -> None:
    async with running_call() as call:
        seeds = iter((3, 4))

        def packets() -> Iterator[bytes]:
            dice = random.Random(next(seeds))
            # A goodbye (203) would be believed: the peer may end its own streams.
            every = (rtcp(number, dice) for number in range(COUNT))
            return (packet for packet in every if packet[1] != 203)

        await call.assert_no_growth(packets, send_srtcp(call))
        # The others are of types or formats that nobody knows, which is no error.
        assert call.victim.rtp.malformed >= COUNT // 4


# SCTP


def send_sctp(call: RunningCall) -> Callable[[bytes], None]:
    def send(packet: bytes) -> None:
        call.attacker.dtls.send(packet)
        call.attacker.flush()

    return send


def writer(call: RunningCall) -> PacketWriter:
    """Return what writes packets that the victim takes for the attacker's."""
    channels = call.victim.channels
    assert channels is not None
    expected = channels.association._control.expected
    assert expected is not None
    return expected


def chunk(kind: int, value: bytes, length: int | None = None, flags: int = 0) -> bytes:
    if length is None:
        return encode_chunk(kind, flags, value)
    return struct.pack("!BBH", kind, flags, length) + value


TSN = bytes.fromhex("7fffffff")
MALFORMED = {
    "no chunk": b"",
    "half a header": b"\x00\x03\x00",
    "length 0": chunk(ChunkType.SACK, b"", 0),
    "length 3": chunk(ChunkType.SACK, b"", 3),
    "longer than the packet": chunk(ChunkType.DATA, bytes(20), 0xFFFF),
    "SACK cut short": chunk(ChunkType.SACK, TSN),
    "SACK of gaps that are not there": chunk(ChunkType.SACK, TSN + bytes(4) + b"\xff\xff\xff\xff"),
    "SACK of what was never sent": chunk(ChunkType.SACK, TSN + bytes(8)),
    "INIT cut short": chunk(ChunkType.INIT, bytes(8)),
    "INIT ACK out of place": chunk(ChunkType.INIT_ACK, bytes(16)),
    "COOKIE ECHO of noise": chunk(ChunkType.COOKIE_ECHO, bytes(range(100))),
    "COOKIE ACK out of place": chunk(ChunkType.COOKIE_ACK, b""),
    "HEARTBEAT without its parameter": chunk(ChunkType.HEARTBEAT, b""),
    "HEARTBEAT ACK of noise": chunk(ChunkType.HEARTBEAT_ACK, bytes(range(60))),
    "SHUTDOWN cut short": chunk(ChunkType.SHUTDOWN, b"\0\0"),
    "SHUTDOWN COMPLETE out of place": chunk(ChunkType.SHUTDOWN_COMPLETE, b""),
    "ERROR with a cause cut short": chunk(ChunkType.ERROR, b"\x00\x01\x00\x40"),
    "FORWARD TSN cut short": chunk(ChunkType.FORWARD_TSN, b"\0"),
    "RE-CONFIG of noise": chunk(ChunkType.RECONFIG, bytes.fromhex("000d00ff00")),
    "RE-CONFIG of no parameter": chunk(ChunkType.RECONFIG, b""),
    "unknown, stop": chunk(0x3F, b"abcd"),
    "unknown, stop and report": chunk(0x7F, b"abcd"),
    "unknown, skip": chunk(0xBF, b"abcd"),
    "unknown, skip and report": chunk(0xFF, b"abcd"),
}


async def test_malformed_sctp_chunks_inside_dtls_leave_the_association_as_it_is() -> None:
    async with running_call() as call:
        write = writer(call).write

        def packets() -> Iterator[bytes]:
            every = [write(value) for value in MALFORMED.values()]
            return (every[number % len(every)] for number in range(COUNT))

        await call.assert_no_growth(packets, send_sctp(call))
        channels = call.victim.channels
        assert channels is not None
        statistics = channels.association.statistics
        assert statistics.malformed + statistics.ignored >= COUNT


async def test_noise_inside_dtls_is_no_sctp() -> None:
    async with running_call() as call:
        seeds = iter((5, 6))

        def packets() -> Iterator[bytes]:
            dice = random.Random(next(seeds))
            ports = struct.pack("!HH", Settings().local_port, Settings().remote_port)
            for number in range(COUNT):
                header = ports if number % 2 else b""
                yield header + dice.randbytes(dice.randrange(1, 1000))

        await call.assert_no_growth(packets, send_sctp(call))
        channels = call.victim.channels
        assert channels is not None
        statistics = channels.association.statistics
        assert statistics.malformed + statistics.ignored >= COUNT
