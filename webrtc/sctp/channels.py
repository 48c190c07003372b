"""Data channels over one association: ids, DCEP, closing, back-pressure (RFC 8831, RFC 8832)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from webrtc.sctp.association import Association
from webrtc.sctp.channel import (
    BufferedAmountLow,
    ChannelClosed,
    ChannelClosing,
    ChannelOpened,
    ChannelOptions,
    ChannelState,
    DataChannel,
    MessagesReady,
)
from webrtc.sctp.channel_ids import ChannelIds
from webrtc.sctp.dcep import ACK, Open, Ppid, decode_payload, encode_payload
from webrtc.sctp.errors import (
    MessageTooLongError,
    NoStreamError,
    SctpDecodeError,
    SctpStateError,
    SendBufferFullError,
)
from webrtc.sctp.events import (
    Closed,
    Established,
    IncomingStreamsReset,
    OutgoingStreamsReset,
    ResetAsked,
    Restarted,
)
from webrtc.sctp.settings import Settings

DEFAULT_MAX_MESSAGE_SIZE = 65536
"""What a peer takes that does not say (RFC 8841 §6.1)."""

ChannelEvent = (
    ChannelOpened
    | MessagesReady
    | BufferedAmountLow
    | ChannelClosing
    | ChannelClosed
    | Established
    | Closed
)


class DataChannels:
    """All data channels of a peer connection.

    Args:
        settings: of the association.
        random_bytes: returns so many unpredictable bytes.
        max_channels: at once; the peer's beyond it are refused.

    Attributes:
        association: what they run over.
        unclaimed: messages for which there was no open channel.

    """

    def __init__(
        self,
        settings: Settings,
        random_bytes: Callable[[int], bytes],
        *,
        max_channels: int = 4096,
    ) -> None:
        self.association = Association(settings, random_bytes)
        self.unclaimed = 0
        self._max_channels = max_channels
        self._max_message_size = DEFAULT_MAX_MESSAGE_SIZE
        self._is_dtls_client: bool | None = None
        self._is_established = False
        self._channels: dict[int, DataChannel] = {}
        self._unnumbered: list[DataChannel] = []
        self._ids = ChannelIds(self._is_free)
        # Appended to by whichever thread collects garbage.
        self._forgotten: deque[int] = deque()
        self._events: list[ChannelEvent] = []
        self._now = 0.0

    # For the transport

    def start(
        self,
        *,
        is_dtls_client: bool,
        remote_port: int | None = None,
        remote_max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE,
        now: float,
    ) -> None:
        """Begin, once DTLS is connected.

        Args:
            is_dtls_client: which side opens channels with even identifiers (RFC 8832 §6).
            remote_port: the peer's `a=sctp-port`; None for the one of the settings.
            remote_max_message_size: the peer's `a=max-message-size`; 0 stands for any.
            now: monotonic seconds.

        """
        self._now = now
        self._is_dtls_client = is_dtls_client
        self._max_message_size = remote_max_message_size
        self._ids.begin(is_dtls_client=is_dtls_client)
        unnumbered, self._unnumbered = self._unnumbered, []
        for channel in unnumbered:
            channel.id = self._ids.draw(self.association.max_streams)
            self._channels[channel.id] = channel
        if remote_port is not None:
            self.association.set_remote_port(remote_port)
        self.association.connect(now)
        self._take_events()

    def receive(self, packet: bytes, now: float) -> None:
        """Take in a packet from DTLS. Hot."""
        self._now = now
        association = self.association
        association.receive(packet, now)
        if not self._is_established:
            # Messages may come with the chunk that establishes the association.
            self._take_events()
        while (message := association.take_message()) is not None:
            self._deliver(*message)
        if association.has_events or association.queue.low:
            self._take_events()

    def next_deadline(self) -> float | None:
        """Return when `on_deadline` must be called, if nothing comes in between."""
        return self.association.next_deadline()

    def on_deadline(self, now: float) -> None:
        """Do what is due."""
        self._now = now
        self.association.on_deadline(now)
        self._take_events()

    def take_datagrams(self, now: float) -> list[bytes]:
        """Return the packets to be sent now. Hot."""
        self._now = now
        while self._forgotten:
            self.association.free(self._forgotten.popleft(), now)
        datagrams = self.association.take_datagrams(now)
        if self.association.queue.low:
            self._tell_low()
        return datagrams

    def take_events(self) -> list[ChannelEvent]:
        """Return what has happened."""
        events, self._events = self._events, []
        return events

    def abort(self, reason: str = "") -> None:
        """End the association and every channel now."""
        self.association.abort(reason)
        self._take_events()

    def shutdown(self, now: float) -> None:
        """End the association once everything queued has arrived."""
        self._now = now
        self.association.shutdown(now)
        self._take_events()

    # For the application

    @property
    def channels(self) -> tuple[DataChannel, ...]:
        """Those not closed."""
        return (*self._channels.values(), *self._unnumbered)

    def open(self, options: ChannelOptions) -> DataChannel:
        """Make a channel; before `start` too.

        Raises:
            SctpStateError: the association is ending or over.
            NoStreamError: the id is in use, or there is none left.

        """
        if self.association.is_ending:
            raise SctpStateError("the association is ending or over")
        if len(self._channels) + len(self._unnumbered) >= self._max_channels:
            raise NoStreamError(f"{self._max_channels} channels are open")
        channel = DataChannel(self, options)
        if channel.id is None and self._is_dtls_client is None:
            self._unnumbered.append(channel)
            return channel
        if channel.id is None:
            channel.id = self._ids.draw(self.association.max_streams)
        elif channel.id in self._channels:
            raise NoStreamError(f"stream {channel.id} is in use")
        elif self.association.is_resetting(channel.id):
            raise NoStreamError(f"stream {channel.id} is being reset")
        limit = self.association.max_streams
        if limit is not None and channel.id >= limit:
            raise NoStreamError(f"the peer takes {limit} streams")
        self._channels[channel.id] = channel
        if self._is_established:
            self._begin(channel)
        return channel

    # For channels

    def send(
        self, channel: DataChannel, data: str | bytes | bytearray | memoryview, now: float
    ) -> None:
        """Queue a message; see `DataChannel.send`."""
        ppid, payload = encode_payload(data)
        size = len(payload)
        if self._max_message_size and size > self._max_message_size:
            raise MessageTooLongError(f"the peer takes {self._max_message_size} bytes, not {size}")
        association = self.association
        limit = association.settings.send_buffer
        if association.buffered + size > limit:
            raise SendBufferFullError(f"{association.buffered} of {limit} bytes are queued")
        options = channel.options
        association.send(
            _id_of(channel),
            ppid,
            payload,
            # RFC 8832 §6: nothing may overtake the OPEN before its answer is here.
            ordered=options.ordered or not channel.is_announced,
            reliability=options.reliability,
            now=now,
        )

    def close_channel(self, channel: DataChannel) -> None:
        """Begin to close a channel (RFC 8831 §6.7)."""
        if channel.state in (ChannelState.CLOSING, ChannelState.CLOSED):
            return
        if channel in self._unnumbered:
            self._unnumbered.remove(channel)
            self._finish(channel)
        elif not self._is_established:
            self._finish(channel)
        else:
            channel.state = ChannelState.CLOSING
            self._reset(channel)

    def freed(self, size: int) -> None:
        """Note that a message was taken."""
        self.association.free(size, self._now)

    def forget_messages(self, channel: DataChannel) -> None:
        """Note that messages will never be taken; `take_datagrams` gives their room back."""
        inbox, channel.inbox = channel.inbox, deque()
        self._forgotten.extend(size for _, size in inbox)

    def buffered_in(self, channel: DataChannel) -> int:
        """Return the bytes of a channel that wait."""
        return 0 if channel.id is None else self.association.queue.buffered_in(channel.id)

    def set_low_threshold(self, channel: DataChannel, threshold: int) -> None:
        """Watch a channel's buffered amount."""
        if channel.id is not None and channel.state is ChannelState.OPEN:
            self.association.queue.set_low_threshold(channel.id, threshold)

    # What arrives

    def _deliver(self, stream_id: int, ppid: int, payload: bytes) -> None:
        channel = self._channels.get(stream_id)
        if ppid == Ppid.DCEP:
            self.association.free(len(payload), self._now)
            self._on_dcep(stream_id, channel, payload)
            return
        data = decode_payload(ppid, payload)
        if channel is None or channel.state is not ChannelState.OPEN or data is None:
            self.unclaimed += 1
            self.association.free(len(payload), self._now)
            return
        channel.is_announced = True
        channel.inbox.append((data, len(payload)))
        if len(channel.inbox) == 1:
            self._events.append(MessagesReady(channel))

    def _on_dcep(self, stream_id: int, channel: DataChannel | None, payload: bytes) -> None:
        if payload == ACK:
            if channel is not None:
                channel.is_announced = True
            return
        try:
            opening = Open.decode(payload)
        except SctpDecodeError:
            self.unclaimed += 1
            return
        # RFC 8832 §6: from the other half of the identifiers, and one that is free.
        is_theirs = stream_id % 2 == (1 if self._is_dtls_client else 0)
        if channel is not None or not is_theirs or len(self._channels) >= self._max_channels:
            self.unclaimed += 1
            if channel is None and self.association.can_reset:
                self.association.reset_streams([stream_id])
            return
        options = ChannelOptions.of_open(opening, stream_id)
        channel = DataChannel(self, options)
        channel.is_announced = True
        try:
            self.association.send(stream_id, Ppid.DCEP, ACK, now=self._now)
        except SctpStateError:
            # It crossed our shutdown, or a stream that is still being reset.
            self.unclaimed += 1
            return
        channel.state = ChannelState.OPEN
        self._channels[stream_id] = channel
        self.association.queue.set_weight(stream_id, options.priority)
        self._events.append(ChannelOpened(channel, by_peer=True))

    def _take_events(self) -> None:
        for event in self.association.take_events():
            match event:
                case Established():
                    self._is_established = True
                    self._events.append(event)
                    for channel in list(self._channels.values()):
                        self._begin(channel)
                case Closed():
                    self._events.append(event)
                    self._lose_all(": ".join(filter(None, (event.reason.value, event.detail))))
                case Restarted():
                    self._lose_all("the peer began again")
                case IncomingStreamsReset():
                    self._on_incoming_reset(event.stream_ids)
                case OutgoingStreamsReset():
                    self._on_outgoing_reset(event.stream_ids)
                case ResetAsked():
                    for channel in self._named(event.stream_ids):
                        self._peer_closes(channel)
        if self.association.queue.low:
            self._tell_low()

    def _on_incoming_reset(self, stream_ids: tuple[int, ...] | None) -> None:
        for channel in self._named(stream_ids):
            channel.resets_due.discard("incoming")
            self._peer_closes(channel)
            if not channel.resets_due:
                self._finish(channel)

    def _on_outgoing_reset(self, stream_ids: tuple[int, ...]) -> None:
        # A refused reset cannot be had by asking again: the channel is over all the same.
        for channel in self._named(stream_ids):
            channel.resets_due.discard("outgoing")
            if not channel.resets_due:
                self._finish(channel)

    def _peer_closes(self, channel: DataChannel) -> None:
        if channel.state is ChannelState.OPEN:
            channel.state = ChannelState.CLOSING
            self._events.append(ChannelClosing(channel))
            # The peer takes nothing any more.
            self.association.queue.discard(_id_of(channel))
            self._reset(channel)

    # What becomes of channels

    def _begin(self, channel: DataChannel) -> None:
        """Announce a channel and open it: data may follow the OPEN at once (RFC 8832 §6)."""
        stream_id = _id_of(channel)
        limit = self.association.max_streams
        if limit is not None and stream_id >= limit:
            self._finish(channel, f"the peer takes {limit} streams")
            return
        options = channel.options
        queue = self.association.queue
        queue.set_weight(stream_id, options.priority)
        if not options.negotiated:
            opening = options.to_open().encode()
            self.association.send(stream_id, Ppid.DCEP, opening, now=self._now)
        channel.state = ChannelState.OPEN
        queue.set_low_threshold(stream_id, channel.buffered_amount_low_threshold)
        self._events.append(ChannelOpened(channel))

    def _reset(self, channel: DataChannel) -> None:
        if self.association.can_reset:
            self.association.reset_streams([_id_of(channel)])
        else:
            self._finish(channel)

    def _finish(self, channel: DataChannel, error: str = "") -> None:
        if channel.state is ChannelState.CLOSED:
            return
        channel.state = ChannelState.CLOSED
        if channel.id is not None:
            self._channels.pop(channel.id, None)
        self._events.append(ChannelClosed(channel, error))

    def _lose_all(self, error: str) -> None:
        for channel in self.channels:
            self._finish(channel, error)
        self._unnumbered.clear()

    def _named(self, stream_ids: Iterable[int] | None) -> list[DataChannel]:
        if stream_ids is None:
            return list(self._channels.values())
        return [self._channels[each] for each in stream_ids if each in self._channels]

    def _tell_low(self) -> None:
        low = self.association.queue.low
        for stream_id in dict.fromkeys(low):
            channel = self._channels.get(stream_id)
            if channel is not None and channel.state is ChannelState.OPEN:
                self._events.append(BufferedAmountLow(channel))
        low.clear()

    def _is_free(self, stream_id: int) -> bool:
        return stream_id not in self._channels and not self.association.is_resetting(stream_id)


def _id_of(channel: DataChannel) -> int:
    if channel.id is None:
        raise SctpStateError("the channel has no stream yet")
    return channel.id
