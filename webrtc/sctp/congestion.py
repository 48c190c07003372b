"""The congestion window (RFC 9260 §7.2). Sizes are bytes of user data."""

from __future__ import annotations

from webrtc.sctp.settings import Settings


class CongestionWindow:
    """How much may be on its way.

    Args:
        settings: the first window.
        payload: user data that fits one packet, the RFC's PMDCS.

    Attributes:
        size: cwnd.
        threshold: ssthresh.
        recovery_until: the TSN that ends fast recovery, None outside of it.

    """

    __slots__ = (
        "_idle_since",
        "_partial",
        "_used_up",
        "payload",
        "recovery_until",
        "size",
        "threshold",
    )

    def __init__(self, settings: Settings, payload: int) -> None:
        self.payload = payload
        self.size = settings.initial_window * payload
        # §7.2.1 lets it start arbitrarily high.
        self.threshold = 1 << 40
        self.recovery_until: int | None = None
        self._partial = 0
        self._used_up = False
        self._idle_since: float | None = None

    def sent(self, flight: int) -> None:
        """Note how much is in flight when nothing more is sent for now. Hot."""
        # One packet of slack: what is sent comes in whole fragments.
        self._used_up = flight + self.payload > self.size

    def acknowledged(self, acked: int, everything: bool) -> None:
        """Grow after a SACK that advanced the cumulative TSN ack point. Hot.

        Args:
            acked: bytes that the SACK acknowledged for the first time.
            everything: whether nothing is in flight any more.

        """
        # A window that was not used up was not tried, so nothing is learned of it (§7.2.1). The
        # RFC looks at what was in flight before this SACK; when several are read before
        # anything is sent, all but the first would find room and teach nothing.
        used_up = self._used_up
        if self.size <= self.threshold:
            if used_up and self.recovery_until is None:
                # §7.2.1 counts one packet for a SACK, for peers that acknowledge every second.
                # Ours may be fewer, for several packets taken from a socket at once, so up to
                # max_burst's worth counts (RFC 3465 §2.2's L): bursts are limited elsewhere.
                self.size += min(acked, 4 * self.payload)
        else:
            self._partial += acked
            if self._partial >= self.size:
                if used_up:
                    self._partial -= self.size
                    self.size += self.payload
                else:
                    self._partial = self.size
        if everything:
            self._partial = 0

    def lost(self, highest_outstanding: int) -> None:
        """Halve, once per window, for what duplicate SACKs told (§7.2.3, §7.2.4)."""
        if self.recovery_until is not None:
            return
        self.threshold = max(self.size // 2, 4 * self.payload)
        self.size = self.threshold
        self._partial = 0
        self.recovery_until = highest_outstanding

    def timed_out(self) -> None:
        """Start over (§7.2.3)."""
        self.threshold = max(self.size // 2, 4 * self.payload)
        self.size = self.payload
        self._partial = 0
        self.recovery_until = None

    def advanced_to(self, cumulative_tsn: int) -> None:
        """Leave fast recovery when all that was outstanding at its start is acknowledged."""
        if self.recovery_until is not None and cumulative_tsn >= self.recovery_until:
            self.recovery_until = None

    def went_idle(self, now: float) -> None:
        """Note that nothing is left to acknowledge."""
        self._idle_since = now

    def resumed(self, now: float, rto: float) -> None:
        """Halve for every timeout spent idle (§7.2.1): what was true of the path then is stale."""
        if self._idle_since is None:
            return
        idle = now - self._idle_since
        self._idle_since = None
        least = 4 * self.payload
        while idle > rto and self.size > least:
            self.size = max(self.size // 2, least)
            idle -= rto
