"""The state of an association, its timers, and its ends (RFC 9260 §4, §6.3, §8, §9)."""

from __future__ import annotations

import math
from collections.abc import Callable

from webrtc.sctp.chunk_handlers import ChunkHandlers
from webrtc.sctp.chunks import TAG_REFLECTED, ChunkType, ParameterChunk, PlainChunk, Shutdown
from webrtc.sctp.events import AssociationState, Closed, CloseReason, Established, Event
from webrtc.sctp.heartbeat import Heartbeat
from webrtc.sctp.opening import Opening
from webrtc.sctp.packer import Packer
from webrtc.sctp.packet import COMMON_HEADER_SIZE, PacketWriter, RawChunk, decode_packet
from webrtc.sctp.parameters import CauseCode, Parameter, ParameterType
from webrtc.sctp.rto import RetransmissionTimeout
from webrtc.sctp.send_queue import SendQueue
from webrtc.sctp.serial import MASK_32
from webrtc.sctp.settings import Settings
from webrtc.sctp.statistics import Statistics
from webrtc.sctp.tcb import Tcb
from webrtc.sctp.teardown import Teardown

_State = AssociationState
OPENING = frozenset({_State.CLOSED, _State.COOKIE_WAIT, _State.COOKIE_ECHOED})
_SENDS_DATA = frozenset({_State.ESTABLISHED, _State.SHUTDOWN_PENDING, _State.SHUTDOWN_RECEIVED})
_TAKES_DATA = frozenset({_State.ESTABLISHED, _State.SHUTDOWN_PENDING, _State.SHUTDOWN_SENT})
_MAX_PENDING = 64


