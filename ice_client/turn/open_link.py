"""Makes the link to a server, whatever its transport, each stage timed."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import attrs
import trio

from ice_client.turn.link import Link, UdpLink, connected_socket
from ice_client.turn.server import Transport, TurnServer
from ice_client.turn.trace import Observer, Stage, StageEnded, TlsDetails, observe_nothing
from stun import Address


@attrs.define(slots=True)
class StageReport:
    """What a stage wants to tell when it ends well."""

    tls: TlsDetails | None = None
    addresses: tuple[Address, ...] = ()


@contextlib.contextmanager
def timed_stage(observer: Observer, stage: Stage, remote: Address | None) -> Iterator[StageReport]:
    """Tell the observer how long the block took and how it ended."""
    started_at = trio.current_time()
    report = StageReport()
    error: BaseException | None = None
    try:
        yield report
    except BaseException as problem:
        error = problem
        raise
    finally:
        observer(
            StageEnded(
                stage=stage,
                remote=remote,
                started_at=started_at,
                ended_at=trio.current_time(),
                tls=report.tls,
                addresses=report.addresses,
                error=error,
            )
        )


@contextlib.asynccontextmanager
async def open_link(
    server: TurnServer,
    remote: Address,
    *,
    bind: Address | None = None,
    observer: Observer = observe_nothing,
) -> AsyncIterator[Link]:
    """Connect to a server for the length of the block.

    Args:
        server: transport and TLS options.
        remote: the address of the server's host to connect to.
        bind: local address; port 0 for any.
        observer: is told of each stage.

    Raises:
        LinkError: it cannot be reached; `TlsError`, `CertificateError` if the handshake failed.

    """
    is_stream = server.transport.is_stream
    kind = socket.SOCK_STREAM if is_stream else socket.SOCK_DGRAM
    with timed_stage(observer, Stage.CONNECT, remote):
        sock = await connected_socket(kind, remote, bind)
    if server.transport is not Transport.UDP:
        sock.close()
        raise NotImplementedError
    link = UdpLink(sock)
    try:
        yield link
    finally:
        with trio.CancelScope(shield=True):
            await link.aclose()
