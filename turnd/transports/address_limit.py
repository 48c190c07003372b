"""How many connections one source may have: counted by IPv4 address or IPv6 /64."""

from __future__ import annotations

from collections import Counter

from stun import Address


def source_key(address: Address) -> bytes:
    """Return what sources are counted by.

    A single IPv6 host commonly has a whole /64 to pick addresses from (RFC 7721), so
    counting single addresses would count nothing.
    """
    return address.packed if len(address.packed) == 4 else address.packed[:8]


class AddressLimit:
    """Connections per source, up to a bound."""

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self._counts: Counter[bytes] = Counter()

    def acquire(self, address: Address) -> bool:
        """Count one more; False, and nothing counted, when the source is at its bound."""
        key = source_key(address)
        if self._counts[key] >= self.maximum:
            return False
        self._counts[key] += 1
        return True

    def release(self, address: Address) -> None:
        """Give back what a successful `acquire` took."""
        key = source_key(address)
        self._counts[key] -= 1
        if self._counts[key] <= 0:
            del self._counts[key]
