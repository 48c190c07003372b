"""TCP and TLS listeners: accept loops, one session per connection, one timer for all.

All connections live in the nursery of `StreamTransports.serve`. A session's failure is
logged and counted and ends that session; nothing but cancellation ends the others.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

import structlog
import trio

from stun import Address, DecodeError
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.transports.accept import accept_forever
from turnd.transports.address_limit import AddressLimit
from turnd.transports.byte_stream import ByteStream, Spawn, set_stream_options
from turnd.transports.packet_road import PacketRoad
from turnd.transports.settings import Listener, StreamSettings
from turnd.transports.stream_client import DataPeer, StreamClient, StreamState
from turnd.transports.stream_setup import (
    Endpoints,
    SetupError,
    TlsContexts,
    detect_and_secure,
    read_proxy_header,
)
from turnd.transports.timer import Timer
from turnd.transports.tls_engine import TlsError
from turnd.transports.totals import CloseReason, Refusal, StreamTotals, TransportCounters

log = structlog.get_logger("turnd")


class StreamTransports:
    """The server's TCP and TLS side.

    Args:
        settings: bounds and timeouts.
        datapath: takes messages, and sends to clients through the sinks attached here.
        certificates: where the TLS context of a new handshake comes from.
        on_client_gone: told when a served client's connection is over.
        has_allocation: whether a client holds an allocation and may therefore be silent.
        counters: shared with the DTLS transport if given.

    """

    def __init__(
        self,
        settings: StreamSettings,
        datapath: PacketRoad,
        certificates: TlsContexts,
        *,
        on_client_gone: Callable[[FiveTuple], None],
        has_allocation: Callable[[FiveTuple], bool],
        counters: TransportCounters | None = None,
    ) -> None:
        self._settings = settings
        self._datapath = datapath
        self._certificates = certificates
        self._on_client_gone = on_client_gone
        self._has_allocation = has_allocation
        self._counters = counters or TransportCounters()
        self._limit = AddressLimit(settings.max_connections_per_address)
        self._clients: dict[FiveTuple, StreamClient] = {}
        self._connections = 0
        self._timer: Timer[StreamClient] = Timer()

    @property
    def connection_count(self) -> int:
        """Connections that are open, those in their handshake included."""
        return self._connections

    def totals(self) -> StreamTotals:
        """Read the counters."""
        return self._counters.snapshot()

    def reconfigure(self, settings: StreamSettings) -> None:
        """Put other bounds and timeouts in force; connections that are open stay."""
        self._settings = settings
        self._limit.maximum = settings.max_connections_per_address

    async def serve(
        self,
        listeners: list[Listener],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept and serve clients until cancelled; then close every connection and listener."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._timer.run, self._deadline_passed)
                for listener in listeners:
                    nursery.start_soon(self._accept_loop, listener, nursery)
                task_status.started()
        finally:
            for listener in listeners:
                listener.socket.close()

    def close_client(self, five_tuple: FiveTuple) -> None:
        """Close a client's connection after what is queued for it; unknown clients are ignored."""
        client = self._clients.get(five_tuple)
        if client is not None:
            client.finish()
            deadline = trio.current_time() + self._settings.close_timeout
            self._timer.set(client, deadline)

    def take_over(self, five_tuple: FiveTuple, peer: DataPeer) -> bool:
        """Make a client's connection a data connection (RFC 6062 §5.4).

        Args:
            five_tuple: the client that sent the ConnectionBind request.
            peer: gets the stream, in the client's task and so after the current turn, with
                the bytes that followed the request. It is closed with the client.

        Returns:
            False if the client is gone; `peer` is then the caller's to close.

        """
        client = self._clients.get(five_tuple)
        if client is None or not client.become_data_connection(peer):
            return False
        self._timer.discard(client)
        return True

    async def _accept_loop(self, listener: Listener, nursery: trio.Nursery) -> None:
        def on_accept(sock: socket.socket, peer: Address) -> None:
            if self._connections < self._settings.max_connections:
                self._connections += 1
                nursery.start_soon(self._run_connection, sock, peer, listener, nursery)
            else:
                self._counters.refused(_declared(listener), Refusal.TOTAL_LIMIT)
                sock.close()

        def on_exhausted() -> None:
            self._counters.refused(_declared(listener), Refusal.DESCRIPTORS)

        await accept_forever(listener.socket, on_accept, on_exhausted)

    async def _run_connection(
        self, sock: socket.socket, peer: Address, listener: Listener, nursery: trio.Nursery
    ) -> None:
        try:
            with sock:
                await self._serve_connection(sock, peer, listener, nursery.start_soon)
        except Exception:
            # Sessions have their own handling; this is for what comes before one.
            log.exception("connection-failed", client=str(peer))
            self._counters.rejected(_declared(listener), CloseReason.ERROR)
        finally:
            self._connections -= 1

    async def _serve_connection(
        self, sock: socket.socket, peer: Address, listener: Listener, spawn: Spawn
    ) -> None:
        try:
            set_stream_options(sock, self._settings.keepalive_idle, self._settings.user_timeout)
            endpoints = Endpoints(peer, Address.from_sockaddr(sock.getsockname()))
        except OSError:
            self._counters.rejected(_declared(listener), CloseReason.RESET)
            return
        stream = ByteStream(sock, spawn, self._settings.send_queue_bytes)
        try:
            if self._is_trusted_proxy(peer):
                endpoints = await read_proxy_header(stream, endpoints, self._settings)
            if not self._limit.acquire(endpoints.client):
                self._counters.refused(_declared(listener), Refusal.ADDRESS_LIMIT)
                return
            try:
                await self._serve_client(stream, endpoints, listener)
            finally:
                self._limit.release(endpoints.client)
        except SetupError as error:
            log.debug(
                "connection-rejected",
                client=str(endpoints.client),
                reason=error.reason.value,
                detail=str(error),
            )
            self._counters.rejected(error.transport, error.reason)
        except OSError:
            self._counters.rejected(_declared(listener), CloseReason.RESET)
        finally:
            stream.close()

    async def _serve_client(
        self, stream: ByteStream, endpoints: Endpoints, listener: Listener
    ) -> None:
        transport = await detect_and_secure(
            stream, listener, self._settings, self._certificates, self._counters
        )
        five_tuple = FiveTuple(transport, endpoints.client, endpoints.server)
        client = StreamClient(stream, five_tuple)
        self._open(client)
        reason = CloseReason.SHUTDOWN
        try:
            reason = await client.run(self._datapath)
        except DecodeError as error:
            reason = CloseReason.MALFORMED
            log.debug("stream-malformed", client=str(five_tuple), detail=str(error))
        except (OSError, TlsError):
            reason = CloseReason.RESET
        except trio.ClosedResourceError:
            reason = CloseReason.SERVER
        except Exception:
            reason = CloseReason.ERROR
            log.exception("stream-session-failed", client=str(five_tuple))
        finally:
            self._end(client, reason)

    def _open(self, client: StreamClient) -> None:
        old = self._clients.get(client.five_tuple)
        if old is not None:
            # The kernel hands out a 4-tuple again only when its old connection is dead,
            # and a proxy reuses one likewise: the news of that has not been read yet.
            self._end(old, CloseReason.REPLACED)
        self._clients[client.five_tuple] = client
        self._counters.opened(client.five_tuple.transport)
        self._datapath.attach(client.five_tuple, client)
        self._timer.set(client, client.last_message_at + self._settings.idle_timeout)
        tls = client.stream.tls
        log.debug(
            "stream-opened",
            client=str(client.five_tuple),
            tls_version=tls.version if tls else None,
            alpn=tls.alpn if tls else None,
        )

    def _end(self, client: StreamClient, reason: CloseReason) -> None:
        """Close a session, once, whoever ends it first."""
        if client.state is StreamState.CLOSED:
            return
        client.state = StreamState.CLOSED
        client.stream.close()
        if client.data_peer is not None:
            client.data_peer.close()
        self._timer.discard(client)
        self._counters.closed(client.five_tuple.transport, reason)
        del self._clients[client.five_tuple]
        log.debug("stream-closed", client=str(client.five_tuple), reason=reason.value)
        try:
            self._datapath.detach(client.five_tuple)
            self._on_client_gone(client.five_tuple)
        except Exception:
            log.exception("client-gone-failed", client=str(client.five_tuple))

    def _deadline_passed(self, client: StreamClient) -> None:
        if client.state is StreamState.CLOSING:
            self._end(client, CloseReason.SERVER)
            return
        now = trio.current_time()
        idle_at = client.last_message_at + self._settings.idle_timeout
        if idle_at > now:
            self._timer.set(client, idle_at)
        elif self._holds_allocation(client):
            self._timer.set(client, now + self._settings.idle_timeout)
        else:
            self._end(client, CloseReason.IDLE)

    def _holds_allocation(self, client: StreamClient) -> bool:
        try:
            return self._has_allocation(client.five_tuple)
        except Exception:
            log.exception("has-allocation-failed", client=str(client.five_tuple))
            return False

    def _is_trusted_proxy(self, peer: Address) -> bool:
        number = int.from_bytes(peer.packed, "big")
        return any(
            len(network.network_address.packed) == len(peer.packed)
            and int(network.network_address) <= number <= int(network.broadcast_address)
            for network in self._settings.trusted_proxies
        )


def _declared(listener: Listener) -> Transport:
    return Transport(listener.kind.value)
