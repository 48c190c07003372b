"""A connected stream socket, plain or TLS, that can be written to without waiting.

`send` is for the relay road: it never waits, and refuses when the client is too far
behind. `receive` and `send_all` are for tasks that may wait. Both kinds share one
backlog, so that what was queued first goes out first. A task that drains the backlog
exists only while there is one: a thousand idle clients cost no tasks here.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections import deque
from collections.abc import Awaitable, Callable

import trio

from turnd.transports.tls_engine import TlsEngine, TlsError

READ_SIZE = 65536
Spawn = Callable[[Callable[[], Awaitable[None]]], None]
"""Starts a task whose owner outlives the stream; it ends by itself when the stream closes."""


class ByteStream:
    """One connection.

    Args:
        sock: connected and non-blocking; the stream owns it.
        spawn: starts the backlog's task.
        queue_bytes: how much may wait in the backlog.

    """

    def __init__(self, sock: socket.socket, spawn: Spawn, queue_bytes: int) -> None:
        self._sock = sock
        self._spawn = spawn
        self._queue_bytes = queue_bytes
        self._initial = b""
        self._tls: TlsEngine | None = None
        self._backlog: deque[memoryview] = deque()
        self._backlog_bytes = 0
        self._room: trio.Event | None = None  # set when the backlog is empty or the stream dead
        self._draining = False
        self._fresh_tls = False  # the handshake may have left records inside the engine
        self._sending_over = False
        self._receiving_over = False
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the socket is closed."""
        return self._closed

    @property
    def tls(self) -> TlsEngine | None:
        """The TLS engine, once `start_tls` was called."""
        return self._tls

    def unread(self, data: bytes) -> None:
        """Put bytes back that were received and belong to what reads next."""
        self._initial = data + self._initial

    @property
    def backlog_bytes(self) -> int:
        """Bytes that wait for the kernel to take them."""
        return self._backlog_bytes

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Do the server's side of a TLS handshake.

        Raises:
            TlsError: it failed; the alert has been sent.
            OSError: the connection broke.

        """
        self._tls = TlsEngine(context)
        while True:
            data = await self._read()
            if not data:
                raise TlsError("the client closed the connection during the handshake")
            try:
                complete = self._tls.handshake(data)
            finally:
                self._push(self._tls.ciphertext())
            if complete:
                self._fresh_tls = True
                return

    async def receive(self) -> bytes:
        """Return the next bytes, or ``b""`` at the end of the client's data.

        Cancellation loses nothing.

        Raises:
            OSError: the connection broke.
            TlsError: the client broke the protocol.
            trio.ClosedResourceError: `close` was called.

        """
        while not self._receiving_over:
            if self._backlog_bytes > self._queue_bytes:
                # Only TLS's own answers get past the bound of `send`; a client that makes
                # us write them and reads none waits here.
                await self.drained()
            data = b"" if self._fresh_tls else await self._read()
            if self._tls is None:
                self._receiving_over = not data
                return data
            if not data and not self._fresh_tls:
                self._tls.receive_eof()
            self._fresh_tls = False
            try:
                data, self._receiving_over = self._tls.decrypt(data)
            finally:
                self._push(self._tls.ciphertext())
            if data:
                return data
        return b""

    async def _read(self) -> bytes:
        if self._initial:
            data, self._initial = self._initial, b""
            return data
        waited = False
        while True:
            if self._closed:
                raise trio.ClosedResourceError("the stream is closed")
            try:
                data = self._sock.recv(READ_SIZE)
            except (BlockingIOError, InterruptedError):
                await trio.lowlevel.wait_readable(self._sock)
                waited = True
                continue
            if not waited:
                # One busy client must not keep the others from the processor.
                await trio.lowlevel.cancel_shielded_checkpoint()
            return data

    def send(self, data: bytes) -> bool:
        """Send or queue one message whole; False when it does not fit or the stream is over.

        Per packet: no waiting, no task switch, one system call where the kernel has room.
        """
        if self._sending_over or self._closed:
            return False
        if self._backlog_bytes and self._backlog_bytes + len(data) > self._queue_bytes:
            return False
        if self._tls is None:
            return self._push(data)
        try:
            # Only now: a record that is made has to be sent, its number is spent.
            return self._push(self._tls.encrypt(data))
        except TlsError:
            self._stop_sending()
            return False

    async def send_all(self, data: bytes) -> None:
        """Send `data`, waiting while the backlog is full.

        Raises:
            BrokenPipeError: the connection broke, or `send_eof` or `close` was called.

        """
        while self._backlog_bytes:
            await self.drained()
        if not self.send(data):
            raise BrokenPipeError("the stream takes no more data")
        await self.drained()

    async def drained(self) -> None:
        """Wait until nothing is queued, or nothing can be sent any more."""
        if self._backlog_bytes:
            if self._room is None:
                self._room = trio.Event()
            await self._room.wait()

    def send_eof(self) -> None:
        """End our direction once what is queued is out: close_notify for TLS, then FIN."""
        if self._sending_over or self._closed:
            return
        if self._tls is not None:
            self._push(self._tls.close())
        self._sending_over = True
        if not self._backlog:
            self._shutdown()

    def close(self, *, reset: bool = False) -> None:
        """Close the socket at once, with a last close_notify if TLS has room for one.

        Args:
            reset: send RST rather than FIN, to say that data may be missing.

        """
        if self._closed:
            return
        if self._tls is not None and not self._sending_over and not self._backlog and not reset:
            self._push(self._tls.close())
        self._closed = True
        self._stop_sending()
        trio.lowlevel.notify_closing(self._sock)
        if reset:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def _push(self, wire: bytes) -> bool:
        """Give bytes to the kernel, and what it won't take to the backlog."""
        if not wire or self._sending_over:
            return not wire
        idle = not self._backlog
        self._backlog.append(memoryview(wire))
        self._backlog_bytes += len(wire)
        if idle and not self._flush():
            return False
        if self._backlog and not self._draining:
            self._draining = True
            self._spawn(self._drain)
        return True

    def _flush(self) -> bool:
        """Hand the backlog to the kernel as far as it goes; False when the connection broke."""
        try:
            while self._backlog:
                sent = self._sock.send(self._backlog[0])
                self._backlog_bytes -= sent
                if sent == len(self._backlog[0]):
                    self._backlog.popleft()
                else:
                    self._backlog[0] = self._backlog[0][sent:]
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            # The reading side learns the same from its own call, and says why.
            self._stop_sending()
            return False
        return True

    async def _drain(self) -> None:
        try:
            while self._backlog:
                await trio.lowlevel.wait_writable(self._sock)
                if not self._closed:
                    self._flush()
        except trio.ClosedResourceError:
            return  # `close` has cleared up
        finally:
            self._draining = False
        if self._sending_over:
            self._shutdown()
        self._wake()

    def _stop_sending(self) -> None:
        self._sending_over = True
        self._backlog.clear()
        self._backlog_bytes = 0
        self._wake()

    def _shutdown(self) -> None:
        with contextlib.suppress(OSError):  # gone already: no direction is left to end
            self._sock.shutdown(socket.SHUT_WR)

    def _wake(self) -> None:
        if self._room is not None:
            self._room.set()
            self._room = None


def set_stream_options(sock: socket.socket, keepalive_idle: int, user_timeout: int) -> None:
    """Make a connected socket fit for a `ByteStream`.

    Non-blocking; no delay, as messages are whole when they are written; and two ways to
    find out about a client that is gone without a word.

    Args:
        sock: a TCP socket.
        keepalive_idle: seconds of silence before keepalive probes begin.
        user_timeout: seconds that sent data may stay unacknowledged.

    Raises:
        OSError: the connection broke already.

    """
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, keepalive_idle)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, user_timeout * 1000)
