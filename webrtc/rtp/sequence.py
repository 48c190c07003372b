"""Numbers that wrap: sequence numbers (16 bits) and timestamps (32 bits) as growing integers.

Everything behind the parser works on unwrapped numbers, so that only this file knows of wrapping
(RFC 3550 appendix A.1, RFC 1982).
"""

from __future__ import annotations


def forward_distance(first: int, second: int, bits: int = 16) -> int:
    """Return how far `second` is ahead of `first`, negative if behind (RFC 1982 §3.2)."""
    half = 1 << (bits - 1)
    return ((second - first + half) & ((1 << bits) - 1)) - half


class Unwrapper:
    """Turns wrapping numbers into growing ones, by the nearest to the highest seen.

    The first number stays as it is plus one cycle, so that a number just before it stays positive.
    """

    __slots__ = ("_half", "_mask", "highest")

    def __init__(self, bits: int = 16) -> None:
        self._half = 1 << (bits - 1)
        self._mask = (1 << bits) - 1
        self.highest: int | None = None

    def peek(self, value: int) -> int:
        """Return the number unwrapped, without learning from it."""
        highest = self.highest
        if highest is None:
            return value + self._mask + 1
        return highest + ((value - highest + self._half) & self._mask) - self._half

    def unwrap(self, value: int) -> int:
        """Return the number unwrapped; a higher one becomes the reference. Runs per packet."""
        highest = self.highest
        if highest is None:
            self.highest = unwrapped = value + self._mask + 1
            return unwrapped
        unwrapped = highest + ((value - highest + self._half) & self._mask) - self._half
        if unwrapped > highest:
            self.highest = unwrapped
        return unwrapped
