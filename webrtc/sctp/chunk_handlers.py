"""What each chunk does in each state (RFC 9260 §5 to §9); data and SACK have their own road."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from webrtc.sctp.chunks import (
    TAG_REFLECTED,
    ChunkType,
    ForwardTsn,
    IForwardTsn,
    ParameterChunk,
    PlainChunk,
    Shutdown,
)
from webrtc.sctp.events import AssociationState, Closed, CloseReason
from webrtc.sctp.packet import RawChunk
from webrtc.sctp.parameters import CauseCode, Parameter, ParameterType

if TYPE_CHECKING:
    from webrtc.sctp.control import Control

_State = AssociationState
_ALL = frozenset(_State)
_RECEIVES = frozenset({_State.ESTABLISHED, _State.SHUTDOWN_PENDING, _State.SHUTDOWN_SENT})
_SENDS = frozenset({_State.ESTABLISHED, _State.SHUTDOWN_PENDING, _State.SHUTDOWN_RECEIVED})
_ALIVE = _ALL - {_State.CLOSED, _State.COOKIE_WAIT}
_COOKIE_WAIT = frozenset({_State.COOKIE_WAIT})
_COOKIE_ECHOED = frozenset({_State.COOKIE_ECHOED})
_SHUTS_DOWN = _ALIVE - {_State.COOKIE_ECHOED}
_HAS_SHUT_DOWN = frozenset({_State.SHUTDOWN_SENT, _State.SHUTDOWN_ACK_SENT})
_HAS_ACKNOWLEDGED = frozenset({_State.SHUTDOWN_ACK_SENT})
_MAX_REPORTED_CHUNK = 64

_Handler = Callable[[RawChunk, float], bool]


class ChunkHandlers:
    """Answers chunks that came with the right verification tag.

    What has no place in the state it comes in is counted and dropped.

    Args:
        control: of the association.

    """

    def __init__(self, control: Control) -> None:
        self._control = control
        opening = control.opening
        self._handlers: dict[int, tuple[frozenset[AssociationState], _Handler]] = {
            ChunkType.INIT_ACK: (_COOKIE_WAIT, opening.on_init_ack),
            ChunkType.COOKIE_ECHO: (_ALL, self._on_cookie_echo),
            ChunkType.COOKIE_ACK: (
                _COOKIE_ECHOED,
                lambda _chunk, now: opening.on_cookie_ack(now),
            ),
            ChunkType.HEARTBEAT: (_ALIVE, self._on_heartbeat),
            ChunkType.HEARTBEAT_ACK: (_ALIVE, self._on_heartbeat_ack),
            ChunkType.ABORT: (_ALL, self._on_abort),
            ChunkType.ERROR: (_ALL, self._on_error),
            ChunkType.SHUTDOWN: (_SHUTS_DOWN, self._on_shutdown),
            ChunkType.SHUTDOWN_ACK: (
                _HAS_SHUT_DOWN,
                self._on_shutdown_ack,
            ),
            ChunkType.SHUTDOWN_COMPLETE: (
                _HAS_ACKNOWLEDGED,
                self._on_shutdown_complete,
            ),
            ChunkType.RECONFIG: (_SENDS, self._on_reconfig),
            ChunkType.FORWARD_TSN: (_RECEIVES, self._on_forward_tsn),
            ChunkType.I_FORWARD_TSN: (_RECEIVES, self._on_i_forward_tsn),
            ChunkType.PADDING: (_ALL, lambda _chunk, _now: True),
            # §5.2: INIT comes alone and with tag 0, which is looked at before any chunk.
            ChunkType.INIT: (frozenset(), lambda _chunk, _now: False),
        }

    def handle(self, chunk: RawChunk, now: float) -> bool:
        """Take in a chunk; return False if the rest of its packet is to be dropped.

        Raises:
            SctpDecodeError: it is malformed.

        """
        entry = self._handlers.get(chunk.type)
        if entry is None:
            return self._on_unknown(chunk)
        states, handler = entry
        if self._control.state not in states or not handler(chunk, now):
            self._control.statistics.ignored += 1
        return True

    def on_reflected(self, chunk: RawChunk) -> None:
        """Take an ABORT or SHUTDOWN COMPLETE that proved itself by our own tag."""
        if chunk.type == ChunkType.ABORT:
            self._end_by_abort(chunk)
        elif self._control.state is _State.SHUTDOWN_ACK_SENT:
            self._control.close(Closed(CloseReason.SHUTDOWN))

    def _on_unknown(self, chunk: RawChunk) -> bool:
        """Do what the two upper bits of an unknown type say (§3.2)."""
        control = self._control
        control.statistics.ignored += 1
        if chunk.type & 0x40 and control.tcb is not None:
            cause = Parameter(CauseCode.UNRECOGNIZED_CHUNK, chunk.encode()[:_MAX_REPORTED_CHUNK])
            control.put(ParameterChunk(ChunkType.ERROR, (cause,)).encode())
        return bool(chunk.type & 0x80)

    def _on_cookie_echo(self, chunk: RawChunk, now: float) -> bool:
        opening = self._control.opening
        return opening.on_cookie_echo(chunk.value, opening.tag, now)

    def _on_heartbeat(self, chunk: RawChunk, _now: float) -> bool:
        self._control.put(PlainChunk(ChunkType.HEARTBEAT_ACK, chunk.value).encode())
        return True

    def _on_heartbeat_ack(self, chunk: RawChunk, now: float) -> bool:
        parameters = ParameterChunk.decode(chunk).parameters
        for parameter in parameters:
            if parameter.type == ParameterType.HEARTBEAT_INFO:
                if not self._control.heartbeat.on_answer(parameter.value, now):
                    return False
                self._control.peer_answered(now)
                return True
        return False

    def _on_abort(self, chunk: RawChunk, _now: float) -> bool:
        if chunk.flags & TAG_REFLECTED or self._control.is_over:
            return False
        self._end_by_abort(chunk)
        return True

    def _end_by_abort(self, chunk: RawChunk) -> None:
        causes = ParameterChunk.decode(chunk).parameters
        cause = causes[0] if causes else None
        detail = cause.value[:256].decode("utf-8", "replace") if cause is not None else ""
        self._control.close(
            Closed(CloseReason.ABORTED_BY_PEER, detail, cause.type if cause else None)
        )

    def _on_error(self, chunk: RawChunk, now: float) -> bool:
        causes = ParameterChunk.decode(chunk).parameters
        if any(cause.type == CauseCode.STALE_COOKIE for cause in causes):
            return self._control.opening.on_stale_cookie(now)
        self._control.statistics.errors_reported += 1
        return True

    def _on_shutdown(self, chunk: RawChunk, now: float) -> bool:
        control = self._control
        tcb = control.tcb
        if tcb is None:
            return False
        shutdown = Shutdown.decode(chunk)
        if control.state is _State.SHUTDOWN_SENT:
            # §9.2: both asked at once.
            control.acknowledge_shutdown(now)
        elif control.state is _State.SHUTDOWN_ACK_SENT:
            control.teardown.request(now)
        else:
            outbound = tcb.outbound
            if outbound.on_sack(shutdown.cumulative_tsn, outbound.peer_window, (), now):
                control.peer_answered(now)
            control.state = _State.SHUTDOWN_RECEIVED
            control.proceed(now)
        return True

    def _on_shutdown_ack(self, _chunk: RawChunk, _now: float) -> bool:
        control = self._control
        if control.tcb is None:
            return False
        complete = PlainChunk(ChunkType.SHUTDOWN_COMPLETE).encode()
        control.send_apart(control.tcb.peer_tag, complete)
        control.close(Closed(CloseReason.SHUTDOWN))
        return True

    def _on_shutdown_complete(self, chunk: RawChunk, _now: float) -> bool:
        if chunk.flags & TAG_REFLECTED:
            return False
        self._control.close(Closed(CloseReason.SHUTDOWN))
        return True

    def _on_reconfig(self, chunk: RawChunk, now: float) -> bool:
        tcb = self._control.tcb
        if tcb is None or not tcb.features.reconfiguration:
            return False
        if tcb.reconfiguration.on_chunk(ParameterChunk.decode(chunk).parameters):
            self._control.peer_answered(now)
        return True

    def _on_forward_tsn(self, chunk: RawChunk, now: float) -> bool:
        forward = ForwardTsn.decode(chunk)
        skips = [(stream_id, 0, ssn) for stream_id, ssn in forward.skips]
        return self._forward(forward.new_cumulative_tsn, skips, now, interleaving=False)

    def _on_i_forward_tsn(self, chunk: RawChunk, now: float) -> bool:
        forward = IForwardTsn.decode(chunk)
        return self._forward(
            forward.new_cumulative_tsn, list(forward.skips), now, interleaving=True
        )

    def _forward(
        self, tsn: int, skips: list[tuple[int, int, int]], now: float, *, interleaving: bool
    ) -> bool:
        tcb = self._control.tcb
        if (
            tcb is None
            or not tcb.features.partial_reliability
            or tcb.features.interleaving is not interleaving
        ):
            return False
        tcb.inbound.on_forward_tsn(tsn, skips, now)
        self._control.data_arrived(now)
        return True
