"""A sender and a receiver that share a media section (W3C webrtc-pc §5.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from webrtc.encoding import Encoding
from webrtc.receiver import RtpReceiver
from webrtc.sdp import Codec, Direction, MediaKind
from webrtc.sdp.transceiver import Transceiver as TransceiverCore
from webrtc.sender import RtpSender


class RtpTransceiver:
    """One media section, or one that the next exchange will make. Made by `PeerConnection`.

    Args:
        core: as negotiation knows it.
        encodings: the streams that our track is sent as.
        changed: is called when an exchange may be needed.
        codecs: what may be negotiated, in order.

    Attributes:
        codecs: likewise (W3C: getCapabilities).
        sender: sends our track.
        receiver: receives the peer's.

    """

    def __init__(
        self,
        core: TransceiverCore,
        encodings: Iterable[Encoding],
        changed: Callable[[], None],
        codecs: Iterable[Codec] = (),
    ) -> None:
        self._core = core
        self.codecs = tuple(codecs)
        self._changed = changed
        self.sender = RtpSender(core.kind, encodings)
        self.receiver = RtpReceiver(core.kind)

    def __repr__(self) -> str:
        return f"<RtpTransceiver {self.mid} {self.kind.value} {self.direction.value}>"

    @property
    def kind(self) -> MediaKind:
        """Audio or video."""
        return self._core.kind

    @property
    def mid(self) -> str | None:
        """Its section's name; None until there is one."""
        return self._core.mid

    @property
    def direction(self) -> Direction:
        """What is wanted; setting it needs an exchange to take effect."""
        return self._core.direction

    @direction.setter
    def direction(self, direction: Direction) -> None:
        self._core.direction = direction
        self._changed()

    @property
    def current_direction(self) -> Direction | None:
        """What was agreed on last; None before that."""
        return self._core.current_direction

    @property
    def track_id(self) -> str:
        """What our track is called."""
        return self._core.track_id

    @property
    def remote_track_id(self) -> str | None:
        """What the peer calls its track, where it says so."""
        return self._core.remote_track_id

    @property
    def stream_ids(self) -> tuple[str, ...]:
        """The MediaStreams that our track is in."""
        return self._core.stream_ids

    @property
    def remote_stream_ids(self) -> tuple[str, ...]:
        """The MediaStreams that the peer's track is in."""
        return self._core.remote_stream_ids

    @property
    def is_stopped(self) -> bool:
        """Whether it has stopped, or will with the next exchange."""
        return not self._core.is_active

    def set_codec_preferences(self, codecs: Iterable[Codec]) -> None:
        """Negotiate these codecs alone, the most wanted first; none: all there are.

        Args:
            codecs: of `codecs`. Without rtx nothing is sent again, without red and ulpfec there
                is no FEC.

        Raises:
            ValueError: one of them is none of `codecs`, or they only accompany others.

        """
        wanted = tuple(codecs)
        for codec in wanted:
            if codec not in self.codecs:
                raise ValueError(f"{codec.mime_type} is none of this transceiver's codecs")
        if wanted and all(codec.is_auxiliary for codec in wanted):
            raise ValueError("nothing can be sent with these codecs alone")
        self._core.codecs = wanted or None
        self._changed()

    def stop(self) -> None:
        """Stop for good: nothing is sent or received; the next exchange tells the peer."""
        self._core.stop()
        self.sender.stop()
        self.receiver.stop()
        self._changed()


@attrs.frozen
class TrackEvent:
    """The peer sends a track from now on (W3C: the track event).

    Attributes:
        transceiver: whose receiver receives it.
        stream_ids: the MediaStreams that it is in.

    """

    transceiver: RtpTransceiver
    stream_ids: tuple[str, ...]

    @property
    def receiver(self) -> RtpReceiver:
        """What to read it from."""
        return self.transceiver.receiver

    @property
    def kind(self) -> MediaKind:
        """Audio or video."""
        return self.transceiver.kind
