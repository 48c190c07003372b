"""Runs one `TurnClient` over one link: three tasks, and the operations that wait for them.

One task receives, one sends what the core wants sent and wakes at its deadlines; user data
goes straight to the link. Errors end in `Session.failure`, never in the tasks.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import attrs
import trio

from ice_client.turn.allocation import ClientState
from ice_client.turn.authentication import Authenticator
from ice_client.turn.client import TurnClient
from ice_client.turn.errors import LinkError, RelayClosedError, TurnClientError
from ice_client.turn.link import Link
from ice_client.turn.outputs import (
    Allocation,
    AllocationLost,
    ConnectionAttempted,
    DataReceived,
    Done,
    Exchange,
    Failed,
    IcmpReceived,
    PermissionLost,
    Transmit,
)
from ice_client.turn.server import TurnServer
from ice_client.turn.shielded import ShieldedTasks
from ice_client.turn.trace import Observer
from stun import Address

RECEIVE_QUEUE = 1024
"""Datagrams kept for the user; more are dropped and counted, as a socket's buffer does."""
NOTICE_QUEUE = 64
"""ICMP errors, lost permissions and connection attempts kept for the user."""

Notice = IcmpReceived | PermissionLost | ConnectionAttempted


@attrs.define(slots=True, eq=False)
class _Waiter:
    ended: trio.Event = attrs.field(factory=trio.Event)
    result: Done | Failed | None = None


def random_bytes(count: int) -> bytes:
    """Return bytes nobody can guess."""
    return secrets.token_bytes(count)


