"""Relay sockets: what a relayed transport address is bound with."""

from __future__ import annotations

import errno
import socket

from stun import Address, Family
from turnd.core.tables import RelayUnavailableError
from turnd.datapath.interface import DatapathSettings
from turnd.datapath.portable.ancillary import prepare
from turnd.datapath.portable.icmp_errors import receive_errors


def open_relay_socket(local: Address, settings: DatapathSettings) -> socket.socket:
    """Bind a relay socket.

    Raises:
        RelayUnavailableError: the system refuses.

    """
    v4 = local.family is Family.IPV4
    try:
        sock = socket.socket(socket.AF_INET if v4 else socket.AF_INET6, socket.SOCK_DGRAM)
    except OSError as error:
        raise unavailable(local, error) from error
    try:
        sock.setblocking(False)
        if not v4:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if settings.relay_receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, settings.relay_receive_buffer)
        # Before the address is ours: nothing may arrive without its DSCP.
        prepare(sock, v4=v4, dscp=settings.preserve_dscp, wildcard=False)
        receive_errors(sock, v4=v4)
        sock.bind(local.sockaddr)
    except OSError as error:
        sock.close()
        raise unavailable(local, error) from error
    return sock


def unavailable(local: Address, error: OSError) -> RelayUnavailableError:
    """Say in the core's terms why a relay could not be opened."""
    in_use = error.errno == errno.EADDRINUSE
    return RelayUnavailableError(f"{local}: {error.strerror}", in_use=in_use)
