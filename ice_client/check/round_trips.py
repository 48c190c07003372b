"""What a series of round trips amounts to: percentiles, jitter, packets overtaken."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from ice_client.check.network_results import RoundTrips

MOST_SERIES = 500
"""Round trips kept one by one, for the plot."""


def overtaken(order: Sequence[int]) -> int:
    """Count the packets that came after one that was sent later (RFC 4737 §3)."""
    highest, count = -1, 0
    for number in order:
        if number < highest:
            count += 1
        highest = max(highest, number)
    return count


def percentile(values: Sequence[float], part: float) -> float | None:
    """Return the smallest value that `part` (0 to 1) of the values do not exceed."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(math.ceil(part * len(ordered)) - 1, 0)]


def jitter(times: Sequence[float]) -> float | None:
    """Return the interarrival jitter of RFC 3550 §6.4.1, of round trips: seconds."""
    if len(times) < 2:
        return None
    value = 0.0
    for before, after in itertools.pairwise(times):
        value += (abs(after - before) - value) / 16
    return value


def summarise(times: Sequence[float | None], reordered: int = 0) -> RoundTrips:
    """Return what is said of a series of round trips; None stands for a lost one."""
    came = [each for each in times if each is not None]
    return RoundTrips(
        sent=len(times),
        received=len(came),
        p50=percentile(came, 0.50),
        p95=percentile(came, 0.95),
        p99=percentile(came, 0.99),
        jitter=jitter(came),
        reordered=reordered,
        series=tuple(times[:MOST_SERIES]),
    )
