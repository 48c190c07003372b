"""An allocation: what a client holds on the server (RFC 8656 §3.2), and all of them by key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import attrs

from stun import Address, Family
from turnd.core.credentials import Credential
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.core.tables import RelayedAddress

K = TypeVar("K")


@attrs.define(slots=True, eq=False)
class Allocation:
    """One allocation; permissions and channels are kept with it, and mirrored in the tables.

    Attributes:
        number: its name towards the tables, never used twice.
        five_tuple: the client, as of now (mobility changes it).
        realm: the realm it was granted in.
        credential: what it was granted by; later requests are checked against it, so
            that a call is not cut when a time-limited credential runs out.
        relayed: one relayed transport address per family.
        deadlines: time-to-expiry per family, monotonic seconds.
        opened_at: monotonic seconds.
        opened_over: the transport the client came over then.
        tcp: whether it relays TCP (RFC 6062).
        permissions: deadline by packed peer IP address.
        channels: peer and deadline by channel number.
        channel_of: channel number by peer.
        ticket: mobility ticket, empty without mobility (RFC 8016).
        used_ticket: the ticket it moved by last, which its client may not know to be used up.
        client_gone: the client's stream closed, mobility keeps the allocation.

    """

    number: int
    five_tuple: FiveTuple
    realm: str
    credential: Credential
    opened_at: float
    opened_over: Transport = attrs.field(init=False)
    relayed: dict[Family, RelayedAddress] = attrs.field(factory=dict)
    deadlines: dict[Family, float] = attrs.field(factory=dict)
    tcp: bool = False
    permissions: dict[bytes, float] = attrs.field(factory=dict)
    channels: dict[int, tuple[Address, float]] = attrs.field(factory=dict)
    channel_of: dict[Address, int] = attrs.field(factory=dict)
    ticket: bytes = b""
    used_ticket: bytes = b""
    client_gone: bool = False

    def __attrs_post_init__(self) -> None:
        self.opened_over = self.five_tuple.transport

    def purge(self, now: float) -> tuple[list[bytes], list[int]]:
        """Forget permissions and channels that ran out.

        Returns:
            the peer IP addresses and channel numbers forgotten, for the tables.

        """
        peers = [ip for ip, deadline in self.permissions.items() if deadline <= now]
        for ip in peers:
            del self.permissions[ip]
        numbers = [number for number, (_, end) in self.channels.items() if end <= now]
        for number in numbers:
            peer, _ = self.channels.pop(number)
            del self.channel_of[peer]
        return peers, numbers

    def forget_family(self, family: Family) -> tuple[list[bytes], list[int]]:
        """Forget one family's relay with its permissions and channels (RFC 8656 §8.1)."""
        del self.relayed[family]
        del self.deadlines[family]
        size = 4 if family is Family.IPV4 else 16
        peers = [ip for ip in self.permissions if len(ip) == size]
        for ip in peers:
            del self.permissions[ip]
        numbers = [n for n, (peer, _) in self.channels.items() if peer.family is family]
        for number in numbers:
            peer, _ = self.channels.pop(number)
            del self.channel_of[peer]
        return peers, numbers


class Allocations:
    """Every allocation, by number, by 5-tuple and by mobility ticket, with what quotas count."""

    def __init__(self) -> None:
        self._by_number: dict[int, Allocation] = {}
        self._by_five_tuple: dict[FiveTuple, Allocation] = {}
        self._by_ticket: dict[bytes, Allocation] = {}
        self._per_realm: dict[str, int] = {}
        self._per_user: dict[tuple[str, str], int] = {}
        self._per_address: dict[bytes, int] = {}
        self._counted: dict[int, bytes] = {}  # the address each one counts for, though it moves
        self._last_number = 0

    def __len__(self) -> int:
        return len(self._by_number)

    def __iter__(self) -> Iterator[Allocation]:
        return iter(list(self._by_number.values()))

    def next_number(self) -> int:
        """Return a number that no allocation has had."""
        self._last_number += 1
        return self._last_number

    def get(self, number: int) -> Allocation | None:
        """Find by number."""
        return self._by_number.get(number)

    def of_client(self, five_tuple: FiveTuple) -> Allocation | None:
        """Find by the client's 5-tuple."""
        return self._by_five_tuple.get(five_tuple)

    def of_ticket(self, ticket: bytes) -> Allocation | None:
        """Find by mobility ticket."""
        return self._by_ticket.get(ticket)

    def add(self, allocation: Allocation) -> None:
        """Take an allocation in and count it."""
        self._by_number[allocation.number] = allocation
        self._by_five_tuple[allocation.five_tuple] = allocation
        if allocation.ticket:
            self._by_ticket[allocation.ticket] = allocation
        address = _site(allocation.five_tuple.client.packed)
        self._counted[allocation.number] = address
        self._count(allocation, address, 1)

    def remove(self, allocation: Allocation) -> None:
        """Let an allocation go, once; a second time nothing happens."""
        if self._by_number.pop(allocation.number, None) is None:
            return
        self._by_five_tuple.pop(allocation.five_tuple, None)
        self._by_ticket.pop(allocation.ticket, None)
        self._by_ticket.pop(allocation.used_ticket, None)
        self._count(allocation, self._counted.pop(allocation.number), -1)

    def move(self, allocation: Allocation, five_tuple: FiveTuple, ticket: bytes) -> None:
        """Give an allocation another client 5-tuple and ticket (RFC 8016)."""
        del self._by_five_tuple[allocation.five_tuple]
        self._by_ticket.pop(allocation.used_ticket, None)
        allocation.five_tuple = five_tuple
        allocation.used_ticket, allocation.ticket = allocation.ticket, ticket
        allocation.client_gone = False
        self._by_five_tuple[five_tuple] = allocation
        self._by_ticket[ticket] = allocation

    def count_in_realm(self, realm: str) -> int:
        """Allocations granted in that realm."""
        return self._per_realm.get(realm, 0)

    def count_of_user(self, realm: str, owner: str) -> int:
        """Allocations of that user."""
        return self._per_user.get((realm, owner), 0)

    def count_of_address(self, packed: bytes) -> int:
        """Allocations made from that client IPv4 address, or from its IPv6 /64."""
        return self._per_address.get(_site(packed), 0)

    def _count(self, allocation: Allocation, address: bytes, change: int) -> None:
        _add(self._per_realm, allocation.realm, change)
        _add(self._per_user, (allocation.realm, allocation.credential.owner), change)
        _add(self._per_address, address, change)


def _site(packed: bytes) -> bytes:
    """Return what one subscriber has: an IPv4 address, or an IPv6 /64 at the least."""
    return packed if len(packed) == 4 else packed[:8]


def _add(counts: dict[K, int], key: K, change: int) -> None:
    count = counts.get(key, 0) + change
    if count:
        counts[key] = count
    else:
        counts.pop(key, None)
