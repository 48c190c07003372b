"""Taking ranges of addresses out of a range."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from turnd.config.values import AddressRange


def subtract(whole: AddressRange, holes: Iterable[AddressRange]) -> list[str]:
    """Return what is left of `whole`, as ranges in text; `whole` as it is if nothing goes."""
    size = len(whole.first)
    pieces = [(_number(whole.first), _number(whole.last))]
    for hole in holes:
        if len(hole.first) == size:
            low, high = _number(hole.first), _number(hole.last)
            pieces = [part for piece in pieces for part in _cut(piece, low, high)]
    if pieces == [(_number(whole.first), _number(whole.last))]:
        return [str(whole)]
    return [_text(first, last, size) for first, last in pieces]


def _cut(piece: tuple[int, int], low: int, high: int) -> list[tuple[int, int]]:
    first, last = piece
    if high < first or low > last:
        return [piece]
    left = [(first, low - 1)] if first < low else []
    right = [(high + 1, last)] if high < last else []
    return left + right


def _number(packed: bytes) -> int:
    return int.from_bytes(packed, "big")


def _text(first: int, last: int, size: int) -> str:
    low, high = (ipaddress.ip_address(number.to_bytes(size, "big")) for number in (first, last))
    return str(low) if low == high else f"{low}-{high}"
