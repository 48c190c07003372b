"""Which candidates form a pair at all (RFC 8445 §6.1.2.2, RFC 6544 §6.2)."""

from __future__ import annotations

from ice_client.core.candidate import Candidate, Transport
from stun import Address, Family

_LINK_LOCAL_PREFIX = 0xFE80 >> 6
_LINK_LOCAL_BITS = 10


def can_pair(local: Candidate, remote: Candidate) -> bool:
    """Whether a check may be sent from `local`'s base to `remote`.

    Not from a passive TCP candidate: it waits for the peer's connection, and a check that
    comes over it makes the pair (RFC 6544 §6.2).
    """
    return (
        local.component == remote.component
        and local.transport is not Transport.TCP_PASSIVE
        and local.transport.counterpart is remote.transport
        and local.base_address.family is remote.address.family
        and is_link_local(local.base_address) == is_link_local(remote.address)
        and is_destination(remote.address)
    )


def is_link_local(address: Address) -> bool:
    """Whether it is an IPv6 link-local address; the others may not be paired with those."""
    return (
        address.family is Family.IPV6
        and int.from_bytes(address.packed[:2], "big") >> 16 - _LINK_LOCAL_BITS == _LINK_LOCAL_PREFIX
    )


def is_destination(address: Address) -> bool:
    """Whether one host can be reached there: not port 0, not unspecified, not multicast."""
    if address.port == 0 or not any(address.packed):
        return False
    if address.family is Family.IPV4:
        return address.packed[0] < 0xE0
    return address.packed[0] != 0xFF
