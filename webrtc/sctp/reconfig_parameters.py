"""The parameters of RE-CONFIG chunks (RFC 6525 §4)."""

from __future__ import annotations

import enum
import struct
from typing import Self

import attrs

from webrtc.sctp.errors import SctpDecodeError
from webrtc.sctp.parameters import Parameter, ParameterType

_OUTGOING = struct.Struct("!III")
_NUMBER = struct.Struct("!I")
_RESPONSE = struct.Struct("!II")


class ReconfigResult(enum.IntEnum):
    """What became of a request (RFC 6525 §4.4)."""

    NOTHING_TO_DO = 0
    PERFORMED = 1
    DENIED = 2
    WRONG_SSN = 3
    ALREADY_IN_PROGRESS = 4
    BAD_SEQUENCE_NUMBER = 5
    IN_PROGRESS = 6


@attrs.frozen(slots=True)
class OutgoingResetRequest:
    """The sender wants to start streams over (RFC 6525 §4.1).

    Attributes:
        request: this request's number.
        response: the number of the request this answers, or the last one seen less one.
        last_tsn: the reset comes after it.
        stream_ids: none means all.

    """

    request: int
    response: int
    last_tsn: int
    stream_ids: tuple[int, ...] = ()

    def encode(self) -> Parameter:
        """Return it as a parameter."""
        fields = _OUTGOING.pack(self.request, self.response, self.last_tsn)
        return Parameter(
            ParameterType.OUTGOING_RESET_REQUEST, fields + _encode_streams(self.stream_ids)
        )

    @classmethod
    def decode(cls, value: bytes) -> Self:
        """Read a parameter's value; raises SctpDecodeError."""
        request, response, last_tsn = _unpack(_OUTGOING, value)
        return cls(request, response, last_tsn, _decode_streams(value[_OUTGOING.size :]))


@attrs.frozen(slots=True)
class IncomingResetRequest:
    """The sender wants its peer to start streams over (RFC 6525 §4.2)."""

    request: int
    stream_ids: tuple[int, ...] = ()

    def encode(self) -> Parameter:
        """Return it as a parameter."""
        return Parameter(
            ParameterType.INCOMING_RESET_REQUEST,
            _NUMBER.pack(self.request) + _encode_streams(self.stream_ids),
        )

    @classmethod
    def decode(cls, value: bytes) -> Self:
        """Read a parameter's value; raises SctpDecodeError."""
        (request,) = _unpack(_NUMBER, value)
        return cls(request, _decode_streams(value[_NUMBER.size :]))


@attrs.frozen(slots=True)
class ReconfigResponse:
    """An answer (RFC 6525 §4.4)."""

    request: int
    result: int

    def encode(self) -> Parameter:
        """Return it as a parameter."""
        return Parameter(ParameterType.RECONFIG_RESPONSE, _RESPONSE.pack(self.request, self.result))

    @classmethod
    def decode(cls, value: bytes) -> Self:
        """Read a parameter's value; raises SctpDecodeError."""
        return cls(*_unpack(_RESPONSE, value))


@attrs.frozen(slots=True)
class OtherRequest:
    """A request that WebRTC has no use for: SSN/TSN reset, more streams (RFC 6525 §4.3, §4.5)."""

    request: int

    @classmethod
    def decode(cls, value: bytes) -> Self:
        """Read a parameter's value; raises SctpDecodeError."""
        return cls(*_unpack(_NUMBER, value))


ReconfigParameter = OutgoingResetRequest | IncomingResetRequest | ReconfigResponse | OtherRequest

_DECODERS: dict[int, type[ReconfigParameter]] = {
    ParameterType.OUTGOING_RESET_REQUEST: OutgoingResetRequest,
    ParameterType.INCOMING_RESET_REQUEST: IncomingResetRequest,
    ParameterType.SSN_TSN_RESET_REQUEST: OtherRequest,
    ParameterType.RECONFIG_RESPONSE: ReconfigResponse,
    ParameterType.ADD_OUTGOING_STREAMS: OtherRequest,
    ParameterType.ADD_INCOMING_STREAMS: OtherRequest,
}


def decode_reconfig(parameter: Parameter) -> ReconfigParameter:
    """Return a RE-CONFIG chunk's parameter as a value.

    Raises:
        SctpDecodeError: it is malformed, or none of RFC 6525's.

    """
    decoder = _DECODERS.get(parameter.type)
    if decoder is None:
        raise SctpDecodeError(f"RE-CONFIG with parameter {parameter.type}")
    return decoder.decode(parameter.value)


def _encode_streams(stream_ids: tuple[int, ...]) -> bytes:
    return struct.pack(f"!{len(stream_ids)}H", *stream_ids)


def _decode_streams(value: bytes) -> tuple[int, ...]:
    if len(value) % 2:
        raise SctpDecodeError("half a stream identifier")
    return struct.unpack(f"!{len(value) // 2}H", value)


def _unpack(fields: struct.Struct, value: bytes) -> tuple[int, ...]:
    if len(value) < fields.size:
        raise SctpDecodeError("RE-CONFIG parameter is too short")
    return fields.unpack_from(value)