class Control:
    """What all parts of an association share, and what changes its state.

    Args:
        settings: of the endpoint.
        random_bytes: for tags, TSNs, the cookie key and nonces.
        queue: what waits to be sent.
        statistics: counters.

    Attributes:
        takes_data: whether data is welcome in this state.
        sends_data: whether data is sent, and SACKs are welcome.
        is_over: closed, and not to be opened again.
        tcb: from the INIT ACK or the cookie on.
        expected: has the header of the peer's packets.
        datagrams: finished packets.
        events: what has happened.
        write: makes a packet to the peer.
        packet_size: the largest.

    """

    def __init__(
        self,
        settings: Settings,
        random_bytes: Callable[[int], bytes],
        queue: SendQueue,
        statistics: Statistics,
    ) -> None:
        self.settings = settings
        self.statistics = statistics
        self.queue = queue
        self._state = _State.CLOSED
        self.takes_data = self.sends_data = False
        self.is_over = False
        self.tcb: Tcb | None = None
        self.expected: PacketWriter | None = None
        self.datagrams: list[bytes] = []
        self.events: list[Event] = []
        self.rto = RetransmissionTimeout(settings)
        self.packet_size = settings.packet_size
        self.write: Callable[[bytes], bytes] = bytes
        self._pending: list[bytes] = []
        self._errors = 0
        self.heartbeat = Heartbeat(settings.heartbeat_interval, self.rto, random_bytes)
        self.teardown = Teardown(self.rto, settings.rto_max)
        self.opening = Opening(self, random_bytes)
        self._handlers = ChunkHandlers(self)

    @property
    def state(self) -> AssociationState:
        """Where the association is."""
        return self._state

    @state.setter
    def state(self, state: AssociationState) -> None:
        self._state = state
        self.takes_data = state in _TAKES_DATA
        self.sends_data = state in _SENDS_DATA

    # What arrives

    def on_chunk(self, chunk: RawChunk, now: float) -> bool:
        """Take in a chunk of a packet with the right tag; return False to drop the rest of it."""
        return self._handlers.handle(chunk, now)

    def receive_unmatched(self, packet: bytes, now: float) -> int | None:
        """Take in a packet without the expected tag: INIT, COOKIE ECHO, or out of the blue.

        Returns:
            Where in the packet the chunks begin that are to be handled as any others.

        Raises:
            SctpDecodeError: it is malformed.

        """
        decoded = decode_packet(packet)
        if (decoded.source_port, decoded.destination_port) != (
            self.settings.remote_port,
            self.settings.local_port,
        ):
            self.statistics.ignored += 1
            return None
        first, tag = decoded.chunks[0], decoded.verification_tag
        if first.type == ChunkType.INIT:
            if tag == 0 and len(decoded.chunks) == 1:
                self.opening.on_init(first, now)
            return None
        if first.type == ChunkType.COOKIE_ECHO:
            if self.opening.on_cookie_echo(first.value, tag, now):
                return COMMON_HEADER_SIZE + len(first.encode())
            return None
        types = {chunk.type for chunk in decoded.chunks}
        if tag and not self._is_reflected(decoded.chunks, tag) and not self.is_over:
            self._answer_out_of_the_blue(types, tag)
        return None

    def data_arrived(self, now: float) -> None:
        """Do what waited for data, or what data is answered by. Hot."""
        if self.tcb is not None:
            self.tcb.reconfiguration.data_arrived()
        if self.state is _State.SHUTDOWN_SENT:
            # §9.2: answer data with a SHUTDOWN, which acknowledges it.
            self.teardown.request(now)

    def peer_answered(self, now: float) -> None:
        """Note a sign of life. Hot."""
        self._errors = 0
        self.heartbeat.start(now)

    def proceed(self, now: float) -> None:
        """Go on with a shutdown that waited for the last acknowledgement. Hot."""
        state = self.state
        if state is _State.ESTABLISHED or self.tcb is None or not self.tcb.outbound.is_idle:
            return
        if state is _State.SHUTDOWN_PENDING:
            self._enter_teardown(_State.SHUTDOWN_SENT, now)
        elif state is _State.SHUTDOWN_RECEIVED:
            self.acknowledge_shutdown(now)

    # What is asked for

    def connect(self, now: float) -> None:
        """Send an INIT if nothing is under way."""
        if self.state is _State.CLOSED and self.tcb is None:
            self.opening.start(now)

    def shutdown(self, now: float) -> None:
        """End in order, or at once where there is nothing to end."""
        if self.state is _State.ESTABLISHED:
            self.state = _State.SHUTDOWN_PENDING
            self.teardown.guard(now)
            self.proceed(now)
        elif self.state in OPENING and not self.is_over:
            self.abort("")

    def abort(self, reason: str) -> None:
        """End now."""
        cause = Parameter(CauseCode.USER_INITIATED_ABORT, reason.encode()[:256])
        self.fail(CloseReason.ABORTED_LOCALLY, reason, cause)

    def fail(self, reason: CloseReason, detail: str, cause: Parameter) -> None:
        """End now with an ABORT, if there is a peer to send it to."""
        if self.is_over:
            return
        if self.tcb is not None:
            abort = ParameterChunk(ChunkType.ABORT, (cause,)).encode()
            self.datagrams.append(self.tcb.writer.write(abort))
        self.close(Closed(reason, detail, cause.type))

    # What changes the state

    def establish(self, now: float) -> None:
        """Begin to transfer data."""
        tcb = self.tcb
        if tcb is None or self.state is _State.ESTABLISHED:
            return
        self.state = _State.ESTABLISHED
        self._errors = 0
        self.opening.stop_timer()
        writer = tcb.writer
        self.write = writer.write
        if tcb.features.zero_checksum:
            self.write = writer.write_without_checksum
        self.heartbeat.start(now)
        self.events.append(Established(tcb.outbound_streams, tcb.inbound_streams))

    def acknowledge_shutdown(self, now: float) -> None:
        """Answer the peer's SHUTDOWN."""
        self._enter_teardown(_State.SHUTDOWN_ACK_SENT, now)

    def close(self, event: Closed) -> None:
        """End."""
        self.state = _State.CLOSED
        self.is_over = True
        self.tcb = None
        self.expected = None
        self._pending.clear()
        self.queue.clear()
        self.opening.stop_timer()
        self.teardown.stop()
        self.heartbeat.stop()
        self.events.append(event)

    def emit(self, event: Event) -> None:
        """Tell the owner."""
        self.events.append(event)

    def _enter_teardown(self, state: AssociationState, now: float) -> None:
        self.state = state
        self.heartbeat.stop()
        self.teardown.guard(now)
        self.teardown.request(now)

    # What goes out

    def set_packet_size(self, size: int) -> None:
        """Fill packets up to another size from now on; what was cut stays as it is."""
        self.packet_size = size
        if self.tcb is not None:
            self.tcb.outbound.set_packet_size(size)

    def has_work(self, now: float) -> bool:
        """Whether `fill` could have something to put into packets. Hot."""
        if self._pending or self.teardown.is_due:
            return True
        tcb = self.tcb
        return tcb is not None and (
            tcb.inbound.sack_at <= now or tcb.outbound.has_work or tcb.reconfiguration.has_work
        )

    def put(self, chunk: bytes) -> None:
        """Send a control chunk with the next packet."""
        if len(self._pending) < _MAX_PENDING:
            self._pending.append(chunk)

    def send_apart(self, tag: int, chunk: bytes) -> None:
        """Send a chunk in a packet of its own, with some other tag."""
        if len(self.datagrams) < _MAX_PENDING:
            writer = PacketWriter(self.settings.local_port, self.settings.remote_port, tag)
            self.datagrams.append(writer.write(chunk))

    def fill(self, packer: Packer, now: float) -> None:
        """Put everything that may be sent now into packets. Hot."""
        if self._pending:
            for chunk in self._pending:
                packer.add(chunk)
            self._pending.clear()
        tcb = self.tcb
        if tcb is None or not (self.sends_data or self.takes_data or self.teardown.is_due):
            return
        sends = self.sends_data
        inbound = tcb.inbound
        if inbound.sack_at <= now or (
            inbound.sack_at != math.inf and sends and not self.queue.is_empty
        ):
            packer.add(inbound.encode_sack())
        if self.teardown.is_due:
            self._add_teardown(tcb, packer)
        if sends:
            tcb.reconfiguration.fill(packer, now)
            tcb.outbound.fill(packer, now)

    def _add_teardown(self, tcb: Tcb, packer: Packer) -> None:
        self.teardown.is_due = False
        if self.state is _State.SHUTDOWN_SENT:
            packer.add(Shutdown(tcb.inbound.tsns.cumulative & MASK_32).encode())
        elif self.state is _State.SHUTDOWN_ACK_SENT:
            packer.add(PlainChunk(ChunkType.SHUTDOWN_ACK).encode())

    # Timers

    def next_deadline(self) -> float:
        """Return when the next timer runs out. Hot."""
        tcb = self.tcb
        deadline = min(self.opening.deadline, self.teardown.deadline, self.heartbeat.deadline)
        if tcb is None:
            return deadline
        if self.sends_data:
            deadline = min(deadline, tcb.outbound.deadline, tcb.reconfiguration.deadline)
        if self.sends_data or self.takes_data:
            deadline = min(deadline, tcb.inbound.sack_at)
        return deadline

    def on_deadline(self, now: float) -> None:
        """Do what timers say."""
        if self.opening.deadline <= now:
            self.opening.on_timeout(now)
        tcb = self.tcb
        if tcb is None or self.state in OPENING:
            return
        if self.teardown.deadline <= now:
            self._on_teardown_timeout(now)
        elif self.sends_data and tcb.outbound.deadline <= now:
            if self._count_error():
                tcb.outbound.on_timeout(now)
        elif self.sends_data and tcb.reconfiguration.deadline <= now:
            if self._count_error():
                tcb.reconfiguration.on_timeout(now)
        elif self.heartbeat.deadline <= now:
            info, missed = self.heartbeat.on_deadline(now)
            if not missed or self._count_error():
                parameter = Parameter(ParameterType.HEARTBEAT_INFO, info)
                self.put(ParameterChunk(ChunkType.HEARTBEAT, (parameter,)).encode())

    def _on_teardown_timeout(self, now: float) -> None:
        self.rto.back_off()
        if self.teardown.is_overdue(now):
            self._give_up()
        elif self._count_error():
            self.teardown.request(now)

    def _count_error(self) -> bool:
        """Count something unanswered; end the association, and return False, at the limit."""
        self._errors += 1
        if self._errors <= self.settings.max_retransmits:
            return True
        self._give_up()
        return False

    def _give_up(self) -> None:
        cause = Parameter(CauseCode.USER_INITIATED_ABORT, b"no answer")
        self.fail(CloseReason.NO_ANSWER, f"{self._errors} times in a row", cause)

    # Out of the blue

    def _is_reflected(self, chunks: tuple[RawChunk, ...], tag: int) -> bool:
        """Take an ABORT or SHUTDOWN COMPLETE that carries our own tag back (§8.5.1 B, C)."""
        tcb = self.tcb
        for chunk in chunks:
            if chunk.type not in (ChunkType.ABORT, ChunkType.SHUTDOWN_COMPLETE):
                continue
            if tcb is not None and tag == tcb.peer_tag and chunk.flags & TAG_REFLECTED:
                self._handlers.on_reflected(chunk)
            return True
        return False

    def _answer_out_of_the_blue(self, types: set[int], tag: int) -> None:
        """Answer a packet that belongs to no association (§8.4)."""
        if ChunkType.SHUTDOWN_ACK in types:
            if self.state in OPENING:
                complete = PlainChunk(ChunkType.SHUTDOWN_COMPLETE, flags=TAG_REFLECTED)
                self.send_apart(tag, complete.encode())
        elif self.state is _State.CLOSED and not types & {
            ChunkType.COOKIE_ACK,
            ChunkType.ERROR,
            ChunkType.INIT_ACK,
        }:
            abort = ParameterChunk(ChunkType.ABORT, flags=TAG_REFLECTED)
            self.send_apart(tag, abort.encode())
        self.statistics.ignored += 1
