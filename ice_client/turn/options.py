"""What to ask a server for in Allocate (RFC 8656 §7.1, RFC 6062 §4.1, RFC 8016 §3.1)."""

from __future__ import annotations

import attrs

from stun import Address, Family, RawAttribute
from stun import attributes as a

UDP = 17
TCP = 6
"""REQUESTED-TRANSPORT's numbers: those of the IP header."""


@attrs.frozen(slots=True, kw_only=True)
class AllocateOptions:
    """What kind of allocation is wanted.

    Attributes:
        tcp: relay TCP connections (RFC 6062), not datagrams.
        lifetime: seconds to ask for; None leaves it to the server.
        family: of the relayed address; None for the server's choice, IPv4.
        both_families: ask for an IPv4 and an IPv6 relayed address (RFC 8656 §7.1).
        even_port: ask for an even port.
        reserve_next: with it, reserve the next-higher port for another allocation.
        reservation_token: take the port that another allocation has reserved.
        dont_fragment: ask for an allocation that can set DF on what it sends.
        mobility: ask for a ticket to move to another address with (RFC 8016).

    """

    tcp: bool = False
    lifetime: int | None = None
    family: Family | None = None
    both_families: bool = False
    even_port: bool = False
    reserve_next: bool = False
    reservation_token: bytes | None = attrs.field(default=None, repr=False)
    dont_fragment: bool = False
    mobility: bool = False

    def __attrs_post_init__(self) -> None:
        # RFC 8656 §7.1: what excludes what; a server would answer 400.
        if self.reservation_token is not None and (
            self.even_port or self.reserve_next or self.both_families or self.family is not None
        ):
            raise ValueError("a reservation token excludes families and even ports")
        if self.both_families and (self.even_port or self.reserve_next or self.family is not None):
            raise ValueError("both families exclude one family and even ports")
        if self.tcp and (
            self.even_port or self.reserve_next or self.dont_fragment or self.mobility
        ):
            raise ValueError("a TCP allocation has no even port, DF or mobility (RFC 6062 §4.1)")

    def attributes(self) -> list[RawAttribute]:
        """Return Allocate's attributes."""
        attributes = [a.REQUESTED_TRANSPORT.of(TCP if self.tcp else UDP)]
        if self.lifetime is not None:
            attributes.append(a.LIFETIME.of(self.lifetime))
        if self.family is not None:
            attributes.append(a.REQUESTED_ADDRESS_FAMILY.of(self.family))
        if self.both_families:
            # RFC 8656 §7.1: IPv6 is the only value it may have.
            attributes.append(a.ADDITIONAL_ADDRESS_FAMILY.of(Family.IPV6))
        if self.even_port or self.reserve_next:
            attributes.append(a.EVEN_PORT.of(self.reserve_next))
        if self.reservation_token is not None:
            attributes.append(a.RESERVATION_TOKEN.of(self.reservation_token))
        if self.dont_fragment:
            attributes.append(a.DONT_FRAGMENT.of(True))
        if self.mobility:
            attributes.append(a.MOBILITY_TICKET.of(b""))
        return attributes


def peer_attribute(peer: Address, transaction_id: bytes) -> RawAttribute:
    """Return XOR-PEER-ADDRESS."""
    return a.XOR_PEER_ADDRESS.of(peer, transaction_id)
