"""The Data Channel Establishment Protocol's two messages, and PPIDs (RFC 8832 §5, RFC 8831 §8)."""

from __future__ import annotations

import enum
import struct
from typing import Self

import attrs

from webrtc.sctp.errors import SctpDecodeError, SctpError

_OPEN = struct.Struct("!BBHIHH")
_ACK_TYPE = 2
_OPEN_TYPE = 3
_UNORDERED = 0x80
_RELIABLE, _REXMIT, _TIMED = 0, 1, 2
MAX_NAME_SIZE = 0xFFFF
ACK = bytes([_ACK_TYPE])


class Ppid(enum.IntEnum):
    """Payload protocol identifiers (RFC 8831 §8)."""

    DCEP = 50
    STRING = 51
    BINARY_PARTIAL = 52
    BINARY = 53
    STRING_PARTIAL = 54
    STRING_EMPTY = 56
    BINARY_EMPTY = 57


_EMPTY: dict[int, str | bytes] = {Ppid.STRING_EMPTY: "", Ppid.BINARY_EMPTY: b""}


class Priority(enum.IntEnum):
    """Priorities by the names that the W3C gives RFC 8832 §5.1's."""

    VERY_LOW = 128
    LOW = 256
    MEDIUM = 512
    HIGH = 1024


@attrs.frozen(slots=True, kw_only=True)
class Open:
    """DATA_CHANNEL_OPEN (RFC 8832 §5.1).

    Attributes:
        max_retransmits: of a message; None without such a limit.
        max_lifetime_ms: of a message, in milliseconds as on the wire; None without.

    """

    label: str = ""
    protocol: str = ""
    ordered: bool = True
    max_retransmits: int | None = None
    max_lifetime_ms: int | None = None
    priority: int = Priority.LOW

    def encode(self) -> bytes:
        """Return the message.

        Raises:
            SctpError: label or protocol is above 65,535 bytes.

        """
        label, protocol = self.label.encode(), self.protocol.encode()
        if max(len(label), len(protocol)) > MAX_NAME_SIZE:
            raise SctpError("a label or protocol must not be longer than 65,535 bytes")
        kind, limit = _RELIABLE, 0
        if self.max_retransmits is not None:
            kind, limit = _REXMIT, self.max_retransmits
        elif self.max_lifetime_ms is not None:
            kind, limit = _TIMED, self.max_lifetime_ms
        if not self.ordered:
            kind |= _UNORDERED
        fields = (_OPEN_TYPE, kind, self.priority, limit, len(label), len(protocol))
        return _OPEN.pack(*fields) + label + protocol

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read one.

        Raises:
            SctpDecodeError: it is none.

        """
        if len(data) < _OPEN.size:
            raise SctpDecodeError("DATA_CHANNEL_OPEN is too short")
        message, kind, priority, limit, label_size, protocol_size = _OPEN.unpack_from(data)
        if message != _OPEN_TYPE or len(data) != _OPEN.size + label_size + protocol_size:
            raise SctpDecodeError("not a DATA_CHANNEL_OPEN, or one of another length")
        partial = kind & ~_UNORDERED
        if partial not in (_RELIABLE, _REXMIT, _TIMED):
            raise SctpDecodeError(f"channel type {kind:#x} is not known")
        label_end = _OPEN.size + label_size
        label = data[_OPEN.size : label_end].decode("utf-8", "replace")
        protocol = data[label_end:].decode("utf-8", "replace")
        if max(len(label.encode()), len(protocol.encode())) > MAX_NAME_SIZE:
            raise SctpDecodeError("label or protocol is no UTF-8, and too long with what stands in")
        return cls(
            label=label,
            protocol=protocol,
            ordered=not kind & _UNORDERED,
            max_retransmits=limit if partial == _REXMIT else None,
            max_lifetime_ms=limit if partial == _TIMED else None,
            priority=priority,
        )


def encode_payload(data: str | bytes | bytearray | memoryview) -> tuple[int, bytes]:
    """Return PPID and payload; SCTP has no empty messages, so these are one zero byte.

    Raises:
        TypeError: it is neither text nor bytes: `bytes` would make five zeros of a 5.

    """
    if isinstance(data, str):
        return (Ppid.STRING, data.encode()) if data else (Ppid.STRING_EMPTY, b"\0")
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"a message is str or bytes, not {type(data).__name__}")
    return (Ppid.BINARY, bytes(data)) if data else (Ppid.BINARY_EMPTY, b"\0")


def decode_payload(ppid: int, payload: bytes) -> str | bytes | None:
    """Return what was sent, or None for a PPID that is no channel's."""
    if ppid == Ppid.BINARY:
        return payload
    if ppid == Ppid.STRING:
        return payload.decode("utf-8", "replace")
    return _EMPTY.get(ppid)
