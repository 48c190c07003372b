"""What goes out: new and lost chunks, as the windows allow, and T3-rtx (RFC 9260 §6.1, §6.3)."""

from __future__ import annotations

import math

from webrtc.sctp.chunks import DataFlag, ForwardTsn, IForwardTsn
from webrtc.sctp.congestion import CongestionWindow
from webrtc.sctp.outgoing import OutgoingMessage, SentChunk
from webrtc.sctp.outstanding import Outstanding
from webrtc.sctp.packer import Packer
from webrtc.sctp.packet import COMMON_HEADER_SIZE
from webrtc.sctp.rto import RetransmissionTimeout
from webrtc.sctp.send_queue import DATA_HEADER, SendQueue
from webrtc.sctp.serial import MASK_16, MASK_32, unwrap_32
from webrtc.sctp.settings import Settings

_IMMEDIATE = int(DataFlag.IMMEDIATE)
_REORDERING_PATIENCE = 1.25
"""Round trips after which a packet was overtaken no more but lost (RFC 8985 §6.2 step 4)."""
_NO_ROOM = DATA_HEADER.size + 4


class Outbound:
    """The sending half of an association.

    Args:
        settings: of the association.
        queue: what is to be sent.
        rto: the association's.
        initial_tsn: our first.
        peer_window: the peer's a_rwnd.
        partial_reliability: whether the peer can be told of what is given up.

    Attributes:
        deadline: when T3-rtx runs out, `math.inf` if it does not run.
        retransmitted: chunks sent again, for statistics.

    """

    def __init__(
        self,
        settings: Settings,
        queue: SendQueue,
        rto: RetransmissionTimeout,
        initial_tsn: int,
        peer_window: int,
        partial_reliability: bool,
    ) -> None:
        self._settings = settings
        self._partial_reliability = partial_reliability
        self._rto = rto
        self.queue = queue
        payload = _payload(settings.packet_size)
        self.window = CongestionWindow(settings, payload)
        self.outstanding = Outstanding(initial_tsn, payload)
        self.peer_window = peer_window
        self._released = self.window.size
        self._fast = False
        self._forward_due = False
        self._forwarded: tuple[int, float] | None = None
        self._timed: tuple[int, float] | None = None
        self.deadline = math.inf
        self.retransmitted = 0

    @property
    def is_idle(self) -> bool:
        """Whether everything was sent and acknowledged."""
        return self.queue.is_empty and self.outstanding.is_empty

    @property
    def last_tsn(self) -> int:
        """The last TSN given to a chunk."""
        return self.outstanding.next_tsn - 1

    def set_packet_size(self, size: int) -> None:
        """Count windows in packets of another size."""
        self.window.payload = self.outstanding.payload = _payload(size)

    def on_sack(
        self, wire: int, a_rwnd: int, gaps: tuple[tuple[int, int], ...], now: float
    ) -> bool:
        """Take in a SACK; return whether it acknowledged anything new. Hot."""
        outstanding, window = self.outstanding, self.window
        cumulative = unwrap_32(wire, outstanding.cumulative)
        settled_before = now - (self._rto.smoothed or 0.0) * _REORDERING_PATIENCE
        in_recovery = window.recovery_until is not None
        result = outstanding.acknowledge(cumulative, gaps, in_recovery, settled_before)
        if result is None:
            return False
        timed = self._timed
        if timed is not None and timed[0] <= cumulative:
            self._rto.measured(now - timed[1])
            self._timed = None
        acked, advanced, found_lost = result
        if advanced:
            window.advanced_to(cumulative)
            window.acknowledged(acked, outstanding.flight == 0)
        if found_lost:
            window.lost(outstanding.next_tsn - 1)
            self._fast = True
            self._timed = None
        self.peer_window = max(a_rwnd - outstanding.flight, 0)
        self._released += acked
        if outstanding.is_empty:
            self.deadline = math.inf
            window.went_idle(now)
        elif advanced:
            self.deadline = now + self._rto.seconds
        if outstanding.begins_abandoned:
            self._request_forward(now)
        return acked > 0 or advanced

    def on_timeout(self, now: float) -> None:
        """Take T3-rtx's expiry (§6.3.3)."""
        self._rto.back_off()
        self.outstanding.expire_all()
        self.window.timed_out()
        self._timed = None
        self._fast = False
        self._forwarded = None
        self._request_forward(now)
        self.deadline = now + self._rto.seconds

    @property
    def has_work(self) -> bool:
        """Whether there is something to send, the windows permitting. Hot."""
        return not self.queue.is_empty or self._forward_due or self.outstanding.has_lost

    def fill(self, packer: Packer, now: float) -> None:
        """Put what may be sent now into packets. Hot."""
        if not self.has_work:
            return
        # §6.1 D: Max.Burst, but never below the pace at which packets leave the network, which
        # is what all SACKs since the last time have told.
        burst = max(self._settings.max_burst * self.window.payload, 2 * self._released)
        self._released = 0
        if self.outstanding.is_empty:
            self.window.resumed(now, self._rto.seconds)
        allowed = min(self.window.size, self.outstanding.flight + burst)
        if self.outstanding.has_lost:
            self._retransmit(packer, allowed, now)
        if self._forward_due:
            self._add_forward_tsn(packer, now)
        if not self.queue.is_empty:
            self._send_new(packer, allowed, now)

    def _send_new(self, packer: Packer, allowed: int, now: float) -> None:
        outstanding, queue = self.outstanding, self.queue
        payload = self.window.payload
        tsn = outstanding.next_tsn
        while (flight := outstanding.flight) < allowed:
            # A window below a packet counts as none, lest it be filled with crumbs; but one
            # chunk may always be under way, or a window update lost would be missed forever.
            if self.peer_window < payload and not outstanding.is_empty:
                break
            is_last = flight + payload >= allowed or self.peer_window < 2 * payload
            chunk = queue.next_chunk(packer.room, tsn, now, _IMMEDIATE if is_last else 0)
            if chunk is None:
                if queue.expired is not None:
                    self._give_up(queue.expired, now)
                    queue.expired = None
                    tsn = outstanding.next_tsn
                elif packer.is_fresh:
                    break
                else:
                    packer.close()
                continue
            packer.add(chunk.wire)
            if packer.room < _NO_ROOM:
                packer.close()
            outstanding.sent(chunk, now)
            self.peer_window = max(self.peer_window - chunk.size, 0)
            if self._timed is None:
                self._timed = (tsn, now)
            tsn += 1
        self.window.sent(outstanding.flight)
        if self.deadline == math.inf and not outstanding.is_empty:
            self.deadline = now + self._rto.seconds

    def _retransmit(self, packer: Packer, allowed: int, now: float) -> None:
        outstanding = self.outstanding
        for chunk in outstanding.lost_chunks():
            if self._is_given_up(chunk, now):
                self._give_up(chunk.message, now)
                continue
            if len(chunk.wire) > packer.room and not packer.is_fresh:
                packer.close()
                # §7.2.4 step 3: one packet goes at once, whatever the window.
                self._fast = False
            if outstanding.flight >= allowed and not self._fast:
                break
            packer.add(chunk.wire)
            outstanding.resent(chunk, now)
            self.retransmitted += 1
            if chunk.tsn == outstanding.cumulative + 1 or self.deadline == math.inf:
                self.deadline = now + self._rto.seconds
        self._fast = False

    def _is_given_up(self, chunk: SentChunk, now: float) -> bool:
        if not self._partial_reliability:
            return False
        message = chunk.message
        limit = message.max_retransmits
        return message.expires_at <= now or (limit is not None and chunk.retransmits >= limit)

    def _give_up(self, message: OutgoingMessage, now: float) -> None:
        if not self._partial_reliability:
            message.expires_at = math.inf
            return
        self.outstanding.abandon(message)
        if self.queue.abandon(message):
            self.outstanding.skip_rest(message)
        self._request_forward(now)
        if self.deadline == math.inf:
            self.deadline = now + self._rto.seconds

    def _request_forward(self, now: float) -> None:
        """Have a FORWARD TSN sent if there is news, or the last one was a round trip ago."""
        if not self.outstanding.advance():
            return
        advanced = self.outstanding.advanced
        if self._forwarded is not None:
            last, at = self._forwarded
            if last == advanced and now < at + (self._rto.smoothed or self._rto.seconds):
                return
        self._forward_due = True

    def _add_forward_tsn(self, packer: Packer, now: float) -> None:
        self._forward_due = False
        outstanding = self.outstanding
        if not outstanding.advance():
            return
        self._forwarded = (outstanding.advanced, now)
        tsn = outstanding.advanced & MASK_32
        skips = outstanding.skips()
        if self.queue.interleaving:
            packer.add(
                IForwardTsn(
                    tsn, tuple((sid, bool(u) & 1, number & MASK_32) for sid, u, number in skips)
                ).encode()
            )
        else:
            packer.add(
                ForwardTsn(
                    tsn, tuple((sid, number & MASK_16) for sid, u, number in skips if not u)
                ).encode()
            )


def _payload(packet_size: int) -> int:
    """Return the user data of a packet with one DATA chunk, the RFC's PMDCS."""
    return packet_size - COMMON_HEADER_SIZE - DATA_HEADER.size