class Session:
    """A client on a link.

    Args:
        client: the core.
        authenticator: the core's.
        server: whose client it is, after any redirection.
        link: owned by the caller.
        tasks: where its tasks run.
        observer: is told of each exchange.
        receive_queue: datagrams kept for the user.

    Attributes:
        failure: why it ended; None while it runs.
        dropped: datagrams lost because the receive queue was full.

    """

    def __init__(
        self,
        client: TurnClient,
        authenticator: Authenticator,
        server: TurnServer,
        link: Link,
        tasks: ShieldedTasks,
        observer: Observer,
        receive_queue: int = RECEIVE_QUEUE,
    ) -> None:
        self.client = client
        self.authenticator = authenticator
        self.server = server
        self.link = link
        self.observer = observer
        self.failure: TurnClientError | None = None
        self.dropped = 0
        self._tasks = tasks
        self._to_send: list[bytes] = []
        self._wake = trio.Event()
        self._sleeps_until = 0.0
        self._waiters: dict[int, _Waiter] = {}
        self._release_link = trio.Event()
        self._data_in, self._data_out = trio.open_memory_channel[tuple[bytes, Address]](
            receive_queue
        )
        self._notice_in, self._notice_out = trio.open_memory_channel[Notice](NOTICE_QUEUE)
        tasks.start_soon(self._receive_loop, link)
        tasks.start_soon(self._drive)

    async def perform(self, start: Callable[[float], int]) -> Done:
        """Start an operation of the core, and wait for its end.

        Args:
            start: calls the core's method with the time, and returns its operation number.

        Raises:
            TurnClientError: what the operation failed with.

        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self.failure is not None:
            raise self.failure
        operation = start(trio.current_time())
        waiter = self._waiters[operation] = _Waiter()
        try:
            self._take_outputs()
            await waiter.ended.wait()
        finally:
            self._waiters.pop(operation, None)
        if isinstance(waiter.result, Done):
            return waiter.result
        raise waiter.result.error if waiter.result else self._ended()

    async def send(self, data: bytes, peer: Address, *, dont_fragment: bool = False) -> None:
        """Send data to a peer there is a permission for. Per packet.

        Raises:
            TurnClientError: the link broke or the allocation ended.

        """
        if self.failure is not None:
            raise self.failure
        packet = self.client.send(data, peer, trio.current_time(), dont_fragment=dont_fragment)
        self._take_outputs()
        try:
            await self.link.send(packet)
        except LinkError as error:
            self._fail(error)
            raise

    async def receive(self) -> tuple[bytes, Address]:
        """Return what came next, and from whom.

        Raises:
            TurnClientError: the link broke or the allocation ended.

        """
        try:
            return await self._data_out.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            raise self._ended() from None

    async def next_notice(self) -> Notice:
        """Return what else happened next.

        Raises:
            TurnClientError: the link broke or the allocation ended.

        """
        try:
            return await self._notice_out.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            raise self._ended() from None

    async def move(self, opening: AbstractAsyncContextManager[Link]) -> None:
        """Take the allocation along to another link (RFC 8016 §3.2).

        Args:
            opening: opens the new link to the same server.

        Raises:
            TurnClientError: there is no ticket, or the move failed: the old link stays.

        """
        old, released = self.link, trio.Event()
        new = await self._tasks.start(self._hold, opening, released)
        self.link = new
        self._tasks.start_soon(self._receive_loop, new)
        try:
            await self.perform(self.client.move)
        except BaseException:
            self.link = old
            released.set()
            raise
        with trio.CancelScope(shield=True):
            await old.aclose()
        # Its task ends with it; that of the first link is the opener's.
        self._release_link.set()
        self._release_link = released

    async def _hold(
        self,
        opening: AbstractAsyncContextManager[Link],
        released: trio.Event,
        task_status: trio.TaskStatus[Link],
    ) -> None:
        async with opening as link:
            task_status.started(link)
            with self._tasks.shielded():
                await released.wait()

    def end(self) -> None:
        """Let everybody know that this side is through."""
        self._fail(RelayClosedError("the relay is closed"))

    def _ended(self) -> TurnClientError:
        return self.failure or RelayClosedError("the relay is closed")

    async def _receive_loop(self, link: Link) -> None:
        while True:
            try:
                packet = await link.receive()
            except LinkError as error:
                # A link that was left by `move` may break.
                if link is self.link:
                    self._fail(error)
                return
            self.client.receive(packet, trio.current_time())
            self._take_outputs()

    async def _drive(self) -> None:
        """Send what is to be sent, sleep until a deadline or until there is more."""
        while True:
            to_send, self._to_send = self._to_send, []
            for packet in to_send:
                try:
                    await self.link.send(packet)
                except TurnClientError as error:
                    self._fail(error)
                    return
            if self._to_send:
                continue
            self._wake = trio.Event()
            self._sleeps_until = self._deadline()
            with trio.move_on_at(self._sleeps_until):
                await self._wake.wait()
            self._sleeps_until = 0.0
            self.client.on_deadline(trio.current_time())
            self._take_outputs()

    def _take_outputs(self) -> None:
        """Hand the core's outputs to whom they are for."""
        while (output := self.client.next_output()) is not None:
            match output:
                case DataReceived(data=data, peer=peer):
                    try:
                        self._data_in.send_nowait((data, peer))
                    except trio.WouldBlock:
                        self.dropped += 1
                    except (trio.ClosedResourceError, trio.BrokenResourceError):
                        pass  # the relay is closed: nobody wants it
                case Transmit(data=data):
                    self._to_send.append(data)
                case Done() | Failed():
                    waiter = self._waiters.get(output.operation)
                    if waiter is not None:
                        waiter.result = output
                        waiter.ended.set()
                case Exchange():
                    self.observer(output)
                case AllocationLost(error=error):
                    self._close(error)
                case _:
                    try:
                        self._notice_in.send_nowait(output)
                    except (trio.WouldBlock, trio.ClosedResourceError, trio.BrokenResourceError):
                        self.dropped += 1
        # Not with every packet: only when there is work for the driver.
        if self._to_send or self._deadline() < self._sleeps_until:
            self._wake.set()

    def _deadline(self) -> float:
        deadline = self.client.next_deadline()
        return deadline if deadline is not None else float("inf")

    def _fail(self, error: TurnClientError) -> None:
        self._close(error)
        self.client.fail(error, trio.current_time())
        self._take_outputs()

    def _close(self, error: TurnClientError) -> None:
        if self.failure is None:
            self.failure = error
        self._data_in.close()
        self._notice_in.close()

    async def abandon(self) -> None:
        """Delete what an Allocate under way may bring, as far as one datagram can.

        A stream needs none: the server deletes the allocation when it closes.
        """
        if self.client.state is not ClientState.ALLOCATING or self.link.reliable:
            return
        self.client.abandon(trio.current_time())
        self._take_outputs()
        to_send, self._to_send = self._to_send, []
        for packet in to_send:
            await self.link.send(packet)

    @property
    def allocation(self) -> Allocation:
        """What the server granted.

        Raises:
            RelayClosedError: nothing yet.

        """
        if self.client.allocation is None:
            raise RelayClosedError("there is no allocation")
        return self.client.allocation

    @property
    def is_allocated(self) -> bool:
        """Whether there is an allocation to delete."""
        return self.client.state is ClientState.ALLOCATED
