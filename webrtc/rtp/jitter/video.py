"""The video jitter buffer: packets in any order to whole frames in decoding order.

A frame is given as soon as it is whole and the one before it was given; when to show it is in
`playout_at`. A hole is waited for; if it does not close, decoding goes on at the next key frame.
What is held is bounded in packets and bytes, not in frames, so that a large key frame fits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs

from webrtc.rtp.errors import RtpDecodeError
from webrtc.rtp.jitter.frame import EncodedFrame
from webrtc.rtp.jitter.playout import PlayoutClock
from webrtc.rtp.packet import RtpPacket
from webrtc.rtp.payload import Depacketiser, PayloadInfo

MAX_PACKETS = 16384
MAX_BYTES = 16 << 20
MAX_JUMP = 8192
"""Sequence numbers; a jump by more is a stream that began anew."""
MAX_PADDING = 1024
MAX_WAIT = 1.0
"""Seconds that a hole is waited for before a key frame is asked for: several retransmissions."""
MAX_DELAY = 2.0
KEY_FRAME_HEAD = 8
"""Packets."""


@attrs.define(slots=True)
class _Partial:
    """Packets of one timestamp."""

    timestamp: int
    payload_type: int
    first_seen: float
    packets: dict[int, bytes] = attrs.field(factory=dict)
    size_bytes: int = 0
    lowest: int = 0
    start: int | None = None
    end: int | None = None
    is_key: bool = False
    last_seen: float = 0.0
    picture_id: int | None = None
    picture_id_mask: int = 0

    def add(self, packet: RtpPacket, number: int, info: PayloadInfo, now: float) -> None:
        """Take a packet. Runs per packet."""
        self.packets[number] = packet.payload
        self.size_bytes += len(packet.payload)
        self.last_seen = now
        if number < self.lowest:
            self.lowest = number
        if packet.marker:
            self.end = number
        if info.starts_frame and (self.start is None or number < self.start):
            self.start = number
            self.picture_id, self.picture_id_mask = info.picture_id, info.picture_id_mask
        if info.is_key_frame:
            self.is_key = True

    def is_whole(self, padding: set[int]) -> bool:
        """Whether nothing is missing from the lowest packet to the marker.

        Packets before the lowest may be missing: whoever asks knows what comes before.
        """
        if self.end is None:
            return False
        missing = self.end - self.lowest + 1 - len(self.packets)
        if missing and missing <= len(padding):
            missing -= sum(self.lowest < number < self.end for number in padding)
        return not missing

    def follows_picture(self, before: int | None) -> bool:
        """Whether it is the picture after that one: then what is missing between was no picture.

        So a lost FEC packet, which has a sequence number of the media's, is no hole.
        """
        if before is None or self.picture_id is None or self.start != self.lowest:
            return False
        return (self.picture_id - before) & self.picture_id_mask == 1

    def is_decodable(self, padding: set[int]) -> bool:
        """Whether it is a whole key frame, its first packet too."""
        return self.is_key and self.start == self.lowest and self.is_whole(padding)


class VideoJitterBuffer:
    """Of one stream.

    Attributes:
        clock: when to show.
        needs_key_frame: nothing can be decoded until one comes.
        late: packets of frames that were given or given up.
        malformed: packets and frames that did not parse.
        dropped: frames that were given up.
        overflows: how often everything was given up for want of room.

    """

    def __init__(
        self,
        clock_rate: int,
        depacketisers: Mapping[int, Depacketiser],
        *,
        max_packets: int = MAX_PACKETS,
        max_bytes: int = MAX_BYTES,
        max_wait: float = MAX_WAIT,
    ) -> None:
        """Begin.

        Args:
            clock_rate: of timestamps.
            depacketisers: by payload type; packets of others are counted as malformed.
            max_packets: bounds what is held.
            max_bytes: likewise, of payload.
            max_wait: seconds that a hole is waited for.

        """
        self.clock = PlayoutClock(clock_rate, 0.0, MAX_DELAY)
        self.needs_key_frame = True
        self._depacketisers = depacketisers
        self._max_packets = max_packets
        self._max_bytes = max_bytes
        self._max_wait = max_wait
        self._frames: dict[int, _Partial] = {}
        self._padding: set[int] = set()
        self._next: int | None = None
        self._count = 0
        self._size_bytes = 0
        self._dropped_before = 0
        self._picture_id: int | None = None
        self._may_give = False
        self.late = 0
        self.malformed = 0
        self.dropped = 0
        self.overflows = 0

    def __len__(self) -> int:
        return self._count

    @property
    def size_bytes(self) -> int:
        """Bytes of payload that are held."""
        return self._size_bytes

    @property
    def first_useful_number(self) -> float:
        """The unwrapped sequence number before which nothing is waited for; infinite for all.

        While a key frame is needed, only what may belong to one is worth sending again.
        """
        if not self.needs_key_frame:
            return self._next if self._next is not None else 0
        keys = [frame.lowest for frame in self._frames.values() if frame.is_key]
        # A packet or two before the first that came of it may be its own beginning.
        return min(keys) - KEY_FRAME_HEAD if keys else math.inf

    def insert(self, packet: RtpPacket, number: int, timestamp: int, now: float) -> None:
        """Take a packet; `number` and `timestamp` are unwrapped. Runs per packet."""
        if not self._is_awaited(number):
            self.late += 1
            return
        payload = packet.payload
        if not payload:
            self._insert_padding(number)
            return
        depacketiser = self._depacketisers.get(packet.payload_type)
        if depacketiser is None:
            self.malformed += 1
            return
        try:
            info = depacketiser.inspect(payload)
        except RtpDecodeError:
            self.malformed += 1
            return
        frame = self._frames.get(timestamp)
        if frame is None:
            frame = self._frames[timestamp] = _Partial(
                timestamp, packet.payload_type, now, lowest=number
            )
        elif number in frame.packets:
            return
        frame.add(packet, number, info, now)
        if frame.end is not None:
            self._may_give = True
        self._size_bytes += len(payload)
        self._count += 1
        if self._count > self._max_packets or self._size_bytes > self._max_bytes:
            self._clear()
            self.overflows += 1
            self.needs_key_frame = True

    def _is_awaited(self, number: int) -> bool:
        if self._next is None:
            return True
        if abs(number - self._next) > MAX_JUMP:
            self._clear()
            self._next = None
            self.needs_key_frame = True
            return True
        return number >= self._next

    def _insert_padding(self, number: int) -> None:
        # It fills a hole between frames; without room for it the hole is waited for in vain,
        # and a key frame makes good.
        if len(self._padding) < MAX_PADDING:
            self._padding.add(number)
            self._may_give = True

    def _clear(self) -> None:
        self._frames.clear()
        self._padding.clear()
        self._count = self._size_bytes = 0

    def _skip_padding(self) -> None:
        while self._next in self._padding:
            self._padding.discard(self._next)
            self._next += 1

    def _follows(self, frame: _Partial) -> bool:
        return frame.lowest == self._next or frame.follows_picture(self._picture_id)

    def next_deadline(self) -> float | None:
        """Return when to give up on a hole."""
        if not self._frames or self.needs_key_frame:
            return None
        return self._frames[min(self._frames)].first_seen + self._max_wait

    def take(self, now: float) -> list[EncodedFrame]:
        """Return the frames that can be decoded, in order."""
        frames: list[EncodedFrame] = []
        if not self._may_give:
            # No marker came since there was nothing to give: only the end of a wait is news.
            deadline = self.next_deadline()
            if deadline is None or now < deadline:
                return frames
        while self._frames:
            self._skip_padding()
            oldest = self._frames[min(self._frames)]
            if (
                not self.needs_key_frame
                and oldest.is_whole(self._padding)
                and self._follows(oldest)
            ):
                self._give(oldest, frames)
                continue
            if self._skip_to_key_frame(now):
                continue
            if not self.needs_key_frame and now >= oldest.first_seen + self._max_wait:
                self.needs_key_frame = True
                continue
            break
        self._may_give = any(frame.is_whole(self._padding) for frame in self._frames.values())
        return frames

    def _skip_to_key_frame(self, now: float) -> bool:
        """Give up what is before the first whole key frame, if its time has come."""
        for timestamp in sorted(self._frames):
            frame = self._frames[timestamp]
            if not frame.is_decodable(self._padding):
                continue
            if not self.needs_key_frame and now < self._time_of(frame):
                return False  # the hole may yet close in time
            self._forget(earlier=timestamp)
            self._next = frame.lowest
            self._picture_id = None
            self.needs_key_frame = False
            return True
        if self.needs_key_frame:
            self._forget_what_cannot_be_decoded()
        return False

    def _time_of(self, frame: _Partial) -> float:
        if not self.clock.is_running:
            return frame.first_seen
        return self.clock.playout_time(frame.timestamp)

    def _forget(self, *, earlier: int) -> None:
        for timestamp in [timestamp for timestamp in self._frames if timestamp < earlier]:
            self._drop(self._frames[timestamp])

    def _forget_what_cannot_be_decoded(self) -> None:
        # Whole and no key frame: nothing will ever make it decodable. A few are kept back, since
        # the first packet of a key frame may come after the others.
        for timestamp in sorted(self._frames)[:-8]:
            frame = self._frames[timestamp]
            if not frame.is_key and frame.end is not None:
                self._drop(frame)

    def _drop(self, frame: _Partial) -> None:
        self._remove(frame)
        self.dropped += 1
        self._dropped_before += 1

    def _remove(self, frame: _Partial) -> None:
        del self._frames[frame.timestamp]
        self._count -= len(frame.packets)
        self._size_bytes -= frame.size_bytes

    def _give(self, frame: _Partial, frames: list[EncodedFrame]) -> None:
        self._remove(frame)
        self._next = max(frame.packets) + 1
        self._picture_id = frame.picture_id
        if self._padding:
            self._padding = {number for number in self._padding if number >= self._next}
        depacketiser = self._depacketisers[frame.payload_type]
        try:
            data = depacketiser.assemble([frame.packets[n] for n in sorted(frame.packets)])
        except RtpDecodeError:
            self.malformed += 1
            self.needs_key_frame = True
            return
        self.clock.observe(frame.timestamp, frame.last_seen)
        self.clock.adapt(frame.last_seen)
        lost, self._dropped_before = self._dropped_before, 0
        frames.append(
            EncodedFrame(
                data=data,
                timestamp=frame.timestamp & 0xFFFFFFFF,
                payload_type=frame.payload_type,
                playout_at=self.clock.playout_time(frame.timestamp),
                received_at=frame.last_seen,
                is_key_frame=frame.is_key,
                lost_before=lost,
            )
        )
