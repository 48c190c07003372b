"""Chunks and packets: the RFCs' layouts typed out, round trips, and aiortc's bytes."""

from __future__ import annotations

import random
import struct

import aiortc.rtcsctptransport as aiortc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.mutate import mutate
from webrtc.sctp.chunks import (
    Chunk,
    ChunkType,
    Data,
    ForwardTsn,
    IData,
    IForwardTsn,
    Init,
    ParameterChunk,
    PlainChunk,
    Sack,
    Shutdown,
    decode_chunk,
)
from webrtc.sctp.errors import SctpDecodeError
from webrtc.sctp.packet import Packet, PacketWriter, RawChunk, decode_packet, encode_packet
from webrtc.sctp.parameters import Parameter
from webrtc.sctp.reconfig_parameters import (
    IncomingResetRequest,
    OutgoingResetRequest,
    ReconfigResponse,
    decode_reconfig,
)

LAYOUTS: list[tuple[Chunk, str]] = [
    # RFC 9260 §3.3.1, with E, B, U and I as bits 0 to 3; three bytes of data, one of padding.
    (
        Data(0x01020304, 0x0506, 0x0708, 51, 0x0F, b"abc"),
        "00 0f 0013 01020304 0506 0708 00000033 616263 00",
    ),
    # §3.3.2: INIT with Forward-TSN-Supported (RFC 3758 §3.1) and Supported Extensions (RFC 5061).
    (
        Init(
            0x11223344,
            0x00020000,
            0xFFFF,
            0x0400,
            0x55667788,
            (Parameter(0xC000), Parameter(0x8008, bytes([130, 192]))),
        ),
        "01 00 001e 11223344 00020000 ffff 0400 55667788 c000 0004 8008 0006 82c0 0000",
    ),
    # §3.3.3: INIT ACK with a State Cookie.
    (
        Init(1, 1500, 1, 1, 2, (Parameter(7, b"cookie"),), is_ack=True),
        "02 00 001e 00000001 000005dc 0001 0001 00000002 0007 000a 636f6f6b6965 0000",
    ),
    # §3.3.4's own example: TSNs to 12, 14, 15 and 17 have come.
    (
        Sack(12, 4660, ((2, 3), (5, 5))),
        "03 00 0018 0000000c 00001234 0002 0000 0002 0003 0005 0005",
    ),
    (Sack(5, 0, (), (3, 4)), "03 00 0018 00000005 00000000 0000 0002 00000003 00000004"),
    # §3.3.5, §3.3.6: HEARTBEAT and its ACK with one Heartbeat Info.
    (
        ParameterChunk(ChunkType.HEARTBEAT, (Parameter(1, b"time"),)),
        "04 00 000c 0001 0008 74696d65",
    ),
    (
        ParameterChunk(ChunkType.HEARTBEAT_ACK, (Parameter(1, b"time"),)),
        "05 00 000c 0001 0008 74696d65",
    ),
    # §3.3.7: ABORT with T, and with a User-Initiated Abort (§3.3.10.12).
    (ParameterChunk(ChunkType.ABORT, (), 1), "06 01 0004"),
    (ParameterChunk(ChunkType.ABORT, (Parameter(12, b"bye"),)), "06 00 000b 000c 0007 627965 00"),
    (Shutdown(0xDEADBEEF), "07 00 0008 deadbeef"),
    (PlainChunk(ChunkType.SHUTDOWN_ACK), "08 00 0004"),
    # §3.3.10.3: Stale Cookie.
    (
        ParameterChunk(ChunkType.ERROR, (Parameter(3, b"\0\0\0\x09"),)),
        "09 00 000c 0003 0008 00000009",
    ),
    (PlainChunk(ChunkType.COOKIE_ECHO, b"cookie"), "0a 00 000a 636f6f6b6965 0000"),
    (PlainChunk(ChunkType.COOKIE_ACK), "0b 00 0004"),
    (PlainChunk(ChunkType.SHUTDOWN_COMPLETE, flags=1), "0e 01 0004"),
    # RFC 8260 §2.1: I-DATA.
    (
        IData(1, 2, 3, 53, 0x03, b"data"),
        "40 03 0018 00000001 0002 0000 00000003 00000035 64617461",
    ),
    # RFC 3758 §3.2, RFC 8260 §2.3.1.
    (ForwardTsn(9, ((1, 2), (3, 4))), "c0 00 0010 00000009 0001 0002 0003 0004"),
    (IForwardTsn(9, ((1, 1, 2),)), "c2 00 0010 00000009 0001 0001 00000002"),
    # RFC 6525 §3.1 around §4.1.
    (
        ParameterChunk(ChunkType.RECONFIG, (OutgoingResetRequest(1, 2, 3, (4,)).encode(),)),
        "82 00 0016 000d 0012 00000001 00000002 00000003 0004 0000",
    ),
    (PlainChunk(ChunkType.PADDING, bytes(4)), "84 00 0008 00000000"),
]


