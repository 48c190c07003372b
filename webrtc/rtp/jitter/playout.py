"""When to play what was stamped with an RTP timestamp: an adaptive delay above the fastest packets.

Arrival minus timestamp is constant but for jitter and the drift of clocks. The least of the last
seconds is the path without its jitter; what most packets need above it is the delay.
"""

from __future__ import annotations

BUCKET = 0.005
"""Seconds of a step of the histogram."""
BUCKETS = 400
"""Two seconds: later than that is lost."""
QUANTILE = 0.97
"""Of packets that arrive in time: the others are concealed, or shift what follows."""
FORGET = 0.998
"""Per packet: half of the weight is on the last 350."""
WINDOW = 10.0
"""Seconds that a least transit time counts, so that drift is followed either way."""
RESET_AFTER = 3.0
"""Seconds of change in transit time that are no jitter: the sender's clock was set."""
SHRINK_RATE = 0.05
"""Seconds per second that the delay may shrink: played 5 % faster nobody hears it."""
_RENORMALISE = 1e30


class PlayoutClock:
    """Maps one stream's unwrapped timestamps to local time.

    Attributes:
        clock_rate: of the timestamps.
        min_delay: seconds that are always waited.
        max_delay: seconds that are never exceeded, synchronisation aside.
        extra_delay: seconds that synchronisation adds (`Synchroniser`).

    """

    def __init__(self, clock_rate: int, min_delay: float = 0.0, max_delay: float = 1.0) -> None:
        self.clock_rate = clock_rate
        self.min_delay = min_delay
        self.max_delay = max_delay
        self.extra_delay = 0.0
        self._delay = min_delay
        self._delay_at: float | None = None
        self._least: float | None = None
        self._least_now = 0.0
        self._window_began = 0.0
        self._histogram = [0.0] * BUCKETS
        self._weight = 1.0
        self._total = 0.0

    @property
    def is_running(self) -> bool:
        """Whether a packet came yet."""
        return self._least is not None

    @property
    def base(self) -> float:
        """Local time of timestamp 0, if nothing had jitter."""
        return self._least if self._least is not None else 0.0

    @property
    def delay(self) -> float:
        """Seconds that are waited for jitter, without what synchronisation adds."""
        return self._delay

    @property
    def target_delay(self) -> float:
        """Seconds that the last packets needed."""
        enough = QUANTILE * self._total
        below = 0.0
        for index, weight in enumerate(self._histogram):
            below += weight
            if below >= enough:
                # A packet in the lowest step had no jitter to speak of.
                needed = (index + 1) * BUCKET if index else 0.0
                return min(max(needed, self.min_delay), self.max_delay)
        return self.min_delay

    def observe(self, timestamp: int, now: float) -> None:
        """Take an arrival. Runs per packet of audio, per frame of video."""
        transit = now - timestamp / self.clock_rate
        least = self._least
        if least is None or abs(transit - least) > RESET_AFTER:
            self._reset(transit, now)
            least = transit
        elif transit < least:
            least = transit
        self._least_now = min(self._least_now, transit)
        if now - self._window_began > WINDOW:
            # The least of the last whole window: a path that grew longer is followed in time.
            least = self._least_now
            self._least_now = transit
            self._window_began = now
        self._least = least
        late = max(transit - least, 0.0)
        self._weight /= FORGET
        self._histogram[min(int(late / BUCKET), BUCKETS - 1)] += self._weight
        self._total += self._weight
        if self._weight > _RENORMALISE:
            self._histogram = [weight / self._weight for weight in self._histogram]
            self._total /= self._weight
            self._weight = 1.0

    def _reset(self, transit: float, now: float) -> None:
        self._least_now = transit
        self._window_began = now
        self._histogram = [0.0] * BUCKETS
        self._weight, self._total = 1.0, 0.0
        self._delay = self.min_delay
        self._delay_at = None

    def adapt(self, now: float) -> None:
        """Move the delay towards what is needed: up at once, down slowly."""
        target = self.target_delay
        if target >= self._delay or self._delay_at is None:
            self._delay = target
        else:
            self._delay = max(target, self._delay - SHRINK_RATE * (now - self._delay_at))
        self._delay_at = now

    def playout_time(self, timestamp: int) -> float:
        """Return when to play this timestamp."""
        return self.base + timestamp / self.clock_rate + self._delay + self.extra_delay
