"""From a server's name to an allocation: addresses in turn, redirections, stale 5-tuples.

RFC 8656 §7.4 says what a client does about each error; what is not mended here is raised.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import attrs
import trio

from ice_client.turn.authentication import Authenticator
from ice_client.turn.client import TurnClient
from ice_client.turn.errors import (
    AllocationMismatchError,
    LinkError,
    RedirectedError,
    RedirectError,
    TransactionTimeoutError,
    TurnClientError,
)
from ice_client.turn.exchanges import DEFAULT_TIMING
from ice_client.turn.open_link import CONNECT_TIMEOUT, limited, open_link, timed_stage
from ice_client.turn.options import AllocateOptions
from ice_client.turn.resolve import resolve_host
from ice_client.turn.server import TurnServer
from ice_client.turn.session import RECEIVE_QUEUE, Session, random_bytes
from ice_client.turn.shielded import shielded_tasks
from ice_client.turn.trace import Observer, Stage, observe_nothing
from stun import Address, Family
from stun.transaction import Timing

MOST_REDIRECTIONS = 4
"""Servers that may send a client on, one after the other."""
MOST_MISMATCHES = 3
"""How often to try from another port when the one at hand has an allocation already (437)."""
ADDRESS_TIMEOUT = 3.0
"""Seconds for each of a name's addresses but the last: one that is dead must not use up the
patience there is for the others."""
CLOSE_TIMEOUT = 2.0
"""Seconds for Refresh(0) to be answered when a relay closes, cancelled or not."""


@attrs.frozen(slots=True, kw_only=True)
class SessionOptions:
    """How to make an allocation and keep it.

    Attributes:
        allocate: what to allocate.
        bind: local address to reach the server from; port 0 for any.
        family: of the server's addresses; None for both.
        timing: of retransmissions.
        connect_timeout: seconds that connecting, TLS or DTLS included, may take.
        receive_queue: datagrams kept until they are received.
        automatic_channels: bind a channel to each peer that is sent to.
        follow_redirects: go where a 300 says; else raise `RedirectedError`.
        observer: is told of each stage and exchange.

    """

    allocate: AllocateOptions = attrs.field(factory=AllocateOptions)
    bind: Address | None = None
    family: Family | None = None
    timing: Timing = DEFAULT_TIMING
    connect_timeout: float = CONNECT_TIMEOUT
    receive_queue: int = RECEIVE_QUEUE
    automatic_channels: bool = True
    follow_redirects: bool = True
    observer: Observer = observe_nothing


async def find_addresses(
    server: TurnServer, family: Family | None, observer: Observer
) -> list[Address]:
    """Return a server's addresses, in the order to try them.

    Raises:
        ResolutionError: there are none.

    """
    address = server.address
    if address is not None:
        return [address]
    with timed_stage(observer, Stage.RESOLVE, None) as report:
        report.addresses = await resolve_host(server.host, server.port, family=family)
    return list(report.addresses)


@contextlib.asynccontextmanager
async def open_session(server: TurnServer, options: SessionOptions) -> AsyncIterator[Session]:
    """Allocate for the length of the block; then delete the allocation.

    Raises:
        TurnClientError: no allocation: the class says why.

    """
    async with contextlib.AsyncExitStack() as stack:
        yield await _Search(server, options, stack).run()


class _Search:
    """The way to an allocation: which addresses are left to try, and how often it went wrong."""

    def __init__(
        self, server: TurnServer, options: SessionOptions, stack: contextlib.AsyncExitStack
    ) -> None:
        self._server = server
        self._options = options
        self._stack = stack
        self._redirected_from: set[Address] = set()
        self._mismatches = 0

    async def run(self) -> Session:
        options = self._options
        waiting = await find_addresses(self._server, options.family, options.observer)
        failure: TurnClientError | None = None
        while waiting:
            remote = waiting.pop(0)
            try:
                return await self._stack.enter_async_context(
                    _allocated(self._server, remote, options, ADDRESS_TIMEOUT if waiting else None)
                )
            except RedirectedError as redirected:
                if not options.follow_redirects:
                    raise
                waiting = [self._next_server(remote, redirected)]
            except AllocationMismatchError as mismatch:
                # RFC 8656 §7.4: an older allocation has this 5-tuple; another port has none.
                self._mismatches += 1
                fixed_port = options.bind is not None and options.bind.port != 0
                if fixed_port or self._mismatches > MOST_MISMATCHES:
                    raise
                waiting.insert(0, remote)
                failure = mismatch
            except (LinkError, TransactionTimeoutError) as error:
                failure = error
        raise failure or LinkError(f"{self._server} has no address")

    def _next_server(self, remote: Address, redirected: RedirectedError) -> Address:
        """Return where to go on a 300 (RFC 8489 §10)."""
        self._redirected_from.add(remote)

        def refuse(why: str) -> RedirectError:
            return RedirectError(redirected.code, why, redirected.response)

        if len(self._redirected_from) > MOST_REDIRECTIONS:
            raise refuse(f"sent on by more than {MOST_REDIRECTIONS} servers")
        of_family = [each for each in redirected.addresses if each.family is remote.family]
        if not of_family:
            raise refuse("ALTERNATE-SERVER has no address of the server's family")
        if of_family[0] in self._redirected_from:
            raise refuse(f"a loop: {of_family[0]} has sent on already")
        if redirected.domain is not None:
            tls = attrs.evolve(self._server.tls, server_name=redirected.domain)
        else:
            # The alternate server must prove the name that was asked for at first.
            tls = attrs.evolve(self._server.tls, server_name=self._server.tls_name)
        target = of_family[0]
        self._server = attrs.evolve(self._server, host=target.host, port=target.port, tls=tls)
        return target


@contextlib.asynccontextmanager
async def _allocated(
    server: TurnServer, remote: Address, options: SessionOptions, timeout: float | None
) -> AsyncIterator[Session]:
    connect_timeout = min(options.connect_timeout, timeout or options.connect_timeout)
    authenticator = Authenticator(server.credentials)
    async with (
        open_link(
            server,
            remote,
            bind=options.bind,
            observer=options.observer,
            connect_timeout=connect_timeout,
        ) as link,
        shielded_tasks() as tasks,
    ):
        client = TurnClient(
            authenticator,
            options.allocate,
            random_bytes=random_bytes,
            reliable=link.reliable,
            timing=options.timing,
            automatic_channels=options.automatic_channels,
        )
        session = Session(
            client, authenticator, server, link, tasks, options.observer, options.receive_queue
        )
        try:
            patience = timeout if timeout is not None else float("inf")
            with limited(patience, f"no allocation from {remote}"):
                await session.perform(client.allocate)
            yield session
        finally:
            await delete_allocation(session)


async def delete_allocation(session: Session) -> None:
    """Send Refresh(0), wait a little for the answer even when cancelled, and end the session."""
    with trio.move_on_after(CLOSE_TIMEOUT, shield=True), contextlib.suppress(TurnClientError):
        if session.failure is None:
            await session.abandon()
        if session.failure is None and session.is_allocated:
            await session.perform(session.client.close)
    session.end()
