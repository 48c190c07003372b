"""Which server to use, and how to reach it."""

from __future__ import annotations

import enum
from pathlib import Path

import attrs

from ice_client.turn.credentials import Credentials
from stun import Address, AddressError
from stun.uri import StunUri


class Transport(enum.Enum):
    """What carries messages between client and server (RFC 8656 §3.1)."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"
    DTLS = "dtls"

    @property
    def is_stream(self) -> bool:
        """Whether bytes arrive in order or not at all."""
        return self in {Transport.TCP, Transport.TLS}

    @property
    def is_secure(self) -> bool:
        """Whether it is encrypted."""
        return self in {Transport.TLS, Transport.DTLS}

    @classmethod
    def of_uri(cls, uri: StunUri) -> Transport:
        """Return the transport a URI asks for; where it does not say, UDP, or TLS if secure.

        Raises:
            ValueError: it asks for one that is not supported.

        """
        if uri.transport not in {None, "udp", "tcp"}:
            raise ValueError(f"{uri}: transport {uri.transport} is not supported")
        if uri.is_secure:
            return cls.DTLS if uri.transport == "udp" else cls.TLS
        return cls.TCP if uri.transport == "tcp" else cls.UDP


@attrs.frozen(slots=True, kw_only=True)
class TlsOptions:
    """How to believe a server's certificate.

    Attributes:
        verify: whether to; without, anybody can be the server.
        ca_file: PEM file of the authorities to trust; None for the system's.
        server_name: the name to ask for and to find in the certificate; None for the host's.

    """

    verify: bool = True
    ca_file: Path | None = None
    server_name: str | None = None


@attrs.frozen(slots=True)
class TurnServer:
    """A STUN or TURN server.

    Attributes:
        host: a name or an IP literal.
        port: its port.
        transport: see `Transport`.
        credentials: None for servers that want none.
        tls: for TLS and DTLS.

    """

    host: str
    port: int = 3478
    transport: Transport = Transport.UDP
    credentials: Credentials | None = None
    tls: TlsOptions = TlsOptions()

    @classmethod
    def from_uri(
        cls,
        uri: StunUri | str,
        credentials: Credentials | None = None,
        tls: TlsOptions | None = None,
    ) -> TurnServer:
        """Make one from a `stun:`, `stuns:`, `turn:` or `turns:` URI, without SRV records.

        Raises:
            stun.uri.UriError: the text is no such URI.
            ValueError: its transport is not supported.

        """
        parsed = StunUri.parse(uri) if isinstance(uri, str) else uri
        transport = Transport.of_uri(parsed)
        options = tls or TlsOptions()
        return cls(parsed.host, parsed.effective_port, transport, credentials, options)

    @property
    def address(self) -> Address | None:
        """The server's address if `host` is an IP literal."""
        try:
            return Address.parse(self.host, self.port)
        except AddressError:
            return None

    @property
    def tls_name(self) -> str:
        """The name or IP address that the certificate must be for."""
        return self.tls.server_name or self.host

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}/{self.transport.value}"
