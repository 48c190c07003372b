"""Chunks as values (RFC 9260 §3.3, RFC 3758, RFC 8260): `encode` and `decode_chunk`.

What runs per packet (DATA and SACK on their way) is packed and unpacked where it is handled;
these values are for everything else, for tests and for reading a trace.
"""

from __future__ import annotations

import enum
import struct
from typing import Self

import attrs

from webrtc.sctp.errors import SctpDecodeError
from webrtc.sctp.packet import RawChunk, encode_chunk
from webrtc.sctp.parameters import Parameter, decode_parameters, encode_parameters

INIT_FIELDS = struct.Struct("!IIHHI")
DATA_FIELDS = struct.Struct("!IHHI")
I_DATA_FIELDS = struct.Struct("!IHHII")
SACK_FIELDS = struct.Struct("!IIHH")
_TSN = struct.Struct("!I")
_STREAM_SKIP = struct.Struct("!HH")
_I_STREAM_SKIP = struct.Struct("!HHI")


class ChunkType(enum.IntEnum):
    """Chunk types, by the names the RFCs give them."""

    DATA = 0
    INIT = 1
    INIT_ACK = 2
    SACK = 3
    HEARTBEAT = 4
    HEARTBEAT_ACK = 5
    ABORT = 6
    SHUTDOWN = 7
    SHUTDOWN_ACK = 8
    ERROR = 9
    COOKIE_ECHO = 10
    COOKIE_ACK = 11
    SHUTDOWN_COMPLETE = 14
    I_DATA = 64
    RECONFIG = 130
    PADDING = 132
    FORWARD_TSN = 192
    I_FORWARD_TSN = 194


class DataFlag(enum.IntFlag):
    """Flags of DATA and I-DATA."""

    END = 1
    BEGIN = 2
    UNORDERED = 4
    IMMEDIATE = 8


TAG_REFLECTED = 1
"""Flag T of ABORT and SHUTDOWN COMPLETE: the tag is the receiver's own (RFC 9260 §8.5.1)."""


@attrs.frozen(slots=True)
class Init:
    """INIT or, with `is_ack`, INIT ACK (RFC 9260 §3.3.2, §3.3.3)."""

    initiate_tag: int
    a_rwnd: int
    outbound_streams: int
    inbound_streams: int
    initial_tsn: int
    parameters: tuple[Parameter, ...] = ()
    is_ack: bool = False

    def encode(self) -> bytes:
        """Return the chunk's bytes."""
        fields = INIT_FIELDS.pack(
            self.initiate_tag,
            self.a_rwnd,
            self.outbound_streams,
            self.inbound_streams,
            self.initial_tsn,
        )
        kind = ChunkType.INIT_ACK if self.is_ack else ChunkType.INIT
        return encode_chunk(kind, 0, fields + encode_parameters(self.parameters))

    @classmethod
    def decode(cls, chunk: RawChunk) -> Self:
        """Read one."""
        tag, a_rwnd, outbound, inbound, tsn = _unpack(INIT_FIELDS, chunk)
        parameters = decode_parameters(chunk.value[INIT_FIELDS.size :])
        is_ack = chunk.type == ChunkType.INIT_ACK
        return cls(tag, a_rwnd, outbound, inbound, tsn, parameters, is_ack)

    def parameter(self, kind: int) -> bytes | None:
        """Return the value of the first parameter of a type."""
        return next((each.value for each in self.parameters if each.type == kind), None)


@attrs.frozen(slots=True)
class Data:
    """DATA (RFC 9260 §3.3.1)."""

    tsn: int
    stream_id: int
    ssn: int
    ppid: int
    flags: int
    payload: bytes

    def encode(self) -> bytes:
        """Return the chunk's bytes."""
        fields = DATA_FIELDS.pack(self.tsn, self.stream_id, self.ssn, self.ppid)
        return encode_chunk(ChunkType.DATA, self.flags, fields + self.payload)

    @classmethod
    def decode(cls, chunk: RawChunk) -> Self:
        """Read one."""
        tsn, stream_id, ssn, ppid = _unpack(DATA_FIELDS, chunk)
        payload = chunk.value[DATA_FIELDS.size :]
        return cls(tsn, stream_id, ssn, ppid, chunk.flags, payload)


