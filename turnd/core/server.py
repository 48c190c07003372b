"""The TURN server as one object without I/O: a request and a time in, outputs out.

What becomes of a request is `Dispatcher`'s; here is what it works with, and everything that
happens without one. Packets do not come here: the engine relays them by the tables.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from stun import Address
from stun import attributes as a
from stun.credentials import SecurityFeature
from turnd.core.authentication import Authenticator
from turnd.core.challenge import Challenge
from turnd.core.credentials import CredentialSource
from turnd.core.dispatcher import Dispatcher
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.core.nonce import NonceMaker
from turnd.core.outputs import CloseClient, Output, StepFailed
from turnd.core.port_pool import RandomBelow
from turnd.core.rate_limit import PrefixRateLimit
from turnd.core.settings import Settings
from turnd.core.state import DeadlineKey, RandomBytes, State
from turnd.core.tables import Tables, TcpRelay
from turnd.core.tcp_allocation import (
    connection_closed,
    connection_due,
    peer_arrived,
    peer_connected,
    peer_unreachable,
)


@attrs.frozen(slots=True, kw_only=True)
class Environment:
    """What a core may not have of its own: time of day and randomness.

    Attributes:
        wall_clock: Unix time in seconds.
        random_bytes: as `secrets.token_bytes`.
        random_below: as `secrets.randbelow`.
        nonce_key: at least 16 secret bytes; the same on every server of a cluster.

    """

    wall_clock: Callable[[], float]
    random_bytes: RandomBytes
    random_below: RandomBelow
    nonce_key: bytes = attrs.field(repr=False)


class TurnServer:
    """A STUN and TURN server.

    Args:
        settings: see `Settings`.
        source: where credentials are.
        tables: the engine that relays.
        tcp_relay: peer connections of TCP allocations.
        environment: clock and randomness.
        now: monotonic seconds.

    """

    def __init__(
        self,
        settings: Settings,
        source: CredentialSource,
        tables: Tables,
        tcp_relay: TcpRelay,
        environment: Environment,
        now: float,
    ) -> None:
        self._environment = environment
        self._source = source
        self._state = State(
            settings, tables, tcp_relay, environment.random_bytes, environment.random_below
        )
        self._configure(settings, now)

    def reconfigure(self, settings: Settings, source: CredentialSource, now: float) -> None:
        """Put other settings and credentials in force; allocations live on."""
        self._source = source
        self._state.settings = settings
        self._state.addresses.reconfigure(settings)
        self._configure(settings, now)

    def _configure(self, settings: Settings, now: float) -> None:
        self._settings = settings
        features = SecurityFeature.NONE
        if settings.password_algorithms:
            features = SecurityFeature.PASSWORD_ALGORITHMS
            if settings.username_anonymity:
                features |= SecurityFeature.USERNAME_ANONYMITY
        environment = self._environment
        _, algorithms = a.PASSWORD_ALGORITHMS.of(tuple(settings.password_algorithms))
        nonces = NonceMaker(
            environment.nonce_key, settings.lifetimes.nonce, features, covers=algorithms
        )
        self._authenticator = Authenticator(settings, self._source, nonces)
        rate_limit = PrefixRateLimit(
            settings.unauthenticated_rate,
            settings.unauthenticated_burst,
            environment.nonce_key,
            now,
        )
        self._dispatcher = Dispatcher(
            settings, self._state, self._authenticator, rate_limit, environment.wall_clock
        )

    @property
    def allocation_count(self) -> int:
        """How many allocations there are."""
        return len(self._state.allocations)

    def has_allocation(self, five_tuple: FiveTuple) -> bool:
        """Whether that client holds an allocation."""
        return self._state.allocation_of(five_tuple) is not None

    def challenge(self) -> Challenge | None:
        """Return what a stranger's Allocate over UDP is answered with; None if it is not asked."""
        if not self._settings.authenticate:
            return None
        return self._authenticator.template()

    def receive(self, data: bytes, five_tuple: FiveTuple, now: float) -> list[Output]:
        """Take a message from a client.

        Args:
            data: one whole STUN message, as it came.
            five_tuple: where it came from.
            now: monotonic seconds.

        """
        return self._dispatcher.receive(data, five_tuple, now)

    def client_gone(self, five_tuple: FiveTuple, now: float) -> list[Output]:
        """Take note that a client's stream or DTLS session ended.

        Its allocation ends with it (RFC 8656 §3.1), unless a mobility ticket lets the
        client come back (RFC 8016 §3.1).
        """
        allocation = self._state.allocation_of(five_tuple)
        if allocation is None:
            return []
        if allocation.ticket:
            allocation.client_gone = True
            return []
        return self._state.close(allocation, "client-gone", now)

    def fail(self, five_tuple: FiveTuple, now: float) -> list[Output]:
        """End a client's session after an error of our own: its allocation and its stream."""
        allocation = self._state.allocation_of(five_tuple)
        outputs = self._state.close(allocation, "failed", now) if allocation else []
        if five_tuple.transport is not Transport.UDP:
            outputs.append(CloseClient(five_tuple))
        return outputs

    def close_all(self, now: float) -> list[Output]:
        """End every allocation, as the server stops."""
        return [
            output
            for allocation in self._state.allocations
            for output in self._state.close(allocation, "shutdown", now)
        ]

    def next_deadline(self) -> float | None:
        """Return when `on_deadline` is due at the latest, monotonic seconds; None for never."""
        return self._state.deadlines.next()

    def on_deadline(self, now: float) -> list[Output]:
        """End what has run out."""
        outputs: list[Output] = []
        for key in self._state.deadlines.pop_due(now):
            try:
                outputs += self._end(key, now)
            except Exception as error:  # must not keep the others alive for ever
                outputs.append(StepFailed(error))
        return outputs

    def _end(self, key: DeadlineKey, now: float) -> list[Output]:
        if key[0] == "relay":
            return self._state.end_family(key[1], key[2], now)
        if key[0] == "reservation":
            self._state.end_reservation(key[1])
            return []
        return connection_due(self._state, key[1])

    def peer_connected(self, connection_id: int, now: float) -> list[Output]:
        """Take note that a Connect's connection stands (RFC 6062 §5.2)."""
        done = peer_connected(self._state, connection_id, now)
        return self._dispatcher.succeed(*done) if done else []

    def peer_unreachable(self, connection_id: int) -> list[Output]:
        """Take note that a Connect's connection failed or timed out."""
        failed = peer_unreachable(self._state, connection_id)
        return self._dispatcher.reject(*failed) if failed else []

    def peer_arrived(
        self, allocation: int, peer: Address, now: float
    ) -> tuple[int | None, list[Output]]:
        """Take a peer's connection to a relayed transport address (RFC 6062 §5.3).

        Returns:
            its CONNECTION-ID, or None when it must be closed; and what to do.

        """
        return peer_arrived(self._state, allocation, peer, now)

    def connection_closed(self, connection_id: int) -> None:
        """Take note that a peer connection is gone."""
        connection_closed(self._state, connection_id)
