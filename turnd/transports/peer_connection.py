"""A peer data connection and the bytes between it and its client (RFC 6062 §3, §5).

Until the client binds it nothing is read from it: the kernel's receive buffer is the
bounded buffer the RFC asks for, and its window tells the peer to wait.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from turnd.core.tables import Traffic
from turnd.transports.byte_stream import ByteStream
from turnd.transports.pace import Pace
from turnd.transports.tls_engine import TlsError


class Meter:
    """One direction of an allocation: what it moved and how fast it may.

    Args:
        paces: every limit that applies.

    """

    def __init__(self, paces: tuple[Pace, ...]) -> None:
        self._paces = paces
        self.chunks = 0
        self.bytes = 0

    async def pass_on(self, data: bytes, sink: ByteStream) -> None:
        """Send `data` when its time has come, and count it.

        Raises:
            BrokenPipeError: the sink takes no more.

        """
        now = trio.current_time()
        delay = max([pace.delay(len(data), now) for pace in self._paces], default=0.0)
        if delay:
            await trio.sleep(delay)
        await sink.send_all(data)
        self.chunks += 1
        self.bytes += len(data)


class AllocationMeters:
    """Both directions of an allocation."""

    def __init__(self, to_peer: Meter, to_client: Meter) -> None:
        self.to_peer = to_peer
        self.to_client = to_client

    def traffic(self) -> Traffic:
        """Return what was moved; a stream has no packets, so reads are counted as such."""
        return Traffic(
            packets_to_peer=self.to_peer.chunks,
            bytes_to_peer=self.to_peer.bytes,
            packets_to_client=self.to_client.chunks,
            bytes_to_client=self.to_client.bytes,
        )


class PeerConnection:
    """One connection to a peer; the `DataPeer` that a client's stream is joined to.

    Args:
        stream: connected to the peer.
        meters: the allocation's.
        half_close_timeout: seconds without data after which a connection of which one end
            has stopped sending is closed.
        on_closed: called once, when `close` was called or the relaying is over.

    """

    def __init__(
        self,
        stream: ByteStream,
        meters: AllocationMeters,
        half_close_timeout: float,
        on_closed: Callable[[], None],
    ) -> None:
        self._stream = stream
        self._meters = meters
        self._half_close_timeout = half_close_timeout
        self._on_closed = on_closed
        self._half_closed = False
        self._broken = False
        self._to_peer = trio.CancelScope()
        self._to_client = trio.CancelScope()

    def close(self) -> None:
        """Close the connection; a `pump` that runs on it comes to its end."""
        if not self._stream.closed:
            self._stream.close(reset=self._broken)
            self._to_peer.cancel()
            self._to_client.cancel()
            self._on_closed()

    async def pump(self, client: ByteStream, first: bytes) -> None:
        """Relay both ways until both have ended, or either is broken; then close both.

        RFC 6062 §5.5: when one connection is closed the server closes the other. A FIN may
        also be only half a close (HTTP's, say), so it is passed on as what it is, and an
        end that does not follow suit is closed when it has been silent for a while.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._relay_to_client, client)
                await self._relay(client, self._stream, self._meters.to_peer, self._to_peer, first)
        finally:
            # A broken end means that bytes may be missing: the other end learns it likewise.
            client.close(reset=self._broken)
            self.close()

    async def _relay_to_client(self, client: ByteStream) -> None:
        await self._relay(self._stream, client, self._meters.to_client, self._to_client, b"")

    async def _relay(
        self,
        source: ByteStream,
        sink: ByteStream,
        meter: Meter,
        scope: trio.CancelScope,
        first: bytes,
    ) -> None:
        other = self._to_peer if scope is self._to_client else self._to_client
        try:
            with scope:
                if first:
                    await meter.pass_on(first, sink)
                while data := await source.receive():
                    if self._half_closed:
                        scope.deadline = trio.current_time() + self._half_close_timeout
                    await meter.pass_on(data, sink)
        except (OSError, TlsError):
            self._broken = not (source.closed or sink.closed)
            other.cancel()
        except trio.ClosedResourceError:
            other.cancel()
        else:
            sink.send_eof()
            if not self._half_closed:
                self._half_closed = True
                other.deadline = trio.current_time() + self._half_close_timeout
