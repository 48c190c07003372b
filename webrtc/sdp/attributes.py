"""Attributes (`a=` lines) of WebRTC's SDP as typed values, one class each.

`attribute_reader` makes them of text, `attribute_writer` turns them into text. Attributes that are
not known become `Unknown` and survive. The grammar of each is in its docstring's RFC.
"""

from __future__ import annotations

import enum
from typing import TypeAlias

import attrs

from ice_client.core import Candidate
from webrtc.dtls.fingerprint import Fingerprint
from webrtc.dtls.setup import Setup


class Direction(enum.Enum):
    """Which way media flows, seen from who wrote the description (RFC 8866 §6.7)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @classmethod
    def of(cls, *, send: bool, receive: bool) -> Direction:
        """Return the direction that does these."""
        return {
            (True, True): cls.SENDRECV,
            (True, False): cls.SENDONLY,
            (False, True): cls.RECVONLY,
            (False, False): cls.INACTIVE,
        }[send, receive]

    @property
    def sends(self) -> bool:
        """Whether the writer sends."""
        return self in (Direction.SENDRECV, Direction.SENDONLY)

    @property
    def receives(self) -> bool:
        """Whether the writer receives."""
        return self in (Direction.SENDRECV, Direction.RECVONLY)

    @property
    def reversed(self) -> Direction:
        """The same, seen from the other end."""
        return Direction.of(send=self.receives, receive=self.sends)

    def __and__(self, other: Direction) -> Direction:
        """Return what both do."""
        return Direction.of(
            send=self.sends and other.sends, receive=self.receives and other.receives
        )


class Flag(enum.Enum):
    """Attributes without a value."""

    ICE_LITE = "ice-lite"  # RFC 8839 §5.3
    END_OF_CANDIDATES = "end-of-candidates"  # RFC 8840 §8.2
    RTCP_MUX = "rtcp-mux"  # RFC 5761
    RTCP_MUX_ONLY = "rtcp-mux-only"  # RFC 8858
    RTCP_REDUCED_SIZE = "rtcp-rsize"  # RFC 5506
    EXTMAP_ALLOW_MIXED = "extmap-allow-mixed"  # RFC 8285 §6
    BUNDLE_ONLY = "bundle-only"  # RFC 9143 §6


class RidDirection(enum.Enum):
    """Which way a stream with a `rid` goes, seen from who wrote the line (RFC 8851 §10)."""

    SEND = "send"
    RECV = "recv"

    @property
    def reversed(self) -> RidDirection:
        """The same, seen from the other end."""
        return RidDirection.RECV if self is RidDirection.SEND else RidDirection.SEND


@attrs.frozen
class Unknown:
    """An attribute that has no type here, as it came; value None where there is no colon."""

    name: str
    value: str | None = None


@attrs.frozen
class IceUfrag:
    """The username fragment of ICE (RFC 8839 §5.4)."""

    value: str


@attrs.frozen
class IcePwd:
    """The password of ICE (RFC 8839 §5.4); never shown by repr."""

    value: str = attrs.field(repr=False)


@attrs.frozen
class IceOptions:
    """ICE options, such as ``trickle`` (RFC 8839 §5.6, RFC 8840)."""

    tags: tuple[str, ...]


@attrs.frozen
class CandidateLine:
    """A candidate (RFC 8839 §5.1). Those that cannot be used here are `Unknown` instead."""

    candidate: Candidate


@attrs.frozen
class FingerprintLine:
    """A certificate's fingerprint (RFC 8122 §5)."""

    fingerprint: Fingerprint


@attrs.frozen
class SetupLine:
    """Who begins the DTLS handshake (RFC 4145 §4, RFC 8842)."""

    setup: Setup


@attrs.frozen
class Mid:
    """The name of a media section (RFC 5888 §4)."""

    value: str


@attrs.frozen
class Group:
    """Sections that belong together: ``BUNDLE`` (RFC 9143), ``LS`` (RFC 5888)."""

    semantics: str
    mids: tuple[str, ...] = ()


