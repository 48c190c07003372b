"""Serial numbers (RFC 1982, RFC 9260 §1.6): TSNs, SSNs, MIDs, request numbers.

Inside this package they never wrap: a number off the wire becomes the integer nearest to one
already known, and comparison is plain comparison. Only encoders cut them down again.
"""

from __future__ import annotations

MASK_16 = 0xFFFF
MASK_32 = 0xFFFFFFFF
_HALF_16 = 0x8000
_HALF_32 = 0x80000000


def unwrap_32(wire: int, near: int) -> int:
    """Return the integer that is `wire` modulo 2**32 and nearest to `near`."""
    return near + ((wire - near + _HALF_32) & MASK_32) - _HALF_32


def unwrap_16(wire: int, near: int) -> int:
    """Return the integer that is `wire` modulo 2**16 and nearest to `near`."""
    return near + ((wire - near + _HALF_16) & MASK_16) - _HALF_16
