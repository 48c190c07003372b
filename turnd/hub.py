"""Between core, engine and transports: carries out what the core says, and keeps its time.

Everything here runs in trio's thread and nothing waits, except the timer and the
loading of credentials, which are tasks of `run`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Protocol

import attrs
import structlog
import trio

from stun import Address
from turnd.core.credentials import CredentialSource
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.core.outputs import (
    AllocationClosed,
    CloseClient,
    LoadCredential,
    Output,
    RequestDropped,
    StepFailed,
    Transmit,
)
from turnd.core.server import TurnServer
from turnd.datapath.interface import Datapath

MAXIMUM_LOADS = 64
"""Credential look-ups under way at once; a request that would be one more is dropped."""

log = structlog.get_logger("turnd")


class Observer(Protocol):
    """Takes the core's events: logs, metrics."""

    def handle(self, output: Output) -> None:
        """Take one event; must not wait and must not raise."""


class DtlsReceiver(Protocol):
    """The DTLS transport, as the hub sees it."""

    def receive(self, data: bytes, five_tuple: FiveTuple) -> None:
        """Take a datagram in DTLS's range."""

    def close_client(self, five_tuple: FiveTuple) -> None:
        """Close a client's session; nothing happens if it is not known."""


@attrs.frozen(slots=True)
class Links:
    """Whom the hub connects the engine with; made after it, because they need it themselves.

    Attributes:
        server: the core.
        dtls: takes DTLS datagrams.
        close_stream: closes a TCP or TLS client's stream.
        plain_udp_ports: UDP ports that take STUN as it is.
        dtls_ports: UDP ports that take DTLS.
        observers: take the core's events.
        on_idle: called when the last allocation ends.

    """

    server: TurnServer
    dtls: DtlsReceiver
    close_stream: Callable[[FiveTuple], None]
    plain_udp_ports: frozenset[int]
    dtls_ports: frozenset[int]
    observers: tuple[Observer, ...]
    on_idle: Callable[[], None]


@attrs.define(slots=True, eq=False)
class _Load:
    """A request that waits for its credential, unless its client has left meanwhile."""

    wanted: LoadCredential
    abandoned: bool = False


