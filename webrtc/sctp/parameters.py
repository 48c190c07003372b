"""Type-length-value parameters and error causes, which have one form (RFC 9260 §3.2.1, §3.3.10)."""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable

import attrs

from webrtc.sctp.errors import SctpDecodeError

_HEADER = struct.Struct("!HH")
_PADDING = (b"", bytes(3), bytes(2), bytes(1))


class ParameterType(enum.IntEnum):
    """Parameters that this package writes or understands."""

    HEARTBEAT_INFO = 1
    STATE_COOKIE = 7
    UNRECOGNIZED = 8
    COOKIE_PRESERVATIVE = 9
    OUTGOING_RESET_REQUEST = 13
    INCOMING_RESET_REQUEST = 14
    SSN_TSN_RESET_REQUEST = 15
    RECONFIG_RESPONSE = 16
    ADD_OUTGOING_STREAMS = 17
    ADD_INCOMING_STREAMS = 18
    ZERO_CHECKSUM_ACCEPTABLE = 0x8001
    SUPPORTED_EXTENSIONS = 0x8008
    FORWARD_TSN_SUPPORTED = 0xC000


# IPv4 and IPv6 addresses, host name, supported address types: RFC 8261 §6 has no use for them.
IGNORED_PARAMETERS = frozenset({5, 6, 11, 12})


class CauseCode(enum.IntEnum):
    """Error causes (RFC 9260 §3.3.10)."""

    INVALID_STREAM = 1
    MISSING_PARAMETER = 2
    STALE_COOKIE = 3
    OUT_OF_RESOURCE = 4
    UNRESOLVABLE_ADDRESS = 5
    UNRECOGNIZED_CHUNK = 6
    INVALID_PARAMETER = 7
    UNRECOGNIZED_PARAMETERS = 8
    NO_USER_DATA = 9
    COOKIE_WHILE_SHUTTING_DOWN = 10
    RESTART_WITH_NEW_ADDRESSES = 11
    USER_INITIATED_ABORT = 12
    PROTOCOL_VIOLATION = 13


@attrs.frozen(slots=True)
class Parameter:
    """A parameter, or an error cause with its code as the type."""

    type: int
    value: bytes = b""

    def encode(self) -> bytes:
        """Return header, value and padding."""
        size = len(self.value)
        return _HEADER.pack(self.type, 4 + size) + self.value + _PADDING[size & 3]

    @property
    def stops_processing(self) -> bool:
        """Whether who does not know the type must not read on (RFC 9260 §3.2.1)."""
        return not self.type & 0x8000

    @property
    def is_to_be_reported(self) -> bool:
        """Whether who does not know the type must say so."""
        return bool(self.type & 0x4000)


def encode_parameters(parameters: Iterable[Parameter]) -> bytes:
    """Return parameters one after the other; chunks' lengths count all but the last's padding."""
    encoded = b""
    unpadded = 0
    for parameter in parameters:
        unpadded = len(encoded) + 4 + len(parameter.value)
        encoded += parameter.encode()
    return encoded[:unpadded]


def decode_parameters(data: bytes) -> tuple[Parameter, ...]:
    """Return the parameters that fill `data`.

    Raises:
        SctpDecodeError: a length is below 4 or reaches past the end.

    """
    parameters = []
    offset, end = 0, len(data)
    while offset < end:
        if end - offset < _HEADER.size:
            raise SctpDecodeError(f"{end - offset} bytes are left after the last parameter")
        kind, length = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size or offset + length > end:
            raise SctpDecodeError(f"parameter of {length} bytes where {end - offset} are left")
        parameters.append(Parameter(kind, data[offset + 4 : offset + length]))
        offset += (length + 3) & ~3
    return tuple(parameters)


def missing_parameters(*types: int) -> Parameter:
    """Return the cause that names mandatory parameters an INIT or INIT ACK lacked."""
    value = struct.pack(f"!I{len(types)}H", len(types), *types)
    return Parameter(CauseCode.MISSING_PARAMETER, value)
