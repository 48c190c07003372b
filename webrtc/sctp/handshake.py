"""INIT and INIT ACK: what each side offers, and what is wrong with what it offers.

RFC 9260 §5.1, with the parameters of RFC 3758, RFC 5061 §4.2.7, RFC 6525, RFC 8260 and RFC 9653.
"""

from __future__ import annotations

import struct

import attrs

from webrtc.sctp.chunks import ChunkType, Init
from webrtc.sctp.cookie import Features
from webrtc.sctp.errors import SctpError
from webrtc.sctp.parameters import (
    IGNORED_PARAMETERS,
    CauseCode,
    Parameter,
    ParameterType,
    missing_parameters,
)
from webrtc.sctp.settings import MAX_STREAMS, Settings

_ERROR_DETECTION_DTLS = struct.pack("!I", 1)
_KNOWN_PARAMETERS = IGNORED_PARAMETERS | frozenset(ParameterType)
_MAX_REPORTED = 8


class RefusedError(SctpError):
    """An INIT or INIT ACK that must be answered by an ABORT with `cause`."""

    def __init__(self, cause: Parameter) -> None:
        super().__init__(f"cause {cause.type}")
        self.cause = cause


@attrs.frozen(slots=True)
class Offer:
    """What is learned from a peer's INIT or INIT ACK.

    Attributes:
        tag: for our packets.
        tsn: its first.
        a_rwnd: its buffer.
        outbound_streams: ours, as far as it takes them.
        inbound_streams: its own.
        features: that both have.
        unrecognized: to be reported.
        cookie: of an INIT ACK.

    """

    tag: int
    tsn: int
    a_rwnd: int
    outbound_streams: int
    inbound_streams: int
    features: Features
    unrecognized: tuple[Parameter, ...]
    cookie: bytes


def own_features(settings: Settings) -> Features:
    """Return what we can do."""
    return Features(True, True, settings.interleaving, settings.zero_checksum)


def make_init(settings: Settings, tag: int, tsn: int) -> Init:
    """Return our INIT."""
    extensions = [ChunkType.RECONFIG, ChunkType.FORWARD_TSN]
    if settings.interleaving:
        extensions += [ChunkType.I_DATA, ChunkType.I_FORWARD_TSN]
    parameters = [
        Parameter(ParameterType.FORWARD_TSN_SUPPORTED),
        Parameter(ParameterType.SUPPORTED_EXTENSIONS, bytes(extensions)),
    ]
    if settings.zero_checksum:
        parameters.append(Parameter(ParameterType.ZERO_CHECKSUM_ACCEPTABLE, _ERROR_DETECTION_DTLS))
    window = settings.receive_buffer
    return Init(tag, window, MAX_STREAMS, MAX_STREAMS, tsn, tuple(parameters))


def make_init_ack(init: Init, cookie: bytes, unrecognized: tuple[Parameter, ...]) -> Init:
    """Return the answer to an INIT; `init` is what we would have sent ourselves."""
    reports = (Parameter(ParameterType.UNRECOGNIZED, each.encode()) for each in unrecognized)
    parameters = (*init.parameters, Parameter(ParameterType.STATE_COOKIE, cookie), *reports)
    return attrs.evolve(init, parameters=parameters, is_ack=True)


def read_offer(init: Init, own: Features) -> Offer:
    """Judge a peer's INIT or INIT ACK.

    Raises:
        RefusedError: §3.3.2, §3.3.3: no tag, no streams, or no cookie where there must be one.

    """
    if not init.initiate_tag or not init.outbound_streams or not init.inbound_streams:
        raise RefusedError(Parameter(CauseCode.INVALID_PARAMETER))
    cookie = init.parameter(ParameterType.STATE_COOKIE)
    if init.is_ack and cookie is None:
        raise RefusedError(missing_parameters(ParameterType.STATE_COOKIE))
    return Offer(
        tag=init.initiate_tag,
        tsn=init.initial_tsn,
        a_rwnd=init.a_rwnd,
        outbound_streams=min(init.inbound_streams, MAX_STREAMS),
        inbound_streams=min(init.outbound_streams, MAX_STREAMS),
        features=_features(init) & own,
        unrecognized=_unrecognized(init),
        cookie=cookie or b"",
    )


def _features(init: Init) -> Features:
    extensions = init.parameter(ParameterType.SUPPORTED_EXTENSIONS) or b""
    partial_reliability = (
        init.parameter(ParameterType.FORWARD_TSN_SUPPORTED) is not None
        or ChunkType.FORWARD_TSN in extensions
    )
    return Features(
        partial_reliability=partial_reliability,
        reconfiguration=ChunkType.RECONFIG in extensions,
        # RFC 8260 §2.2.1: with partial reliability, I-FORWARD-TSN must be there as well.
        interleaving=ChunkType.I_DATA in extensions
        and (ChunkType.I_FORWARD_TSN in extensions or not partial_reliability),
        zero_checksum=init.parameter(ParameterType.ZERO_CHECKSUM_ACCEPTABLE)
        == _ERROR_DETECTION_DTLS,
    )


def _unrecognized(init: Init) -> tuple[Parameter, ...]:
    """Return the parameters to report, up to the first that ends reading (§3.2.1)."""
    reported: list[Parameter] = []
    for parameter in init.parameters:
        if parameter.type in _KNOWN_PARAMETERS:
            continue
        if parameter.is_to_be_reported and len(reported) < _MAX_REPORTED:
            reported.append(attrs.evolve(parameter, value=parameter.value[:64]))
        if parameter.stops_processing:
            break
    return tuple(reported)
