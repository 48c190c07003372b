"""The accept loop of every listening stream socket, clients' and relays' alike."""

from __future__ import annotations

import errno
import math
import socket
from collections.abc import Callable

import structlog
import trio

from stun import Address

_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_PAUSE = 0.1
"""Seconds to wait for descriptors to come free: the connection stays readable, and trying
again at once would only burn the processor that is needed to serve the others."""
_TELL_EVERY = 30.0
"""Seconds between two lines of the log that say so."""

log = structlog.get_logger("turnd")


async def accept_forever(
    listening: socket.socket,
    on_accept: Callable[[socket.socket, Address], None],
    on_exhausted: Callable[[], None] = lambda: None,
) -> None:
    """Accept connections until cancelled.

    Args:
        listening: a non-blocking socket that listens.
        on_accept: takes each new socket, which it owns, and the address at its other end.
        on_exhausted: told when the system has no descriptor or memory for another one;
            the loop then pauses and goes on. The log has it now and then.

    Raises:
        trio.ClosedResourceError: the socket was closed (after `trio.lowlevel.notify_closing`).

    """
    tell_at = -math.inf
    while True:
        try:
            sock, peer = listening.accept()
        except (BlockingIOError, InterruptedError):
            await trio.lowlevel.wait_readable(listening)
            continue
        except OSError as error:
            if error.errno == errno.EBADF:
                raise trio.ClosedResourceError("the listening socket is closed") from error
            if error.errno in _OUT_OF_RESOURCES:
                on_exhausted()
                if trio.current_time() >= tell_at:
                    tell_at = trio.current_time() + _TELL_EVERY
                    log.warning(
                        "accept-out-of-resources",
                        error=error.strerror,
                        listener=str(Address.from_sockaddr(listening.getsockname())),
                    )
                await trio.sleep(_PAUSE)
            else:
                # accept(2): errors of the connection itself (ECONNABORTED, network errors
                # already pending) come up here and concern that connection alone.
                await trio.lowlevel.checkpoint()
            continue
        on_accept(sock, Address.from_sockaddr(peer))
        await trio.lowlevel.checkpoint()