@attrs.frozen
class Msid:
    """A MediaStream's id, ``-`` for none, and the track's (RFC 8830 §2)."""

    stream_id: str
    track_id: str | None = None


@attrs.frozen
class MsidSemantic:
    """What msids mean: ``WMS`` and stream ids or ``*`` (RFC 8830's early drafts)."""

    semantic: str
    stream_ids: tuple[str, ...] = ()


@attrs.frozen
class RtpMap:
    """What a payload type stands for (RFC 8866 §6.6)."""

    payload_type: int
    name: str
    clock_rate: int
    channels: int | None = None


@attrs.frozen
class Fmtp:
    """A format's parameters in order; value None where there is no ``=`` (RFC 8866 §6.15)."""

    payload_type: int
    parameters: tuple[tuple[str, str | None], ...]


@attrs.frozen
class RtcpFeedback:
    """RTCP feedback for a payload type, or for all (None) (RFC 4585 §4.2): ``nack``, ``pli``."""

    payload_type: int | None
    kind: str
    parameter: str | None = None


@attrs.frozen
class ExtMap:
    """An RTP header extension's identifier (RFC 8285 §8)."""

    id: int
    uri: str
    direction: Direction | None = None
    attributes: str | None = None


@attrs.frozen
class Ssrc:
    """An attribute of a source, such as ``cname`` (RFC 5576 §4.1)."""

    ssrc: int
    name: str
    value: str | None = None


@attrs.frozen
class SsrcGroup:
    """Sources that belong together: ``FID``, ``SIM``, ``FEC-FR`` (RFC 5576 §4.2)."""

    semantics: str
    ssrcs: tuple[int, ...]


@attrs.frozen
class Rid:
    """A stream's name, with payload types and restrictions, if any (RFC 8851 §10)."""

    id: str
    direction: RidDirection
    payload_types: tuple[int, ...] = ()
    restrictions: tuple[tuple[str, str | None], ...] = ()


@attrs.frozen
class SimulcastStream:
    """One of the alternatives of a simulcast layer (RFC 8853 §5.1)."""

    rid: str
    paused: bool = False


SimulcastLayers: TypeAlias = tuple[tuple[SimulcastStream, ...], ...]
"""The layers in order of preference, each with its alternatives."""


@attrs.frozen
class Simulcast:
    """Layers that are sent and that can be received (RFC 8853 §5.1)."""

    send: SimulcastLayers = ()
    recv: SimulcastLayers = ()


@attrs.frozen
class SctpPort:
    """The SCTP port in the DTLS association (RFC 8841 §5)."""

    port: int


@attrs.frozen
class MaxMessageSize:
    """Bytes of the largest message that the writer receives; 0: any (RFC 8841 §6)."""

    size_bytes: int


@attrs.frozen
class SctpMap:
    """The early drafts' ``a=sctpmap:5000 webrtc-datachannel 1024``."""

    port: int
    protocol: str
    streams: int | None = None


@attrs.frozen
class Rtcp:
    """The port of RTCP, and its address where it is another (RFC 3605)."""

    port: int
    address: str | None = None


@attrs.frozen
class PacketTime:
    """Milliseconds of media in a packet, wanted (``ptime``) or at most (RFC 8866 §6.4, §6.5)."""

    milliseconds: float
    maximum: bool = False


Attribute: TypeAlias = (
    Unknown
    | Direction
    | Flag
    | IceUfrag
    | IcePwd
    | IceOptions
    | CandidateLine
    | FingerprintLine
    | SetupLine
    | Mid
    | Group
    | Msid
    | MsidSemantic
    | RtpMap
    | Fmtp
    | RtcpFeedback
    | ExtMap
    | Ssrc
    | SsrcGroup
    | Rid
    | Simulcast
    | SctpPort
    | MaxMessageSize
    | SctpMap
    | Rtcp
    | PacketTime
)
