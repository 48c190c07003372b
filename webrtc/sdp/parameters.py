"""What an exchange of descriptions settled, as values: transports, and what to send and receive.

A `JsepSession` makes them; the peer connection configures ICE, DTLS, SCTP and RTP by them.
"""

from __future__ import annotations

import attrs

from ice_client.core import Candidate, Credentials
from webrtc.dtls.fingerprint import Fingerprint
from webrtc.dtls.setup import DtlsRole
from webrtc.sdp.attributes import ExtMap
from webrtc.sdp.codec import Codec


@attrs.frozen(kw_only=True)
class RemoteTransport:
    """What the peer told of its end of a transport.

    Attributes:
        credentials: of its ICE agent.
        fingerprints: of its certificates.
        is_lite: whether its ICE agent is lite.
        can_trickle: whether it said that it takes candidates later (RFC 8840).
        candidates: those in its description, and those trickled before it was in force.
        end_of_candidates: whether there will be no more.

    """

    credentials: Credentials
    fingerprints: tuple[Fingerprint, ...]
    is_lite: bool = False
    can_trickle: bool = False
    candidates: tuple[Candidate, ...] = ()
    end_of_candidates: bool = False


@attrs.frozen(kw_only=True)
class Transport:
    """One ICE and DTLS transport, with RTCP on it too, and all the sections that share it.

    Attributes:
        id: stays the same as long as the transport lives, whatever happens to its sections.
        mids: of the sections that use it; the first one is where its candidates are told.
        local_credentials: of our ICE agent; others than before mean an ICE restart.
        remote: the peer's end; None until an answer, or while ours restarts ICE.
        dtls_role: ours; None until an answer.
        is_controlling: our ICE role (RFC 8445 §6.1.1), to begin with.

    """

    id: int
    mids: tuple[str, ...]
    local_credentials: Credentials
    remote: RemoteTransport | None = None
    dtls_role: DtlsRole | None = None
    is_controlling: bool


@attrs.frozen(kw_only=True)
class SimulcastLayer:
    """A stream of a simulcast.

    Attributes:
        rid: its name in RTP header extensions.
        paused: whether it starts paused (RFC 8853 §5.2).
        restrictions: ``max-width`` and so on (RFC 8851 §5).

    """

    rid: str
    paused: bool = False
    restrictions: tuple[tuple[str, str | None], ...] = ()


@attrs.frozen(kw_only=True)
class Sources:
    """The SSRCs of one stream.

    Attributes:
        ssrc: of the media.
        rtx_ssrc: of its retransmissions (``FID``).
        fec_ssrc: of its FlexFEC (``FEC-FR``).
        cname: RTCP's canonical name.

    """

    ssrc: int
    rtx_ssrc: int | None = None
    fec_ssrc: int | None = None
    cname: str | None = None


@attrs.frozen(kw_only=True)
class SendParameters:
    """How media is to be sent.

    Attributes:
        mid: the section's name, for the header extension.
        codecs: those that the peer takes, the most wanted first, with the payload types and
            parameters that it wrote; rtx, red and FEC are among them.
        header_extensions: with the identifiers to write.
        layers: the simulcast layers that the peer takes; empty without simulcast.
        reduced_size_rtcp: whether RTCP may be of reduced size (RFC 5506).
        max_rate_bps: the peer's limit (``b=``).

    """

    mid: str
    codecs: tuple[Codec, ...]
    header_extensions: tuple[ExtMap, ...]
    layers: tuple[SimulcastLayer, ...] = ()
    reduced_size_rtcp: bool = False
    max_rate_bps: int | None = None


@attrs.frozen(kw_only=True)
class ReceiveParameters:
    """How media arrives.

    Attributes:
        mid: the section's name, for the header extension.
        codecs: with the payload types that arrive.
        header_extensions: with the identifiers that arrive.
        layers: the simulcast layers that the peer may send; empty without simulcast.
        sources: the SSRCs that the peer announced; often none, then ``mid`` and ``rid`` tell.
        reduced_size_rtcp: whether RTCP may be of reduced size.

    """

    mid: str
    codecs: tuple[Codec, ...]
    header_extensions: tuple[ExtMap, ...]
    layers: tuple[SimulcastLayer, ...] = ()
    sources: tuple[Sources, ...] = ()
    reduced_size_rtcp: bool = False


@attrs.frozen(kw_only=True)
class DataParameters:
    """What was agreed on for data channels.

    Attributes:
        mid: the section's name.
        local_port: our SCTP port.
        remote_port: the peer's.
        max_message_size: bytes that the peer receives at most; None: any.

    """

    mid: str
    local_port: int
    remote_port: int
    max_message_size: int | None
