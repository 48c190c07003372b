"""The receiver's half of transport-wide congestion control: arrival times, and feedback of them."""

from __future__ import annotations

from webrtc.rtp.rtcp import TransportFeedback
from webrtc.rtp.rtcp.transport_feedback import REFERENCE_TICKS, TICK
from webrtc.rtp.sequence import Unwrapper

MAX_ARRIVALS = 4096
"""Arrivals that wait for feedback."""
MAX_PER_FEEDBACK = 512
"""Packets one message reports on, so that it stays within a datagram."""
INTERVAL = 0.1
"""Seconds between messages, as libwebrtc has it at first."""


class ArrivalRecorder:
    """Arrivals of a transport's packets, whatever their stream.

    Attributes:
        dropped: arrivals that came too late or too many to be reported.

    """

    def __init__(self) -> None:
        self.dropped = 0
        self._unwrapper = Unwrapper()
        self._arrivals: dict[int, float] = {}
        self._next: int | None = None
        self._media_ssrc = 0
        self._feedback_count = 0
        self._deadline: float | None = None

    def receive(self, transport_sequence_number: int, media_ssrc: int, now: float) -> None:
        """Note an arrival. Runs per packet."""
        number = self._unwrapper.unwrap(transport_sequence_number)
        arrivals = self._arrivals
        if len(arrivals) >= MAX_ARRIVALS or (self._next is not None and number < self._next - 500):
            self.dropped += 1
            return
        if number not in arrivals:
            arrivals[number] = now
        self._media_ssrc = media_ssrc
        if self._deadline is None:
            self._deadline = now + INTERVAL

    def next_deadline(self) -> float | None:
        """Return when feedback is due."""
        return self._deadline

    def take_feedback(self, sender_ssrc: int, now: float) -> list[TransportFeedback]:
        """Return the messages that are due."""
        if self._deadline is None or now < self._deadline:
            return []
        self._deadline = None
        messages = []
        numbers = sorted(self._arrivals)
        while numbers:
            message, count = self._message(sender_ssrc, numbers)
            messages.append(message)
            numbers = numbers[count:]
        self._arrivals.clear()
        return messages

    def _message(self, sender_ssrc: int, numbers: list[int]) -> tuple[TransportFeedback, int]:
        """Return a message on the first of these, and on how many."""
        base = numbers[0]
        # What was lost since the last message is reported, too: it begins where that one ended.
        if self._next is not None and self._next <= base < self._next + MAX_PER_FEEDBACK:
            base = self._next
        ticks = round(self._arrivals[numbers[0]] / TICK)
        reference_time = ticks // REFERENCE_TICKS
        before = reference_time * REFERENCE_TICKS
        received = []
        for number in numbers:
            ticks = round(self._arrivals[number] / TICK)
            if not -(1 << 15) <= ticks - before < 1 << 15 or number - base >= MAX_PER_FEEDBACK:
                break
            received.append((number - base, ticks - before))
            before = ticks
        end = base + received[-1][0] + 1
        self._next = end if self._next is None else max(self._next, end)
        feedback_count = self._feedback_count
        self._feedback_count = (feedback_count + 1) & 0xFF
        return TransportFeedback(
            sender_ssrc,
            self._media_ssrc,
            base & 0xFFFF,
            end - base,
            # 24 bits, signed, as the wire has it: the clock's origin is anywhere.
            (reference_time + (1 << 23)) % (1 << 24) - (1 << 23),
            feedback_count,
            tuple(received),
        ), len(received)
