"""What a receiver counts of one source: loss and jitter for report blocks (RFC 3550 §6.4, A.1-A.8).

Sequence numbers arrive unwrapped; the source is one that the demultiplexer knows, so the probation
of appendix A.1 is not needed: SRTP has vouched for the packet.
"""

from __future__ import annotations

from webrtc.rtp.rtcp import ReportBlock

MAX_PACKETS_LOST = (1 << 23) - 1
"""RFC 3550 §6.4.1: the count is clamped, it does not wrap."""


class ReceptionStatistics:
    """Of one source.

    Attributes:
        packets_received: duplicates included, as RFC 3550 has it.
        bytes_received: of payload.
        jitter: in timestamp units.

    """

    __slots__ = (
        "_clock_rate",
        "_expected_before",
        "_first",
        "_highest",
        "_last_report",
        "_last_report_at",
        "_received_before",
        "_ssrc",
        "_transit",
        "bytes_received",
        "jitter",
        "packets_received",
    )

    def __init__(self, ssrc: int, clock_rate: int) -> None:
        self._ssrc = ssrc
        self._clock_rate = clock_rate
        self._first: int | None = None
        self._highest = 0
        self._transit: float | None = None
        self._expected_before = 0
        self._received_before = 0
        self._last_report = 0
        self._last_report_at = 0.0
        self.packets_received = 0
        self.bytes_received = 0
        self.jitter = 0.0

    @property
    def packets_lost(self) -> int:
        """Expected and not received; late and duplicate packets count as received."""
        if self._first is None:
            return 0
        return self._highest - self._first + 1 - self.packets_received

    def receive(self, number: int, timestamp: int, size_bytes: int, now: float) -> None:
        """Count a packet; `number` is its unwrapped sequence number. Runs per packet."""
        self.packets_received += 1
        self.bytes_received += size_bytes
        if self._first is None:
            self._first = self._highest = number
        elif number > self._highest:
            self._highest = number
        elif number < self._first:
            self._first = number  # the stream began with packets out of order
        # A.8; modulo 2^32, since the timestamp has a random origin and wraps.
        transit = now * self._clock_rate - timestamp
        if self._transit is not None:
            change = (transit - self._transit + 0x80000000) % 0x100000000 - 0x80000000
            self.jitter += (abs(change) - self.jitter) / 16
        self._transit = transit

    def receive_sender_report(self, compact_time: int, now: float) -> None:
        """Note the SR that the next blocks refer to."""
        self._last_report = compact_time
        self._last_report_at = now

    def report(self, now: float) -> ReportBlock | None:
        """Return a block on what came since the last; None before any packet came."""
        if self._first is None:
            return None
        expected = self._highest - self._first + 1
        expected_interval = expected - self._expected_before
        lost_interval = expected_interval - (self.packets_received - self._received_before)
        self._expected_before = expected
        self._received_before = self.packets_received
        # A.3: duplicates can make it negative, which the fraction cannot say.
        fraction = 0
        if expected_interval > 0 and lost_interval > 0:
            fraction = min((lost_interval << 8) // expected_interval, 255)
        delay = round((now - self._last_report_at) * 65536) if self._last_report else 0
        return ReportBlock(
            ssrc=self._ssrc,
            fraction_lost=fraction,
            packets_lost=max(min(self.packets_lost, MAX_PACKETS_LOST), -MAX_PACKETS_LOST - 1),
            # Unwrapping begins one cycle up; the wire counts cycles from none.
            highest_sequence_number=(self._highest - 0x10000) & 0xFFFFFFFF,
            jitter=min(round(self.jitter), 0xFFFFFFFF),
            last_sender_report=self._last_report,
            delay_since_last_sender_report=min(delay, 0xFFFFFFFF),
        )
