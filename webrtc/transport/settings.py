"""What a peer connection decides for all of its transports."""

from __future__ import annotations

import attrs

from ice_client import AgentOptions
from webrtc.dtls import Certificate, DtlsSettings


@attrs.frozen(kw_only=True)
class TransportSettings:
    """How transports are made.

    Attributes:
        ice: servers, policy, interfaces and all else about gathering.
        certificate: ours.
        dtls: timeouts, MTU, SRTP profiles.
        cname: ours, of RTCP.

    """

    ice: AgentOptions
    certificate: Certificate
    dtls: DtlsSettings
    cname: str