@attrs.frozen(slots=True)
class IData:
    """I-DATA (RFC 8260 §2.1).

    Attributes:
        ppid_or_fsn: the payload protocol of a first fragment, the fragment's number in others.

    """

    tsn: int
    stream_id: int
    mid: int
    ppid_or_fsn: int
    flags: int
    payload: bytes

    def encode(self) -> bytes:
        """Return the chunk's bytes."""
        fields = I_DATA_FIELDS.pack(self.tsn, self.stream_id, 0, self.mid, self.ppid_or_fsn)
        return encode_chunk(ChunkType.I_DATA, self.flags, fields + self.payload)

    @classmethod
    def decode(cls, chunk: RawChunk) -> Self:
        """Read one."""
        tsn, stream_id, _reserved, mid, ppid_or_fsn = _unpack(I_DATA_FIELDS, chunk)
        payload = chunk.value[I_DATA_FIELDS.size :]
        return cls(tsn, stream_id, mid, ppid_or_fsn, chunk.flags, payload)


@attrs.frozen(slots=True)
class Sack:
    """SACK (RFC 9260 §3.3.4).

    Attributes:
        gaps: gap ack blocks as offsets (start, end) from `cumulative_tsn`.
        duplicates: TSNs that came again.

    """

    cumulative_tsn: int
    a_rwnd: int
    gaps: tuple[tuple[int, int], ...] = ()
    duplicates: tuple[int, ...] = ()

    def encode(self) -> bytes:
        """Return the chunk's bytes."""
        counts = len(self.gaps), len(self.duplicates)
        value = SACK_FIELDS.pack(self.cumulative_tsn, self.a_rwnd, *counts)
        if self.gaps:
            value += b"".join([_STREAM_SKIP.pack(*gap) for gap in self.gaps])
        if self.duplicates:
            value += struct.pack(f"!{len(self.duplicates)}I", *self.duplicates)
        return encode_chunk(ChunkType.SACK, 0, value)

    @classmethod
    def decode(cls, chunk: RawChunk) -> Self:
        """Read one."""
        cumulative, a_rwnd, gap_count, duplicate_count = _unpack(SACK_FIELDS, chunk)
        rest = chunk.value[SACK_FIELDS.size :]
        if len(rest) != 4 * (gap_count + duplicate_count):
            raise SctpDecodeError("SACK counts other than its blocks")
        gaps = tuple(_STREAM_SKIP.iter_unpack(rest[: 4 * gap_count]))
        duplicates = tuple(tsn for (tsn,) in _TSN.iter_unpack(rest[4 * gap_count :]))
        return cls(cumulative, a_rwnd, gaps, duplicates)


@attrs.frozen(slots=True)
class ForwardTsn:
    """FORWARD TSN (RFC 3758 §3.2).

    Attributes:
        skips: (stream identifier, stream sequence number) of the last ordered message skipped.

    """

    new_cumulative_tsn: int
    skips: tuple[tuple[int, int], ...] = ()

    def encode(self) -> bytes:
        """Return the chunk's bytes."""
        value = _TSN.pack(self.new_cumulative_tsn)
        value += b"".join([_STREAM_SKIP.pack(*skip) for skip in self.skips])
        return encode_chunk(ChunkType.FORWARD_TSN, 0, value)

    @classmethod
    def decode(cls, chunk: RawChunk) -> Self:
        """Read one."""
        (tsn,) = _unpack(_TSN, chunk)
        rest = chunk.value[_TSN.size :]
        if len(rest) % _STREAM_SKIP.size:
            raise SctpDecodeError("FORWARD TSN with part of a stream")
        return cls(tsn, tuple(_STREAM_SKIP.iter_unpack(rest)))


