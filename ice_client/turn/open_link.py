"""Makes the link to a server, whatever its transport, each stage timed."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import attrs
import trio

from ice_client.turn.dtls_link import DtlsLink
from ice_client.turn.errors import LinkError
from ice_client.turn.link import Link, UdpLink, connected_socket
from ice_client.turn.server import TurnServer
from ice_client.turn.shielded import shielded_tasks
from ice_client.turn.stream_link import ByteStream, StreamLink, start_tls, tls_details
from ice_client.turn.trace import Observer, Stage, StageEnded, TlsDetails, observe_nothing
from stun import Address

CONNECT_TIMEOUT = 10.0
"""Seconds; also how long a TLS or DTLS handshake that nobody answers is waited for."""


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
    connect_timeout: float = CONNECT_TIMEOUT,
) -> AsyncIterator[Link]:
    """Connect to a server for the length of the block.

    Args:
        server: transport and TLS options.
        remote: the address of the server's host to connect to.
        bind: local address; port 0 for any.
        observer: is told of each stage.
        connect_timeout: seconds that connecting, handshake included, may take.

    Raises:
        LinkError: it cannot be reached; `TlsError`, `CertificateError` if the handshake failed.

    """
    with limited(connect_timeout, f"no connection to {remote}"):
        link = await _connect(server, remote, bind, observer)
    async with shielded_tasks() as tasks:
        if isinstance(link, StreamLink):
            tasks.start_soon(link.write)
        try:
            yield link
        finally:
            with trio.CancelScope(shield=True):
                await link.aclose()


@contextlib.contextmanager
def limited(seconds: float, what: str) -> Iterator[None]:
    """Limit what the block may take.

    Raises:
        LinkError: it took longer.

    """
    try:
        with trio.fail_after(seconds):
            yield
    except trio.TooSlowError as error:
        raise LinkError(f"{what} within {seconds:g} s") from error


async def _connect(
    server: TurnServer, remote: Address, bind: Address | None, observer: Observer
) -> Link:
    if server.transport.is_stream:
        stream, local = await connect_stream(server, remote, bind, observer)
        return StreamLink(stream, local, remote)
    with timed_stage(observer, Stage.CONNECT, remote):
        sock = await connected_socket(socket.SOCK_DGRAM, remote, bind)
    link = UdpLink(sock)
    return await _secure(link, server, observer) if server.transport.is_secure else link


async def connect_stream(
    server: TurnServer, remote: Address, bind: Address | None, observer: Observer
) -> tuple[ByteStream, Address]:
    """Connect by TCP, and do TLS if the server's transport has it; return the local address too.

    Raises:
        LinkError: it cannot be reached; `TlsError`, `CertificateError` if the handshake failed.

    """
    with timed_stage(observer, Stage.CONNECT, remote):
        sock = await connected_socket(socket.SOCK_STREAM, remote, bind)
    local = Address.from_sockaddr(sock.getsockname())
    stream = trio.SocketStream(sock)
    if not server.transport.is_secure:
        return stream, local
    try:
        with timed_stage(observer, Stage.TLS_HANDSHAKE, remote) as report:
            secure = await start_tls(stream, server)
            report.tls = tls_details(secure)
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return secure, local


async def _secure(carrier: UdpLink, server: TurnServer, observer: Observer) -> DtlsLink:
    try:
        with timed_stage(observer, Stage.DTLS_HANDSHAKE, carrier.remote) as report:
            link = DtlsLink(carrier, server)
            await link.handshake()
            report.tls = link.details
    except BaseException:
        with trio.CancelScope(shield=True):
            await carrier.aclose()
        raise
    return link
