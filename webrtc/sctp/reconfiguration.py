"""Stream reset, as RFC 8831 §6.7 closes channels by it (RFC 6525 §5)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import attrs

from webrtc.sctp.chunks import ChunkType, ParameterChunk
from webrtc.sctp.events import Event, IncomingStreamsReset, OutgoingStreamsReset, ResetAsked
from webrtc.sctp.inbound import Inbound
from webrtc.sctp.outbound import Outbound
from webrtc.sctp.packer import Packer
from webrtc.sctp.parameters import Parameter
from webrtc.sctp.reconfig_parameters import (
    IncomingResetRequest,
    OtherRequest,
    OutgoingResetRequest,
    ReconfigResponse,
    ReconfigResult,
    decode_reconfig,
)
from webrtc.sctp.rto import RetransmissionTimeout
from webrtc.sctp.serial import MASK_32

_MAX_STREAMS = 200
"""So many a request names at most, that it fits every packet; the rest get the next one."""
_MAX_RESPONSES = 32


class Reconfiguration:
    """Both directions of stream resets.

    Args:
        rto: the association's.
        inbound: whose streams the peer resets.
        outbound: whose streams we reset.
        peer_tsn: the peer's first TSN, its first request's number too.
        emit: takes events.

    Attributes:
        deadline: when our request is sent again, `math.inf` if none is under way.

    """

    def __init__(
        self,
        rto: RetransmissionTimeout,
        inbound: Inbound,
        outbound: Outbound,
        peer_tsn: int,
        emit: Callable[[Event], None],
    ) -> None:
        self._rto = rto
        self._inbound = inbound
        self._outbound = outbound
        self._emit = emit
        self._next_request = outbound.outstanding.next_tsn
        self._wanted: dict[int, int | None] = {}
        self._request: OutgoingResetRequest | None = None
        self._backed_off = 0.0
        self._is_due = False
        self.deadline = math.inf
        self._last_peer_request = (peer_tsn - 1) & MASK_32
        self._responses: list[Parameter] = []
        self._last_result = ReconfigResult.NOTHING_TO_DO
        self._deferred: OutgoingResetRequest | None = None

    @property
    def has_work(self) -> bool:
        """Whether there is something to send, or may be. Hot."""
        return bool(self._responses or self._wanted or self._is_due)

    def is_pending(self, stream_id: int) -> bool:
        """Whether a stream of ours waits for its reset."""
        request = self._request
        return stream_id in self._wanted or (
            request is not None and stream_id in request.stream_ids
        )

    def want(self, stream_ids: Iterable[int]) -> None:
        """Reset streams of ours as soon as all that was queued on them has arrived."""
        for stream_id in stream_ids:
            if not self.is_pending(stream_id):
                self._wanted[stream_id] = None

    def on_chunk(self, parameters: tuple[Parameter, ...]) -> bool:
        """Take in a RE-CONFIG chunk; return whether it answered our request.

        Raises:
            SctpDecodeError: a parameter is malformed; those before it have been handled.

        """
        answered = False
        for parameter in parameters:
            each = decode_reconfig(parameter)
            if isinstance(each, ReconfigResponse):
                answered |= self._on_response(each)
            else:
                self._on_request(each)
        return answered

    def data_arrived(self) -> None:
        """See whether a reset that waited for data can be done now. Hot."""
        deferred = self._deferred
        if deferred is None or not self._is_reached(deferred.last_tsn):
            return
        self._deferred = None
        self._perform(deferred)
        self._respond(deferred.request, ReconfigResult.PERFORMED)

    def on_timeout(self, now: float) -> None:
        """Send our request again, and wait twice as long."""
        self._backed_off = min(2 * self._backed_off, 60.0)
        self._is_due = True
        self.deadline = now + self._backed_off

    def fill(self, packer: Packer, now: float) -> None:
        """Put answers and our request, if one is due, into packets."""
        if self._responses:
            packer.add(ParameterChunk(ChunkType.RECONFIG, tuple(self._responses)).encode())
            self._responses = []
        if self._wanted and self._request is None:
            self._start(now)
        if self._is_due and self._request is not None:
            self._is_due = False
            packer.add(ParameterChunk(ChunkType.RECONFIG, (self._request.encode(),)).encode())

    def _start(self, now: float) -> None:
        """Ask for what is ready: nothing queued any more, and everything acknowledged.

        §5.1.2 lets us ask before the data has arrived; the peer then says "in progress" and
        wants to be asked again, by some under a new number, by others under the same. Waiting
        for the acknowledgement leaves nothing to be in progress.
        """
        outstanding, queue = self._outbound.outstanding, self._outbound.queue
        ready: list[int] = []
        last_tsn = outstanding.cumulative
        for stream_id, after in self._wanted.items():
            reached = after
            if reached is None and not queue.has_messages(stream_id):
                reached = self._wanted[stream_id] = self._outbound.last_tsn
            if reached is not None and reached <= last_tsn and len(ready) < _MAX_STREAMS:
                ready.append(stream_id)
        if not ready:
            return
        for stream_id in ready:
            del self._wanted[stream_id]
        self._request = OutgoingResetRequest(
            self._next_request & MASK_32, self._last_peer_request, last_tsn & MASK_32, tuple(ready)
        )
        self._next_request += 1
        self._is_due = True
        self._backed_off = self._rto.seconds
        self.deadline = now + self._backed_off

    def _on_response(self, response: ReconfigResponse) -> bool:
        request = self._request
        if request is None or response.request != request.request:
            return False
        if response.result == ReconfigResult.IN_PROGRESS:
            # Some peers repeat their answer to a number they know, so ask under a new one.
            self._request = attrs.evolve(request, request=self._next_request & MASK_32)
            self._next_request += 1
            return True
        self._request = None
        self._is_due = False
        self.deadline = math.inf
        done = response.result in (ReconfigResult.PERFORMED, ReconfigResult.NOTHING_TO_DO)
        if done:
            self._outbound.queue.restart(list(request.stream_ids))
        self._emit(OutgoingStreamsReset(request.stream_ids, done))
        return True

    def _on_request(
        self, request: OutgoingResetRequest | IncomingResetRequest | OtherRequest
    ) -> None:
        number = request.request
        if number == self._last_peer_request:
            # §5.2.1: a repetition gets the same answer; if it was none yet, it gets that.
            waits = self._deferred is not None
            self._respond(number, ReconfigResult.IN_PROGRESS if waits else self._last_result)
            return
        if number != (self._last_peer_request + 1) & MASK_32:
            self._answer(number, ReconfigResult.BAD_SEQUENCE_NUMBER)
            return
        self._last_peer_request = number
        if isinstance(request, OutgoingResetRequest):
            self._deferred = request
            self.data_arrived()
        elif isinstance(request, IncomingResetRequest):
            self._on_incoming_request(request)
        else:
            self._respond(number, ReconfigResult.DENIED)

    def _on_incoming_request(self, request: IncomingResetRequest) -> None:
        if not request.stream_ids:
            # All of them, whatever they are used for: no channel is closed like that.
            self._respond(request.request, ReconfigResult.DENIED)
            return
        self.want(request.stream_ids)
        self._respond(request.request, ReconfigResult.PERFORMED)
        self._emit(ResetAsked(request.stream_ids))

    def _respond(self, number: int, result: ReconfigResult) -> None:
        self._last_result = result
        self._answer(number, result)

    def _answer(self, number: int, result: ReconfigResult) -> None:
        if len(self._responses) < _MAX_RESPONSES:
            self._responses.append(ReconfigResponse(number, result).encode())

    def _is_reached(self, wire: int) -> bool:
        return (self._inbound.tsns.cumulative - wire) & MASK_32 < 1 << 31

    def _perform(self, request: OutgoingResetRequest) -> None:
        reassembly = self._inbound.reassembly
        if request.stream_ids:
            reassembly.reset(request.stream_ids)
        else:
            reassembly.reset_all()
        self._emit(IncomingStreamsReset(request.stream_ids or None))
