"""One data channel, as its user sees it (RFC 8831, W3C WebRTC §6.2)."""

from __future__ import annotations

import enum
from collections import deque
from typing import Protocol

import attrs

from webrtc.sctp.dcep import MAX_NAME_SIZE, Open, Priority
from webrtc.sctp.errors import SctpStateError
from webrtc.sctp.outgoing import Reliability

MAX_CHANNEL_ID = 65534
_MS = 1000
_MAX_RETRANSMITS = 0xFFFFFFFF
_MAX_LIFETIME = 0xFFFFFFFF / _MS
"""Seconds; DATA_CHANNEL_OPEN has 32 bits for either limit, of milliseconds (RFC 8832 §5.1)."""


class ChannelState(enum.Enum):
    """RTCDataChannelState."""

    CONNECTING = "connecting"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


@attrs.frozen(kw_only=True)
class ChannelOptions:
    """What a channel is opened with.

    Attributes:
        label: a name, not unique.
        protocol: a subprotocol's name.
        ordered: whether messages arrive in order.
        max_retransmits: how often a message is sent again; None for as often as it takes.
        max_lifetime: seconds for which a message is tried; None for ever. Not with the above.
        negotiated: both sides make the channel, with one `id`, without asking.
        id: the stream; chosen by the DTLS role if None.
        priority: its share beside the other channels.

    """

    label: str = ""
    protocol: str = ""
    ordered: bool = True
    max_retransmits: int | None = attrs.field(default=None)
    max_lifetime: float | None = attrs.field(default=None)
    negotiated: bool = False
    id: int | None = attrs.field(default=None)
    priority: int = attrs.field(default=Priority.LOW)

    def __attrs_post_init__(self) -> None:
        if self.max_retransmits is not None and self.max_lifetime is not None:
            raise ValueError("max_retransmits and max_lifetime exclude each other")
        if self.max_retransmits is not None and not 0 <= self.max_retransmits <= _MAX_RETRANSMITS:
            raise ValueError(f"max_retransmits is from 0 to {_MAX_RETRANSMITS}")
        if self.max_lifetime is not None and not 0 <= self.max_lifetime <= _MAX_LIFETIME:
            raise ValueError(f"max_lifetime is from 0 to {_MAX_LIFETIME} seconds")
        if self.negotiated and self.id is None:
            raise ValueError("a negotiated channel needs an id")
        if self.id is not None and not 0 <= self.id <= MAX_CHANNEL_ID:
            raise ValueError(f"an id is from 0 to {MAX_CHANNEL_ID}")
        if max(len(self.label.encode()), len(self.protocol.encode())) > MAX_NAME_SIZE:
            raise ValueError(f"label and protocol are from 0 to {MAX_NAME_SIZE} bytes")
        if not 0 <= self.priority <= 0xFFFF:
            raise ValueError("a priority is from 0 to 65535")

    @property
    def reliability(self) -> Reliability:
        """For messages."""
        return Reliability(max_retransmits=self.max_retransmits, lifetime=self.max_lifetime)

    def to_open(self) -> Open:
        """Return the DATA_CHANNEL_OPEN that says this."""
        lifetime = self.max_lifetime
        return Open(
            label=self.label,
            protocol=self.protocol,
            ordered=self.ordered,
            max_retransmits=self.max_retransmits,
            max_lifetime_ms=None if lifetime is None else round(lifetime * _MS),
            priority=self.priority,
        )

    @classmethod
    def of_open(cls, opening: Open, stream_id: int) -> ChannelOptions:
        """Return what a DATA_CHANNEL_OPEN on a stream says."""
        lifetime = opening.max_lifetime_ms
        return cls(
            label=opening.label,
            protocol=opening.protocol,
            ordered=opening.ordered,
            max_retransmits=opening.max_retransmits,
            max_lifetime=None if lifetime is None else lifetime / _MS,
            id=stream_id,
            priority=opening.priority,
        )


class Owner(Protocol):
    """What a channel asks of `DataChannels`."""

    def send(
        self, channel: DataChannel, data: str | bytes | bytearray | memoryview, now: float
    ) -> None:
        """Queue a message."""

    def close_channel(self, channel: DataChannel) -> None:
        """Begin to close."""

    def freed(self, size: int) -> None:
        """Note that a message was taken."""

    def forget_messages(self, channel: DataChannel) -> None:
        """Note that messages will never be taken."""

    def buffered_in(self, channel: DataChannel) -> int:
        """Return bytes that wait."""

    def set_low_threshold(self, channel: DataChannel, threshold: int) -> None:
        """Watch the buffered amount."""


class DataChannel:
    """A channel: an SCTP stream each way with one identifier.

    Made by `DataChannels.open`, or by the peer.

    Attributes:
        options: what it was opened with.
        id: its stream, None until the DTLS role is known.
        state: where it is.

    """

    def __init__(self, owner: Owner, options: ChannelOptions) -> None:
        self._owner = owner
        self.options = options
        self.id = options.id
        self.state = ChannelState.CONNECTING
        self.inbox: deque[tuple[str | bytes, int]] = deque()
        self.is_announced = options.negotiated
        self.resets_due = {"incoming", "outgoing"}
        self._low_threshold = 0

    def __repr__(self) -> str:
        return f"<DataChannel {self.id} {self.options.label!r} {self.state.value}>"

    @property
    def label(self) -> str:
        """Its name."""
        return self.options.label

    def send(self, data: str | bytes | bytearray | memoryview, now: float) -> None:
        """Queue a message.

        Args:
            data: text or bytes, kept as they are now.
            now: monotonic seconds, from when a lifetime counts.

        Raises:
            SctpStateError: the channel is not open.
            MessageTooLongError: it is longer than the peer takes.
            SendBufferFullError: too much is queued already; nothing was added.

        """
        if self.state is not ChannelState.OPEN:
            raise SctpStateError(f"the channel is {self.state.value}")
        self._owner.send(self, data, now)

    def take_message(self) -> str | bytes | None:
        """Return the next message, text or bytes, and give its room back to the peer."""
        if not self.inbox:
            return None
        data, size = self.inbox.popleft()
        self._owner.freed(size)
        return data

    def forget_messages(self) -> None:
        """Say that nobody will take any: their room goes back to the peer. From any thread."""
        self._owner.forget_messages(self)

    def close(self) -> None:
        """Close once everything queued has arrived."""
        self._owner.close_channel(self)

    @property
    def buffered_amount(self) -> int:
        """Bytes queued and not sent yet."""
        return self._owner.buffered_in(self)

    @property
    def buffered_amount_low_threshold(self) -> int:
        """Falling to this many bytes or below is told by `BufferedAmountLow`."""
        return self._low_threshold

    @buffered_amount_low_threshold.setter
    def buffered_amount_low_threshold(self, threshold: int) -> None:
        self._low_threshold = threshold
        self._owner.set_low_threshold(self, threshold)


@attrs.frozen(slots=True)
class ChannelOpened:
    """A channel can be sent on; `by_peer` if it was the peer that made it."""

    channel: DataChannel
    by_peer: bool = False


@attrs.frozen(slots=True)
class MessagesReady:
    """A channel whose messages had all been taken has one again."""

    channel: DataChannel


@attrs.frozen(slots=True)
class BufferedAmountLow:
    """A channel's buffered amount fell to its threshold."""

    channel: DataChannel


@attrs.frozen(slots=True)
class ChannelClosing:
    """The peer closes a channel."""

    channel: DataChannel


@attrs.frozen(slots=True)
class ChannelClosed:
    """A channel has ended; what it received can still be taken. `error` says what went wrong."""

    channel: DataChannel
    error: str = ""
