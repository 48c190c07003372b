"""What comes in: DATA and I-DATA, the receive window, SACKs (RFC 9260 §6.2)."""

from __future__ import annotations

import math
import struct

from webrtc.sctp.chunks import DATA_FIELDS, I_DATA_FIELDS, ChunkType, DataFlag, Sack
from webrtc.sctp.data_fragments import DataReassembly
from webrtc.sctp.errors import SctpDecodeError
from webrtc.sctp.interleaved_fragments import InterleavedReassembly
from webrtc.sctp.parameters import CauseCode
from webrtc.sctp.reassembly import MESSAGE_OVERHEAD, Message, ProtocolViolationError
from webrtc.sctp.received_tsns import MAX_AHEAD, ReceivedTsns
from webrtc.sctp.serial import MASK_32, unwrap_32
from webrtc.sctp.settings import Settings

_IMMEDIATE = int(DataFlag.IMMEDIATE)
_PLAIN_SACK = struct.Struct("!BBHIIHH")
_PLAIN_SACK_SIZE = 16
_MAX_GAPS = 128
_DATA_HEADER = 4 + DATA_FIELDS.size
_I_DATA_HEADER = 4 + I_DATA_FIELDS.size
_PACKETS_PER_SACK = 2


class Inbound:
    """The receiving half of an association.

    Args:
        settings: buffer sizes and delays.
        initial_tsn: the peer's first.
        streams: how many the peer may use.
        interleaving: whether it sends I-DATA.

    Attributes:
        sack_at: when a SACK is due, `math.inf` if none is.
        dropped: chunks for which there was no room.

    """

    def __init__(
        self, settings: Settings, initial_tsn: int, streams: int, interleaving: bool
    ) -> None:
        self._settings = settings
        self._streams = streams
        self._interleaving = interleaving
        self.tsns = ReceivedTsns(initial_tsn - 1)
        self._data = DataReassembly(settings.max_message_size)
        self._interleaved = InterleavedReassembly(settings.max_message_size)
        self.reassembly = self._interleaved if interleaving else self._data
        self._taken = 0
        self._unacknowledged = 0
        self._offered = settings.receive_buffer
        self.sack_at = math.inf
        self.dropped = 0

    @property
    def window(self) -> int:
        """What a_rwnd says."""
        return max(self._settings.receive_buffer - self.held, 0)

    @property
    def held(self) -> int:
        """Bytes kept for the application, messages that it has been shown but not freed too."""
        return self.reassembly.held + self._taken

    def on_data(self, packet: bytes, offset: int, flags: int, length: int) -> None:
        """Take in a DATA chunk that lies in a packet. Hot.

        Raises:
            SctpDecodeError: it is too short.
            ProtocolViolationError: the association must end.

        """
        if length <= _DATA_HEADER:
            raise _no_user_data(length, _DATA_HEADER)
        wire, stream_id, ssn, ppid = DATA_FIELDS.unpack_from(packet, offset + 4)
        if self._interleaving:
            # RFC 8260 §2.2.1: once I-DATA is agreed on, DATA is a violation.
            raise ProtocolViolationError(CauseCode.PROTOCOL_VIOLATION, "DATA among I-DATA")
        tsn = unwrap_32(wire, self.tsns.cumulative)
        if self._admit(tsn, stream_id, flags):
            payload = packet[offset + _DATA_HEADER : offset + length]
            self._data.add(tsn, flags, stream_id, ssn, ppid, payload)

    def on_i_data(self, packet: bytes, offset: int, flags: int, length: int) -> None:
        """Take in an I-DATA chunk that lies in a packet. Hot.

        Raises:
            SctpDecodeError: it is too short.
            ProtocolViolationError: the association must end.

        """
        if length <= _I_DATA_HEADER:
            raise _no_user_data(length, _I_DATA_HEADER)
        wire, stream_id, _, mid, ppid_or_fsn = I_DATA_FIELDS.unpack_from(packet, offset + 4)
        if not self._interleaving:
            raise ProtocolViolationError(CauseCode.PROTOCOL_VIOLATION, "I-DATA was not agreed on")
        tsn = unwrap_32(wire, self.tsns.cumulative)
        if self._admit(tsn, stream_id, flags):
            payload = packet[offset + _I_DATA_HEADER : offset + length]
            self._interleaved.add(flags, stream_id, mid, ppid_or_fsn, payload)

    def packet_ended(self, now: float) -> None:
        """Count a packet that had data; every second one is acknowledged at once. Hot."""
        self._unacknowledged += 1
        if self._unacknowledged >= _PACKETS_PER_SACK or self.tsns.has_gaps:
            self.sack_at = now
        elif self.sack_at == math.inf:
            self.sack_at = now + self._settings.sack_delay

    def on_forward_tsn(self, wire: int, skips: list[tuple[int, int, int]], now: float) -> None:
        """Give up on what the peer gave up (RFC 3758 §3.6, RFC 8260 §2.3.1)."""
        tsn = unwrap_32(wire, self.tsns.cumulative)
        self.sack_at = now
        if tsn > self.tsns.cumulative + MAX_AHEAD or not self.tsns.advance(tsn):
            return
        self.reassembly.skip(tsn, skips)

    def take_message(self) -> Message | None:
        """Return the next message; its bytes stay counted until `free`."""
        messages = self.reassembly.messages
        if not messages:
            return None
        message = messages.popleft()
        size = len(message[2]) + MESSAGE_OVERHEAD
        self.reassembly.held -= size
        self._taken += size
        return message

    def free(self, size: int, now: float) -> None:
        """Give the room of a message of `size` bytes back to the peer."""
        # What is freed may be of an association that was there before a restart.
        self._taken = max(self._taken - size - MESSAGE_OVERHEAD, 0)
        # RFC 9260 §6.2: tell a peer that had (nearly) stopped; small steps are not worth a packet.
        half = self._settings.receive_buffer // 2
        if self._offered < half <= self.window:
            self.sack_at = now

    def encode_sack(self) -> bytes:
        """Return the SACK for what has come. Hot."""
        self._unacknowledged = 0
        self.sack_at = math.inf
        window = self._offered = self.window
        tsns = self.tsns
        cumulative = tsns.cumulative & MASK_32
        if not tsns.has_gaps and not tsns.duplicates:
            return _PLAIN_SACK.pack(ChunkType.SACK, 0, _PLAIN_SACK_SIZE, cumulative, window, 0, 0)
        duplicates = tuple(tsn & MASK_32 for tsn in tsns.duplicates)
        tsns.duplicates.clear()
        return Sack(cumulative, window, tuple(tsns.gaps(_MAX_GAPS)), duplicates).encode()

    def _admit(self, tsn: int, stream_id: int, flags: int) -> bool:
        """Whether a chunk is new and there is room for it; note that it came. Hot."""
        tsns = self.tsns
        if flags & _IMMEDIATE:
            self._unacknowledged = _PACKETS_PER_SACK
        held, buffer = self.reassembly.held + self._taken, self._settings.receive_buffer
        # What fills a gap may be all that the rest waits for, but there are 65,534 TSNs of room.
        if held >= buffer and (tsn > tsns.highest or held >= 2 * buffer) and self._is_full():
            self.dropped += 1
            self._unacknowledged = _PACKETS_PER_SACK
            return False
        if tsn > tsns.cumulative + MAX_AHEAD:
            self.dropped += 1
            return False
        if not tsns.add(tsn):
            self._unacknowledged = _PACKETS_PER_SACK
            return False
        if stream_id >= self._streams:
            # §6.5: acknowledged, and its data dropped.
            self.dropped += 1
            return False
        return True

    def _is_full(self) -> bool:
        """Whether the buffer takes nothing more.

        Fragments alone may fill it, of messages that are interleaved or lack a middle. No
        application can free those, so they get as much again to become whole; past that the
        two ends would wait for each other forever.
        """
        if self._taken or self.reassembly.messages:
            return True
        if self.held < 2 * self._settings.receive_buffer:
            return False
        raise ProtocolViolationError(CauseCode.OUT_OF_RESOURCE, "fragments fill the buffer")


def _no_user_data(length: int, header: int) -> Exception:
    if length < header:
        return SctpDecodeError(f"data chunk of {length} bytes is too short")
    return ProtocolViolationError(CauseCode.NO_USER_DATA, "data chunk without data")
