"""The audio jitter buffer: each packet at its time, the missing ones counted."""

from __future__ import annotations

from webrtc.rtp.jitter.frame import EncodedFrame
from webrtc.rtp.jitter.playout import PlayoutClock
from webrtc.rtp.packet import RtpPacket

MAX_PACKETS = 256
"""Five seconds of 20 ms."""
MAX_JUMP = 1000
"""Packets; a jump by more is a stream that began anew."""
MIN_DELAY = 0.02
MAX_DELAY = 1.0


class AudioJitterBuffer:
    """Of one stream.

    Attributes:
        clock: when to play.
        late: packets that came after their time.
        lost: packets that did not come before it.
        overflowed: packets that the full buffer gave up.

    """

    def __init__(self, clock_rate: int, max_packets: int = MAX_PACKETS) -> None:
        self.clock = PlayoutClock(clock_rate, MIN_DELAY, MAX_DELAY)
        self._max_packets = max_packets
        self._packets: dict[int, tuple[RtpPacket, int, float]] = {}
        self._next: int | None = None
        self.late = 0
        self.lost = 0
        self.overflowed = 0

    def __len__(self) -> int:
        return len(self._packets)

    def insert(self, packet: RtpPacket, number: int, timestamp: int, now: float) -> None:
        """Take a packet; `number` and `timestamp` are unwrapped. Runs per packet."""
        if packet.payload:  # the others are padding: a probe of the sender's
            self.clock.observe(timestamp, now)
            self.clock.adapt(now)
            if self._next is not None and number < self._next <= number + MAX_JUMP:
                self.late += 1
            else:
                self.insert_redundant(packet, number, timestamp, now)

    def insert_redundant(self, packet: RtpPacket, number: int, timestamp: int, now: float) -> None:
        """Take a copy that came inside a later packet: its arrival tells nothing of jitter."""
        if self._next is not None and abs(number - self._next) > MAX_JUMP:
            self._packets.clear()
            self._next = None
        if number in self._packets or (self._next is not None and number < self._next):
            return
        self._packets[number] = packet, timestamp, now
        if len(self._packets) > self._max_packets:
            oldest = min(self._packets)
            del self._packets[oldest]
            self._next = oldest + 1
            self.overflowed += 1

    def next_deadline(self) -> float | None:
        """Return when the next packet is to be played."""
        if not self._packets:
            return None
        return self.clock.playout_time(self._packets[min(self._packets)][1])

    def take(self, now: float) -> list[EncodedFrame]:
        """Return the packets whose time has come, in order."""
        frames: list[EncodedFrame] = []
        while self._packets:
            number = min(self._packets)
            packet, timestamp, received_at = self._packets[number]
            playout_at = self.clock.playout_time(timestamp)
            if playout_at > now:
                break
            del self._packets[number]
            missing = 0 if self._next is None else number - self._next
            self.lost += missing
            self._next = number + 1
            frames.append(
                EncodedFrame(
                    data=packet.payload,
                    timestamp=packet.timestamp,
                    payload_type=packet.payload_type,
                    playout_at=playout_at,
                    received_at=received_at,
                    lost_before=missing,
                )
            )
        return frames
