"""How many lines of the log one client may cause by failing alike: logs must not fill a disk."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

import attrs

LINES = 10
WINDOW = 10.0
"""Seconds. A client with a wrong password may try it dozens of times a second."""
MOST_KEYS = 4096


@attrs.define(slots=True)
class _Spent:
    ends_at: float
    lines: int = 0
    unsaid: int = 0


class LineBudget:
    """`LINES` lines in `WINDOW` seconds for each of the `MOST_KEYS` latest keys.

    A key is a client and how it fails.

    Args:
        clock: monotonic seconds.

    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._spent: OrderedDict[Hashable, _Spent] = OrderedDict()

    def take(self, key: Hashable) -> int | None:
        """Ask for a line; return how many were refused since the last one, or None to refuse."""
        now = self._clock()
        spent = self._spent.get(key)
        if spent is None or now >= spent.ends_at:
            unsaid = spent.unsaid if spent is not None else 0
            spent = self._spent[key] = _Spent(now + WINDOW, 0, unsaid)
            self._spent.move_to_end(key)
            if len(self._spent) > MOST_KEYS:
                self._spent.popitem(last=False)
        if spent.lines >= LINES:
            spent.unsaid += 1
            return None
        spent.lines += 1
        unsaid, spent.unsaid = spent.unsaid, 0
        return unsaid