class Hub:
    """The `RequestHandler` of the engine, and whom the transports tell of their clients.

    Args:
        datapath: where messages to clients go.
        source: loads credentials.
        clock: monotonic seconds, the same that engine and core go by.

    """

    def __init__(
        self, datapath: Datapath, source: CredentialSource, clock: Callable[[], float]
    ) -> None:
        self._datapath = datapath
        self.source = source
        self._clock = clock
        self._linked: Links | None = None
        self._timer = trio.CancelScope()
        self._timer_deadline = math.inf
        self._loads, self._loads_in = trio.open_memory_channel[_Load](MAXIMUM_LOADS)
        self._waiting: set[_Load] = set()

    def connect(self, links: Links) -> None:
        """Say whom to connect, once, before anything else is called."""
        self._linked = links

    @property
    def _links(self) -> Links:
        if self._linked is None:
            raise RuntimeError("Hub.connect comes first")
        return self._linked

    @property
    def _server(self) -> TurnServer:
        return self._links.server

    def has_allocation(self, five_tuple: FiveTuple) -> bool:
        """Whether a client holds an allocation and may therefore be silent."""
        return self._server.has_allocation(five_tuple)

    async def run(self) -> None:
        """Keep the core's time and load credentials, until cancelled."""
        async with trio.open_nursery() as nursery:
            for _ in range(MAXIMUM_LOADS // 8):
                nursery.start_soon(self._load_credentials)
            nursery.start_soon(self._keep_time)

    def on_request(self, data: bytes, five_tuple: FiveTuple) -> None:
        """Take a message for the core."""
        if (
            five_tuple.transport is Transport.UDP
            and five_tuple.server.port not in self._links.plain_udp_ports
        ):
            self._observe(RequestDropped(five_tuple, "plain-off"))
            return
        now = self._clock()
        try:
            self._perform(self._server.receive(data, five_tuple, now))
        except Exception:
            self._fail(five_tuple, now)

    def on_dtls(self, data: bytes, five_tuple: FiveTuple) -> None:
        """Take a datagram for the DTLS transport."""
        if five_tuple.server.port not in self._links.dtls_ports:
            self._observe(RequestDropped(five_tuple, "dtls-off"))
            return
        self._links.dtls.receive(data, five_tuple)

    def client_gone(self, five_tuple: FiveTuple) -> None:
        """Take note that a client's stream or DTLS session ended."""
        # Whom the same 5-tuple belongs to next must not find an allocation there.
        for load in self._waiting:
            if load.wanted.five_tuple == five_tuple:
                load.abandoned = True
        self._guard(five_tuple, lambda now: self._server.client_gone(five_tuple, now))

    def peer_connected(self, connection_id: int) -> None:
        """Take note that a TCP allocation's outgoing connection stands."""
        self._perform(self._server.peer_connected(connection_id, self._clock()))

    def peer_unreachable(self, connection_id: int) -> None:
        """Take note that a TCP allocation's outgoing connection failed."""
        self._perform(self._server.peer_unreachable(connection_id))

    def peer_arrived(self, allocation: int, peer: Address) -> int | None:
        """Take a peer's connection; return its CONNECTION-ID, or None to close it."""
        connection_id, outputs = self._server.peer_arrived(allocation, peer, self._clock())
        self._perform(outputs)
        return connection_id

    def connection_closed(self, connection_id: int) -> None:
        """Take note that a TCP allocation's peer connection is gone."""
        self._server.connection_closed(connection_id)

    def close_all(self) -> None:
        """End every allocation, as the server stops."""
        self._perform(self._server.close_all(self._clock()))

    def _guard(self, five_tuple: FiveTuple, step: Callable[[float], Iterable[Output]]) -> None:
        """Let the core take a step; an error of ours ends that client's session alone."""
        now = self._clock()
        try:
            self._perform(step(now))
        except Exception:
            self._fail(five_tuple, now)

    def _fail(self, five_tuple: FiveTuple, now: float) -> None:
        log.exception("session-failed", client=str(five_tuple))
        self._perform(self._server.fail(five_tuple, now))

    def _perform(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            if isinstance(output, Transmit):
                self._datapath.send_to_client(
                    output.data,
                    output.five_tuple,
                    source=output.source,
                    destination=output.destination,
                )
            elif isinstance(output, LoadCredential):
                self._start_loading(output)
            elif isinstance(output, CloseClient):
                self._close_client(output.five_tuple)
            elif isinstance(output, StepFailed):
                log.error("session-failed", exc_info=output.error)
            else:
                self._observe(output)
                if isinstance(output, AllocationClosed) and not self._server.allocation_count:
                    self._links.on_idle()
        self._set_timer()

    def _close_client(self, five_tuple: FiveTuple) -> None:
        if five_tuple.transport.is_stream:
            self._links.close_stream(five_tuple)
        else:
            self._links.dtls.close_client(five_tuple)

    def _observe(self, output: Output) -> None:
        for observer in self._links.observers:
            observer.handle(output)

    def _start_loading(self, wanted: LoadCredential) -> None:
        load = _Load(wanted)
        try:
            self._loads.send_nowait(load)
        except trio.WouldBlock:
            self._observe(RequestDropped(wanted.five_tuple, "store-busy"))
        else:
            self._waiting.add(load)

    async def _load_credentials(self) -> None:
        async for load in self._loads_in:
            wanted = load.wanted
            await self.source.load(wanted.realm, wanted.username, wanted.userhash)
            self._waiting.discard(load)
            if not load.abandoned:
                self._retry(wanted)

    def _retry(self, wanted: LoadCredential) -> None:
        def step(now: float) -> list[Output]:
            outputs = self._server.receive(wanted.data, wanted.five_tuple, now)
            if any(isinstance(output, LoadCredential) for output in outputs):
                # Loaded, and not there: the store's cache is under siege. Once is enough.
                return [RequestDropped(wanted.five_tuple, "store-busy")]
            return outputs

        self._guard(wanted.five_tuple, step)

    def _set_timer(self) -> None:
        deadline = self._server.next_deadline()
        if deadline is not None and deadline < self._timer_deadline:
            self._timer.cancel()  # `_keep_time` looks again

    async def _keep_time(self) -> None:
        while True:
            deadline = self._server.next_deadline()
            self._timer_deadline = math.inf if deadline is None else deadline
            # The clock need not be trio's: an engine in C goes by the system's.
            wait = max(self._timer_deadline - self._clock(), 0)
            with trio.move_on_after(wait) as self._timer:
                await trio.sleep_forever()
            try:
                self._perform(self._server.on_deadline(self._clock()))
            except Exception:
                # What failed is not tried again.
                log.exception("timer-failed")
