"""The way out: our streams' packets through the pacer, numbered and timed as they leave."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from webrtc.rtp.congestion import CongestionController
from webrtc.rtp.header_extensions import (
    TRANSPORT_SEQUENCE_NUMBER_URI,
    ExtensionMap,
    HeaderExtensions,
    absolute_send_time,
)
from webrtc.rtp.pacer import PADDING_SIZE_BYTES, Paced, Pacer, Priority
from webrtc.rtp.packet import RtpPacket, serialise_rtp
from webrtc.rtp.send_stream import SendStream

REPAIR_SHARE = 0.5
"""Of the target bit rate, for retransmissions: else they would crowd out what they repair."""
REPAIR_BURST = 0.5
"""Seconds of that share that may go at once."""
OVERHEAD_BYTES = 30
"""IPv4, UDP and SRTP's tag, that the path carries with every packet."""


class _Queued(msgspec.Struct, frozen=True, gc=False):
    stream: SendStream
    packet: RtpPacket
    extensions: HeaderExtensions
    size: int
    """Bytes on the path, but for header extensions."""


def _queued(stream: SendStream, packet: RtpPacket, extensions: HeaderExtensions) -> _Queued:
    return _Queued(stream, packet, extensions, packet.size + OVERHEAD_BYTES)


def _size(queued: _Queued) -> int:
    return queued.size


class SendPath:
    """Of one session, whose streams it shares.

    Attributes:
        extensions: of the transport.

    """

    def __init__(
        self,
        *,
        senders: Mapping[int, SendStream],
        controller: CongestionController,
        extensions: ExtensionMap,
        emit: Callable[[bytes], None],
    ) -> None:
        """Begin; `emit` takes what leaves, before SRTP."""
        self.extensions = extensions
        self._senders = senders
        self._controller = controller
        self._emit = emit
        self._pacer: Pacer[_Queued] = Pacer(controller.target_bps, _size, self._padding)
        self._repaired_bytes = 0.0
        self._repaired_at = 0.0

    @property
    def queue_time(self) -> float:
        """Seconds that what waits takes at the target bit rate."""
        return self._pacer.queue_time

    def next_deadline(self) -> float | None:
        """Return when more may leave."""
        return self._pacer.next_deadline()

    def add(
        self,
        stream: SendStream,
        packets: Sequence[tuple[RtpPacket, HeaderExtensions]],
        now: float,
    ) -> None:
        """Queue packets, and let out what may go."""
        priority = Priority.VIDEO if stream.is_video else Priority.AUDIO
        for packet, extensions in packets:
            self._pacer.add(_queued(stream, packet, extensions), priority)
        self.pace(now)

    def repair(self, stream: SendStream, sequence_numbers: Sequence[int], now: float) -> None:
        """Queue retransmissions, as far as their share of the bit rate goes."""
        for entry in stream.retransmissions(sequence_numbers, now):
            queued = _queued(stream, *entry)
            if self._may_repair(_size(queued), now):
                self._pacer.add(queued, Priority.RETRANSMISSION)

    def _may_repair(self, size_bytes: int, now: float) -> bool:
        share = REPAIR_SHARE * self._controller.target_bps / 8
        elapsed = now - self._repaired_at
        self._repaired_at = now
        self._repaired_bytes = max(self._repaired_bytes - share * elapsed, 0.0)
        if self._repaired_bytes > share * REPAIR_BURST:
            return False
        self._repaired_bytes += size_bytes
        return True

    def retarget(self) -> float:
        """Take the controller's target and probes; return the target."""
        target = self._controller.target_bps
        self._pacer.set_bitrate(target)
        if TRANSPORT_SEQUENCE_NUMBER_URI in self.extensions and any(
            stream.can_pad for stream in self._senders.values()
        ):
            # Before there is anything to pad with, a probe would measure the encoder.
            for cluster in self._controller.take_probes():
                self._pacer.probe(cluster)
        return target

    def pace(self, now: float) -> None:
        """Let out what may go."""
        for paced in self._pacer.take(now):
            self._leave(paced, now)

    def _leave(self, paced: Paced[_Queued], now: float) -> None:
        """Send a packet with its times. Runs per packet."""
        queued = paced.item
        packet, values = queued.packet, queued.extensions
        number = None
        if TRANSPORT_SEQUENCE_NUMBER_URI in self.extensions:
            number = self._controller.send(queued.size, now, paced.cluster)
        profile, data = self.extensions.write(values, absolute_send_time(now), number)
        wire = serialise_rtp(packet, profile, data)
        self._emit(wire)
        header_size = len(wire) - len(packet.payload) - packet.padding_size
        queued.stream.sent(packet, values, header_size, now)

    def _padding(self) -> _Queued | None:
        for stream in self._senders.values():
            if stream.can_pad:
                for packet, extensions in stream.padding(PADDING_SIZE_BYTES):
                    return _queued(stream, packet, extensions)
        return None