def raw(encoded: bytes) -> RawChunk:
    kind, flags, length = struct.unpack_from("!BBH", encoded)
    return RawChunk(kind, flags, encoded[4:length])


@pytest.mark.parametrize(("chunk", "layout"), LAYOUTS, ids=lambda each: str(each)[:40])
def test_chunk_is_laid_out_as_the_rfc_draws_it(chunk: Chunk, layout: str) -> None:
    encoded = bytes.fromhex(layout.replace(" ", ""))
    assert chunk.encode() == encoded
    assert decode_chunk(raw(encoded)) == chunk


@pytest.mark.parametrize(
    ("value", "layout"),
    [
        (OutgoingResetRequest(1, 2, 3, (4, 5)), "000d 0014 00000001 00000002 00000003 0004 0005"),
        (IncomingResetRequest(7, (8,)), "000e 000a 00000007 0008 0000"),
        (ReconfigResponse(1, 6), "0010 000c 00000001 00000006"),
    ],
)
def test_reconfig_parameter_is_laid_out_as_the_rfc_draws_it(
    value: OutgoingResetRequest | IncomingResetRequest | ReconfigResponse, layout: str
) -> None:
    parameter = value.encode()
    assert parameter.encode() == bytes.fromhex(layout.replace(" ", ""))
    assert decode_reconfig(parameter) == value


u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)
payloads = st.binary(max_size=200)
parameters = st.lists(st.builds(Parameter, u16, st.binary(max_size=30)), max_size=5).map(tuple)
chunks = st.one_of(
    st.builds(Init, u32, u32, u16, u16, u32, parameters, st.booleans()),
    st.builds(Data, u32, u16, u16, u32, st.integers(0, 15), payloads),
    st.builds(IData, u32, u16, u32, u32, st.integers(0, 15), payloads),
    st.builds(
        Sack,
        u32,
        u32,
        st.lists(st.tuples(u16, u16), max_size=8).map(tuple),
        st.lists(u32, max_size=8).map(tuple),
    ),
    st.builds(ForwardTsn, u32, st.lists(st.tuples(u16, u16), max_size=8).map(tuple)),
    st.builds(
        IForwardTsn, u32, st.lists(st.tuples(u16, st.integers(0, 1), u32), max_size=8).map(tuple)
    ),
    st.builds(Shutdown, u32),
    st.builds(
        ParameterChunk,
        st.sampled_from(
            [
                ChunkType.HEARTBEAT,
                ChunkType.HEARTBEAT_ACK,
                ChunkType.ABORT,
                ChunkType.ERROR,
                ChunkType.RECONFIG,
            ]
        ),
        parameters,
        st.integers(0, 255),
    ),
    st.builds(PlainChunk, st.sampled_from([ChunkType.COOKIE_ECHO, ChunkType.PADDING]), payloads),
)


@given(u16, u16, u32, st.lists(chunks, min_size=1, max_size=5))
def test_packets_and_chunks_survive_the_wire(
    source: int, destination: int, tag: int, values: list[Chunk]
) -> None:
    packet = Packet(source, destination, tag, tuple(raw(value.encode()) for value in values))
    decoded = decode_packet(encode_packet(packet))
    assert decoded == packet
    assert [decode_chunk(each) for each in decoded.chunks] == values


