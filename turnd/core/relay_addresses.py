"""Which relayed transport addresses are free and taken (RFC 8656 §7.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from stun import Address, ErrorCode, Family
from turnd.core.port_pool import PortPool, RandomBelow
from turnd.core.request import RejectionError
from turnd.core.settings import RelayIp, Settings
from turnd.core.tables import RelayedAddress, RelayUnavailableError

_TRIES = 16
"""Ports tried when other programs sit on some of the range."""

Open = Callable[[RelayedAddress], None]
OnAddress = Callable[[Address], None]


class RelayAddresses:
    """Pools of ports per relay IP address, and what was taken from them."""

    def __init__(self, settings: Settings, random_below: RandomBelow) -> None:
        self._random_below = random_below
        self._in_use: set[Address] = set()
        self.reconfigure(settings)

    def reconfigure(self, settings: Settings) -> None:
        """Offer other addresses or ports; what is in use stays in use."""
        self._relay_ips = tuple(settings.relay_ips)
        low, high = settings.relay_ports
        self._pools = {
            relay.local: PortPool(low, high, self._random_below) for relay in self._relay_ips
        }
        for address in self._in_use:
            pool = self._pools.get(address.packed)
            if pool is not None:
                pool.take_this(address.port)

    def open(
        self,
        family: Family,
        server_ip: bytes,
        open_relay: Open,
        *,
        even: bool = False,
        shared: Callable[[bytes], Address | None] | None = None,
    ) -> RelayedAddress:
        """Take a random port and open a relay on it with `open_relay`.

        Args:
            family: of the relay.
            server_ip: packed IP address the client talks to.
            open_relay: opens it.
            even: take an even port.
            shared: finds the relay to share on a local IP address; None for one's own.

        Raises:
            RejectionError: 508 when no port could be opened, 440 without that family.

        """
        refusal = "no relay port is free"
        for relay, pool in self._candidates(family, server_ip):
            there = shared(relay.local) if shared else None
            if there is not None:
                relayed = _relayed(relay, there.port, shared=True)
                try:
                    open_relay(relayed)
                except RelayUnavailableError as error:
                    raise RejectionError(ErrorCode.INSUFFICIENT_CAPACITY, str(error)) from error
                return relayed
            for _ in range(_TRIES):
                port = pool.take_even(with_next=False) if even else pool.take()
                if port is None:
                    break
                relayed = _relayed(relay, port, shared=shared is not None)
                try:
                    open_relay(relayed)
                except BaseException as error:
                    pool.give_back(port)
                    if not isinstance(error, RelayUnavailableError):
                        raise
                    refusal = str(error)
                    if not error.in_use:
                        break  # not this port, but this IP address, or every one
                else:
                    self._in_use.add(relayed.local)
                    return relayed
        raise RejectionError(ErrorCode.INSUFFICIENT_CAPACITY, refusal)

    def open_pair(
        self,
        family: Family,
        server_ip: bytes,
        open_relay: Open,
        hold: tuple[OnAddress, OnAddress],
    ) -> tuple[RelayedAddress, RelayedAddress]:
        """Open a relay on an even port and reserve the next-higher one (EVEN-PORT with R).

        Args:
            family: of the relay.
            server_ip: packed IP address the client talks to.
            open_relay: opens the even port.
            hold: reserves the odd port, and lets it go.

        Returns:
            the opened and the reserved address.

        Raises:
            RejectionError: 508 when there is no such pair, 440 without that family.

        """
        reserve, release = hold
        for relay, pool in self._candidates(family, server_ip):
            for _ in range(_TRIES):
                port = pool.take_even(with_next=True)
                if port is None:
                    break
                first, second = _relayed(relay, port), _relayed(relay, port + 1)
                try:
                    reserve(second.local)
                    open_relay(first)
                except RelayUnavailableError:
                    release(second.local)
                    pool.give_back(port)
                    pool.give_back(port + 1)
                    continue
                self._in_use |= {first.local, second.local}
                return first, second
        raise RejectionError(ErrorCode.INSUFFICIENT_CAPACITY, "no pair of relay ports is free")

    def give_back(self, relayed: RelayedAddress) -> None:
        """Make an address free again; a second time nothing happens."""
        if relayed.shared or relayed.local not in self._in_use:
            return
        self._in_use.discard(relayed.local)
        pool = self._pools.get(relayed.local.packed)
        if pool is not None:
            pool.give_back(relayed.local.port)

    def _candidates(self, family: Family, server_ip: bytes) -> Iterator[tuple[RelayIp, PortPool]]:
        relays = [relay for relay in self._relay_ips if relay.family is family]
        if not relays:
            raise RejectionError(
                ErrorCode.ADDRESS_FAMILY_NOT_SUPPORTED, f"no relay address is {family.name}"
            )
        # The address the client already talks to is the one it can surely reach.
        own = (i for i, relay in enumerate(relays) if relay.local == server_ip)
        start = next(own, None)
        if start is None:
            start = self._random_below(len(relays)) if len(relays) > 1 else 0
        for relay in _rotated(relays, start):
            yield relay, self._pools[relay.local]


def _rotated(relays: list[RelayIp], start: int) -> Iterable[RelayIp]:
    return relays[start:] + relays[:start]


def _relayed(relay: RelayIp, port: int, *, shared: bool = False) -> RelayedAddress:
    local, public = Address(relay.local, port), Address(relay.public, port)
    return RelayedAddress(local, public, shared=shared)
