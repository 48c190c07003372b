"""What a bad line does to packets: delay, jitter, loss, reordering, a rate limit with a queue.

`Impairment` says how bad it is, `ImpairedLine` decides for each packet of one direction. It
has neither clock nor packets of its own: it is told when a packet comes and how long it is,
and tells when it arrives. The same seed and packets give the same fate.
"""

from __future__ import annotations

import random

import attrs


@attrs.frozen(slots=True)
class Impairment:
    """One direction of a line.

    Attributes:
        delay: seconds that every packet takes.
        jitter: seconds more at most, drawn evenly for each packet; order is kept.
        loss: the share of packets that is lost, 0 to 1.
        reordering: the share of packets that is held back for `reordering_delay` while those
            behind it overtake.
        reordering_delay: seconds.
        rate_bps: bits a second, IP headers included; 0 for no limit.
        queue_bytes: what waits for its turn at most; a packet beyond it is lost (tail drop).
        largest_bytes: longer packets vanish without a word: a path-MTU black hole. 0 for none.
        seed: of all draws.

    """

    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    reordering: float = 0.0
    reordering_delay: float = 0.01
    rate_bps: float = 0.0
    queue_bytes: int = 64_000
    largest_bytes: int = 0
    seed: int = 0


@attrs.define(slots=True)
class ImpairedLine:
    """One direction of a line at work."""

    impairment: Impairment
    _random: random.Random = attrs.field(init=False)
    _idle_from: float = attrs.field(default=float("-inf"), init=False)
    _latest_arrival: float = attrs.field(default=float("-inf"), init=False)

    def __attrs_post_init__(self) -> None:
        self._random = random.Random(self.impairment.seed)

    def arrival(self, size_bytes: int, now: float) -> float | None:
        """Take a packet: return when it arrives, None if it is lost.

        Args:
            size_bytes: with its IP header.
            now: monotonic seconds, never less than at the packet before.

        """
        with_ = self.impairment
        # All draws for every packet: one lost more must not change the fate of the next.
        lost, held, wobble = (self._random.random() for _ in range(3))
        if with_.largest_bytes and size_bytes > with_.largest_bytes:
            return None
        sent = now
        if with_.rate_bps:
            # Whole bytes: what is left of seconds by subtraction is not exact.
            waiting_bytes = round(max(0.0, self._idle_from - now) * with_.rate_bps / 8)
            if waiting_bytes + size_bytes > with_.queue_bytes:
                return None
            sent = self._idle_from = max(now, self._idle_from) + size_bytes * 8 / with_.rate_bps
        if lost < with_.loss:
            return None
        arrival = sent + with_.delay + wobble * with_.jitter
        if held < with_.reordering:
            return arrival + with_.reordering_delay
        arrival = self._latest_arrival = max(arrival, self._latest_arrival)
        return arrival
