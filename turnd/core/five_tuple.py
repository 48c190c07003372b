"""The 5-tuple: what a TURN server knows a client by (RFC 8656 §3)."""

from __future__ import annotations

import enum

import attrs

from stun import Address


class Transport(enum.Enum):
    """How a client reaches the server; the values are the metrics' label values."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"
    DTLS = "dtls"

    # Members are single objects; enum's own hash is a call to Python for every 5-tuple.
    __hash__ = object.__hash__

    @property
    def is_stream(self) -> bool:
        """Whether messages are framed on a byte stream (ChannelData is padded there)."""
        return self is Transport.TCP or self is Transport.TLS


@attrs.frozen(slots=True, cache_hash=True)
class FiveTuple:
    """One client as one of the server's transport addresses sees it.

    Attributes:
        transport: the protocol between them.
        client: the client's transport address as the server sees it.
        server: the local transport address the client sent to, never a wildcard.

    """

    transport: Transport
    client: Address
    server: Address

    def __str__(self) -> str:
        return f"{self.transport.value} {self.client} > {self.server}"