def test_checksum_is_crc32c_with_the_least_byte_first() -> None:
    # RFC 3720 §B.4's CRC32c of 32 zero bytes is aa 36 91 8a in transmission order: a header of
    # zeros with a chunk that is all zeros but its length cannot be had, so aiortc's is asked too.
    encoded = encode_packet(Packet(5000, 5000, 1, (RawChunk(10, 0, b"abcd"),)))
    assert encoded == aiortc.serialize_packet(5000, 5000, 1, aiortc.CookieEchoChunk(body=b"abcd"))
    source, destination, tag, (chunk,) = aiortc.parse_packet(encoded)
    assert (source, destination, tag, chunk.body) == (5000, 5000, 1, b"abcd")


def test_zero_stands_for_no_checksum_only_where_that_was_agreed_on() -> None:
    encoded = bytearray(encode_packet(Packet(1, 2, 3, (RawChunk(10, 0, b"abcd"),))))
    encoded[8:12] = bytes(4)
    assert decode_packet(bytes(encoded), zero_is_valid=True).verification_tag == 3
    with pytest.raises(SctpDecodeError, match="checksum"):
        decode_packet(bytes(encoded))


@given(st.binary(min_size=16, max_size=80), st.data())
def test_one_flipped_bit_is_noticed(value: bytes, data: st.DataObject) -> None:
    encoded = bytearray(encode_packet(Packet(1, 2, 3, (RawChunk(10, 0, value),))))
    bit = data.draw(st.integers(0, len(encoded) * 8 - 1))
    encoded[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SctpDecodeError):
        decode_packet(bytes(encoded))


def test_aiortc_reads_and_writes_the_same_sack_and_forward_tsn() -> None:
    sack = aiortc.SackChunk()
    sack.cumulative_tsn, sack.advertised_rwnd = 7, 1000
    sack.gaps, sack.duplicates = [(2, 4), (6, 6)], [5]
    assert bytes(sack) == Sack(7, 1000, ((2, 4), (6, 6)), (5,)).encode()
    forward = aiortc.ForwardTsnChunk()
    forward.cumulative_tsn, forward.streams = 9, [(1, 2)]
    assert bytes(forward) == ForwardTsn(9, ((1, 2),)).encode()


MALFORMED = {
    "header only": "",
    "chunk length of zero": "0a000000",
    "chunk longer than the packet": "0a000010 00000000",
    "crumbs after the last chunk": "0a000004 0a0b",
    "short INIT": "01000010 00000001 00000001 00010001",
    "SACK counts more than it has": "03000010 00000001 00000001 00010000",
    "SACK has more than it counts": "03000014 00000001 00000001 00000000 00020003",
    "half a stream in FORWARD TSN": "c000000a 00000001 0001 0000",
    "part of a stream in I-FORWARD-TSN": "c200000c 00000001 00010001",
    "short SHUTDOWN": "07000006 0001 0000",
    "parameter longer than its chunk": "0400000c 00010010 00000000",
    "parameter length of three": "0400000c 00010003 00000000",
    "short DATA": "00030008 00000001",
}


def with_checksum(chunks: bytes) -> bytes:
    return PacketWriter(1, 2, 3).write(chunks)


@pytest.mark.parametrize("case", MALFORMED.values(), ids=MALFORMED)
def test_malformed_is_refused_with_the_one_error(case: str) -> None:
    packet = with_checksum(bytes.fromhex(case.replace(" ", "")))
    with pytest.raises(SctpDecodeError):
        _ = [decode_chunk(chunk) for chunk in decode_packet(packet).chunks]


def test_no_bytes_raise_anything_else() -> None:
    seeds = [bytes.fromhex(layout.replace(" ", "")) for _, layout in LAYOUTS]
    rng = random.Random(1)
    for _ in range(20_000):
        data = mutate(rng, seeds)
        try:
            chunk = decode_chunk(RawChunk(rng.choice(data or b"\0"), 0, data[4:]))
            if isinstance(chunk, ParameterChunk):
                for parameter in chunk.parameters:
                    decode_reconfig(parameter)
        except SctpDecodeError:
            continue
