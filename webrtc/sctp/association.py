"""An SCTP association over DTLS (RFC 9260, RFC 8261), without I/O, clock or randomness.

The owner hands in packets and the time, and takes packets, messages and events. Nothing is
packed before `take_datagrams`, so what was asked for in between shares packets.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable

import attrs

from webrtc.sctp.chunks import SACK_FIELDS, ChunkType, Sack
from webrtc.sctp.control import Control
from webrtc.sctp.errors import MessageTooLongError, SctpDecodeError, SctpStateError
from webrtc.sctp.events import AssociationState, CloseReason, Event
from webrtc.sctp.inbound import Inbound
from webrtc.sctp.outgoing import RELIABLE, OutgoingMessage, Reliability
from webrtc.sctp.packer import Packer
from webrtc.sctp.packet import COMMON_HEADER_SIZE, RawChunk
from webrtc.sctp.reassembly import Message, ProtocolViolationError
from webrtc.sctp.send_queue import SendQueue
from webrtc.sctp.settings import MIN_PATH_MTU, Settings, packet_size
from webrtc.sctp.statistics import Statistics

_CHUNK_HEADER = struct.Struct("!BBH")
_DATA = int(ChunkType.DATA)
_I_DATA = int(ChunkType.I_DATA)
_SACK = int(ChunkType.SACK)
_DATA_CHUNKS = frozenset({_DATA, _I_DATA})
_PLAIN_SACK_SIZE = 4 + SACK_FIELDS.size

_State = AssociationState
_TAKES_MESSAGES = frozenset(
    {_State.CLOSED, _State.COOKIE_WAIT, _State.COOKIE_ECHOED, _State.ESTABLISHED}
)


class Association:
    """One endpoint of an association.

    Both sides may `connect`, as WebRTC's do, or one.

    Args:
        settings: of this endpoint.
        random_bytes: returns so many unpredictable bytes.

    Attributes:
        statistics: counters.

    """

    def __init__(self, settings: Settings, random_bytes: Callable[[int], bytes]) -> None:
        self.settings = settings
        self.statistics = Statistics()
        self._queue = SendQueue()
        self._control = Control(settings, random_bytes, self._queue, self.statistics)

    @property
    def state(self) -> AssociationState:
        """Where the association is."""
        return self._control.state

    @property
    def is_over(self) -> bool:
        """Whether it has ended and cannot begin again."""
        return self._control.is_over

    @property
    def is_ending(self) -> bool:
        """Whether nothing more can be sent: it is over, or being shut down."""
        return self._control.is_over or self._control.state not in _TAKES_MESSAGES

    @property
    def buffered(self) -> int:
        """Bytes of messages that wait to be sent."""
        return self._queue.buffered

    @property
    def queue(self) -> SendQueue:
        """What waits to be sent, stream by stream."""
        return self._queue

    @property
    def round_trip_time(self) -> float | None:
        """Smoothed, in seconds; None before the first measurement."""
        return self._control.rto.smoothed

    @property
    def congestion_window(self) -> int | None:
        """Bytes, None before there is an association."""
        tcb = self._control.tcb
        return None if tcb is None else tcb.outbound.window.size

    @property
    def max_streams(self) -> int | None:
        """Identifiers below this can be used both ways; None before they were agreed on."""
        tcb = self._control.tcb
        return None if tcb is None else min(tcb.outbound_streams, tcb.inbound_streams)

    def connect(self, now: float) -> None:
        """Send an INIT, unless the peer was quicker.

        Raises:
            SctpStateError: the association is over.

        """
        if self._control.is_over:
            raise SctpStateError("the association is over")
        self._control.connect(now)

    def set_remote_port(self, port: int) -> None:
        """Take the peer's port, which its description says, before `connect` (RFC 8841 §5)."""
        self.settings = self._control.settings = attrs.evolve(self.settings, remote_port=port)

    def shutdown(self, now: float) -> None:
        """End the association once everything queued has arrived."""
        self._control.shutdown(now)

    def abort(self, reason: str = "") -> None:
        """End the association now, and tell the peer."""
        self._control.abort(reason)

    def send(
        self,
        stream_id: int,
        ppid: int,
        payload: bytes,
        *,
        ordered: bool = True,
        reliability: Reliability = RELIABLE,
        now: float,
    ) -> None:
        """Queue a message; before the association is established too.

        Args:
            stream_id: on which stream.
            ppid: payload protocol identifier.
            payload: at least one byte: SCTP has no empty messages.
            ordered: whether it waits for those before it at the far end.
            reliability: how hard to try; all the way if the peer lacks RFC 3758.
            now: monotonic seconds; a lifetime begins.

        Raises:
            SctpStateError: the association is ending, or the stream is being reset.
            MessageTooLongError: it is empty.

        """
        control = self._control
        if self.is_ending:
            raise SctpStateError(f"the association is {control.state.value}")
        if not payload:
            raise MessageTooLongError("SCTP has no empty messages")
        tcb = control.tcb
        if tcb is not None:
            if stream_id >= tcb.outbound_streams:
                raise SctpStateError(f"the peer takes no stream {stream_id}")
            if self.is_resetting(stream_id):
                raise SctpStateError(f"stream {stream_id} is being reset")
        self._queue.add(
            OutgoingMessage(
                stream_id, ppid, payload, ordered=ordered, reliability=reliability, now=now
            )
        )

    def set_path_mtu(self, path_mtu: int) -> None:
        """Use another path MTU from now on, as another pair of ICE candidates may have.

        Args:
            path_mtu: the largest UDP payload.

        Raises:
            ValueError: it is below `MIN_PATH_MTU`.

        """
        if path_mtu < MIN_PATH_MTU:
            raise ValueError(f"a path MTU is at least {MIN_PATH_MTU}")
        self._control.set_packet_size(packet_size(path_mtu, self.settings.lower_overhead))

    def reset_streams(self, stream_ids: Iterable[int]) -> None:
        """Start outgoing streams over when all that was queued on them has arrived (RFC 6525).

        Raises:
            SctpStateError: there is no association.

        """
        tcb = self._control.tcb
        if tcb is None:
            raise SctpStateError("there is no association")
        tcb.reconfiguration.want(stream_ids)

    def is_resetting(self, stream_id: int) -> bool:
        """Whether an outgoing stream waits for its reset, and nothing can be sent on it."""
        tcb = self._control.tcb
        return tcb is not None and tcb.reconfiguration.is_pending(stream_id)

    @property
    def can_reset(self) -> bool:
        """Whether the peer knows RFC 6525."""
        tcb = self._control.tcb
        return tcb is not None and tcb.features.reconfiguration

    def receive(self, packet: bytes, now: float) -> None:
        """Take in a packet from DTLS; whatever it is, nothing is raised. Hot."""
        statistics = self.statistics
        statistics.packets_received += 1
        statistics.bytes_received += len(packet)
        control = self._control
        expected = control.expected
        try:
            if expected is not None and expected.matches(packet, self.settings.zero_checksum):
                self._take_chunks(packet, COMMON_HEADER_SIZE, now)
            elif (offset := control.receive_unmatched(packet, now)) is not None:
                self._take_chunks(packet, offset, now)
        except SctpDecodeError:
            statistics.malformed += 1
        except ProtocolViolationError as violation:
            control.fail(CloseReason.PROTOCOL_VIOLATION, str(violation), violation.cause)

    def take_message(self) -> Message | None:
        """Return the next message; `free` it when the application has it."""
        tcb = self._control.tcb
        return None if tcb is None else tcb.inbound.take_message()

    def free(self, size: int, now: float) -> None:
        """Say that a message of `size` bytes from `take_message` takes no room any more."""
        tcb = self._control.tcb
        if tcb is not None:
            tcb.inbound.free(size, now)

    def next_deadline(self) -> float | None:
        """Return when `on_deadline` must be called, if nothing comes in between."""
        deadline = self._control.next_deadline()
        return None if deadline == math.inf else deadline

    def on_deadline(self, now: float) -> None:
        """Do what is due."""
        self._control.on_deadline(now)

    def take_datagrams(self, now: float) -> list[bytes]:
        """Return the packets to be sent now. Hot."""
        control = self._control
        datagrams = control.datagrams
        if control.has_work(now):
            packer = Packer(control.packet_size, control.write, datagrams)
            control.fill(packer, now)
            packer.close()
        if datagrams:
            control.datagrams = []
            self.statistics.packets_sent += len(datagrams)
            self.statistics.bytes_sent += sum(map(len, datagrams))
        return datagrams

    @property
    def has_events(self) -> bool:
        """Whether `take_events` has any. Hot."""
        return bool(self._control.events)

    def take_events(self) -> list[Event]:
        """Return what has happened."""
        events, self._control.events = self._control.events, []
        return events

    def _take_chunks(self, packet: bytes, offset: int, now: float) -> None:
        """Take in the chunks of a packet whose tag and checksum are right. Hot."""
        control = self._control
        end = len(packet)
        inbound: Inbound | None = None
        while offset < end:
            if end - offset < 4:
                raise SctpDecodeError("bytes are left after the last chunk")
            kind, flags, length = _CHUNK_HEADER.unpack_from(packet, offset)
            if length < 4 or offset + length > end:
                raise SctpDecodeError(f"chunk of {length} bytes")
            if kind in _DATA_CHUNKS:
                if control.takes_data and control.tcb is not None:
                    inbound = control.tcb.inbound
                    if kind == _DATA:
                        inbound.on_data(packet, offset, flags, length)
                    else:
                        inbound.on_i_data(packet, offset, flags, length)
                else:
                    self.statistics.ignored += 1
            elif kind == _SACK:
                self._on_sack(packet, offset, length, now)
            elif not control.on_chunk(
                RawChunk(kind, flags, packet[offset + 4 : offset + length]), now
            ):
                break
            offset += (length + 3) & ~3
        if inbound is not None:
            inbound.packet_ended(now)
            control.data_arrived(now)

    def _on_sack(self, packet: bytes, offset: int, length: int, now: float) -> None:
        control = self._control
        tcb = control.tcb
        if tcb is None or not control.sends_data:
            self.statistics.ignored += 1
            return
        if length == _PLAIN_SACK_SIZE:
            wire, a_rwnd, gap_count, duplicate_count = SACK_FIELDS.unpack_from(packet, offset + 4)
            if gap_count or duplicate_count:
                raise SctpDecodeError("SACK counts other than its blocks")
            gaps: tuple[tuple[int, int], ...] = ()
        else:
            sack = Sack.decode(RawChunk(_SACK, 0, packet[offset + 4 : offset + length]))
            wire, a_rwnd, gaps = sack.cumulative_tsn, sack.a_rwnd, sack.gaps
        if tcb.outbound.on_sack(wire, a_rwnd, gaps, now) or a_rwnd == 0:
            control.peer_answered(now)
        control.proceed(now)
