"""From the configuration to the transports' settings, and to the certificate in force."""

from __future__ import annotations

import socket
from pathlib import Path

from turnd.config import Config
from turnd.transports.certificates import CertificateStore
from turnd.transports.settings import (
    DtlsSettings,
    StreamSettings,
    TcpRelaySettings,
    TlsSettings,
    TlsVersion,
)


def stream_settings(config: Config) -> StreamSettings:
    """Return the bounds of TCP and TLS clients."""
    listen = config.listen
    return StreamSettings(
        detect_tls=listen.detect_tls and bool(listen.tls) and bool(listen.tcp),
        trusted_proxies=tuple(network.network for network in listen.proxy_protocol),
        max_connections=listen.max_connections,
        max_connections_per_address=listen.max_connections_per_address or listen.max_connections,
        handshake_timeout=listen.handshake_timeout,
        idle_timeout=listen.idle_timeout,
    )


def dtls_settings(config: Config) -> DtlsSettings:
    """Return the bounds of DTLS clients."""
    listen = config.listen
    return DtlsSettings(
        max_sessions=listen.max_connections,
        max_sessions_per_address=listen.max_connections_per_address or listen.max_connections,
        handshake_timeout=listen.handshake_timeout,
        idle_timeout=listen.idle_timeout,
    )


def tcp_relay_settings(config: Config) -> TcpRelaySettings:
    """Return the bounds of TCP allocations."""
    return TcpRelaySettings(
        max_connections_per_allocation=config.quota.tcp_connections_per_allocation,
        total_bandwidth=config.quota.bandwidth_total,
    )


def tls_settings(config: Config) -> TlsSettings:
    """Return what TLS and DTLS clients are offered."""
    return TlsSettings(TlsVersion(config.tls.minimum_version), config.tls.ciphers or None)


def certificate_store(config: Config) -> CertificateStore:
    """Return the certificate store, with a certificate in force if TLS or DTLS is on.

    Raises:
        CertificateError: the configured files can't be used.

    """
    store = CertificateStore(tls_settings(config))
    if config.listen.tls or config.listen.dtls:
        load_certificates(store, config)
    return store


def load_certificates(store: CertificateStore, config: Config) -> None:
    """Put the configured certificate in force, or one of our own making.

    Raises:
        CertificateError: the configured files can't be used.

    """
    tls = config.tls
    if tls.certificate:
        password = str(tls.private_key_password) or None
        store.load(Path(tls.certificate), Path(tls.private_key or tls.certificate), password)
        return
    names = list(tls.self_signed_names) or [config.server.realm, socket.gethostname()]
    store.make_self_signed(names)
