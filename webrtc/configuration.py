"""What a program decides about a peer connection (W3C: RTCConfiguration, and more)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from ice_client import AgentOptions, IceServer, Policy
from webrtc.dtls import Certificate, DtlsRole, DtlsSettings
from webrtc.sctp import Settings as SctpSettings
from webrtc.sdp import DEFAULT_CODECS, BundlePolicy, Codec

IceServerLike = IceServer | Mapping[str, Any] | str


def ice_servers(values: Iterable[IceServerLike]) -> tuple[IceServer, ...]:
    """Return ICE servers, given as such, as browsers write them, or as a URL alone.

    Raises:
        ServerError: one of them is none.

    """
    return tuple(_ice_server(value) for value in values)


def _ice_server(value: IceServerLike) -> IceServer:
    if isinstance(value, IceServer):
        return value
    return IceServer(value) if isinstance(value, str) else IceServer.from_json(value)


@attrs.frozen(kw_only=True)
class Configuration:
    """How a peer connection is made.

    Attributes:
        ice_servers: STUN and TURN servers: `IceServer`, an RTCIceServer's mapping, or a URL.
        ice_transport_policy: ``"all"``, ``"no-host"`` or ``"relay"``: which of our candidates the
            peer may know.
        ice: everything else about ICE; its servers and policy are used beside these.
        bundle_policy: which sections of a first offer could live without BUNDLE.
        certificate: ours; None for a fresh one, so that calls cannot be linked.
        codecs: what may be negotiated, the most wanted first.
        preferred_dtls_role: when the peer leaves it to us; None: client, a round trip less.
        dtls: timeouts, MTU, SRTP profiles.
        sctp: of data channels: buffers, timeouts, the longest message taken.

    """

    ice_servers: tuple[IceServer, ...] = attrs.field(default=(), converter=ice_servers)
    ice_transport_policy: Policy = attrs.field(default=Policy.ALL, converter=Policy)
    ice: AgentOptions = attrs.field(factory=AgentOptions)
    bundle_policy: BundlePolicy = attrs.field(
        default=BundlePolicy.MAX_BUNDLE, converter=BundlePolicy
    )
    certificate: Certificate | None = None
    codecs: tuple[Codec, ...] = attrs.field(default=DEFAULT_CODECS, converter=tuple[Codec, ...])
    preferred_dtls_role: DtlsRole | None = None
    dtls: DtlsSettings = attrs.field(factory=DtlsSettings)
    sctp: SctpSettings = attrs.field(factory=SctpSettings)

    @property
    def agent_options(self) -> AgentOptions:
        """What the ICE agents are opened with."""
        policy = self.ice_transport_policy
        return attrs.evolve(
            self.ice,
            servers=(*self.ice_servers, *self.ice.servers),
            policy=self.ice.policy if policy is Policy.ALL else policy,
        )