@attrs.frozen(slots=True)
class IForwardTsn:
    """I-FORWARD-TSN (RFC 8260 §2.3.1).

    Attributes:
        skips: (stream identifier, 1 if unordered, message identifier).

    """

    new_cumulative_tsn: int
    skips: tuple[tuple[int, int, int], ...] = ()

    def encode(self) -> bytes:
        """Return the chunk's bytes."""
        value = _TSN.pack(self.new_cumulative_tsn)
        value += b"".join([_I_STREAM_SKIP.pack(*skip) for skip in self.skips])
        return encode_chunk(ChunkType.I_FORWARD_TSN, 0, value)

    @classmethod
    def decode(cls, chunk: RawChunk) -> Self:
        """Read one."""
        (tsn,) = _unpack(_TSN, chunk)
        rest = chunk.value[_TSN.size :]
        if len(rest) % _I_STREAM_SKIP.size:
            raise SctpDecodeError("I-FORWARD-TSN with part of a stream")
        skips = tuple((sid, flags & 1, mid) for sid, flags, mid in _I_STREAM_SKIP.iter_unpack(rest))
        return cls(tsn, skips)


@attrs.frozen(slots=True)
class Shutdown:
    """SHUTDOWN (RFC 9260 §3.3.8)."""

    cumulative_tsn: int

    def encode(self) -> bytes:
        """Return the chunk's bytes."""
        return encode_chunk(ChunkType.SHUTDOWN, 0, _TSN.pack(self.cumulative_tsn))

    @classmethod
    def decode(cls, chunk: RawChunk) -> Self:
        """Read one."""
        return cls(*_unpack(_TSN, chunk))


@attrs.frozen(slots=True)
class ParameterChunk:
    """A chunk that is nothing but parameters or causes.

    HEARTBEAT, HEARTBEAT ACK, ABORT, ERROR and RE-CONFIG.
    """

    type: ChunkType
    parameters: tuple[Parameter, ...] = ()
    flags: int = 0

    def encode(self) -> bytes:
        """Return the chunk's bytes."""
        return encode_chunk(self.type, self.flags, encode_parameters(self.parameters))

    @classmethod
    def decode(cls, chunk: RawChunk) -> Self:
        """Read one."""
        return cls(ChunkType(chunk.type), decode_parameters(chunk.value), chunk.flags)


@attrs.frozen(slots=True)
class PlainChunk:
    """A chunk whose value is opaque or empty.

    COOKIE ECHO, COOKIE ACK, SHUTDOWN ACK, SHUTDOWN COMPLETE and PAD.
    """

    type: ChunkType
    value: bytes = b""
    flags: int = 0

    def encode(self) -> bytes:
        """Return the chunk's bytes."""
        return encode_chunk(self.type, self.flags, self.value)

    @classmethod
    def decode(cls, chunk: RawChunk) -> Self:
        """Read one."""
        return cls(ChunkType(chunk.type), chunk.value, chunk.flags)


Chunk = (
    Init | Data | IData | Sack | ForwardTsn | IForwardTsn | Shutdown | ParameterChunk | PlainChunk
)

_DECODERS: dict[int, type[Chunk]] = {
    ChunkType.DATA: Data,
    ChunkType.INIT: Init,
    ChunkType.INIT_ACK: Init,
    ChunkType.SACK: Sack,
    ChunkType.HEARTBEAT: ParameterChunk,
    ChunkType.HEARTBEAT_ACK: ParameterChunk,
    ChunkType.ABORT: ParameterChunk,
    ChunkType.SHUTDOWN: Shutdown,
    ChunkType.SHUTDOWN_ACK: PlainChunk,
    ChunkType.ERROR: ParameterChunk,
    ChunkType.COOKIE_ECHO: PlainChunk,
    ChunkType.COOKIE_ACK: PlainChunk,
    ChunkType.SHUTDOWN_COMPLETE: PlainChunk,
    ChunkType.I_DATA: IData,
    ChunkType.RECONFIG: ParameterChunk,
    ChunkType.PADDING: PlainChunk,
    ChunkType.FORWARD_TSN: ForwardTsn,
    ChunkType.I_FORWARD_TSN: IForwardTsn,
}


def decode_chunk(chunk: RawChunk) -> Chunk | RawChunk:
    """Return the chunk as a value, or as it is where its type is not known.

    Raises:
        SctpDecodeError: its value is not what the type asks for.

    """
    decoder = _DECODERS.get(chunk.type)
    return chunk if decoder is None else decoder.decode(chunk)


def _unpack(fields: struct.Struct, chunk: RawChunk) -> tuple[int, ...]:
    if len(chunk.value) < fields.size:
        raise SctpDecodeError(f"chunk of type {chunk.type} is too short")
    return fields.unpack_from(chunk.value)
