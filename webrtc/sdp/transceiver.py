"""A transceiver as negotiation knows it: what a program wants of a section, and what it got.

`JsepSession.add_transceiver` and remote offers make them. A program sets the first group of
attributes whenever it likes and negotiates then; the session alone sets the second.
"""

from __future__ import annotations

import attrs

from webrtc.sdp.attributes import Direction
from webrtc.sdp.codec import Codec, MediaKind
from webrtc.sdp.description import Bandwidth
from webrtc.sdp.parameters import ReceiveParameters, SendParameters, SimulcastLayer, Sources


@attrs.define(eq=False, kw_only=True)
class Transceiver:
    """What one media section is, or will be, about.

    Attributes:
        kind: audio or video.
        direction: what is wanted.
        stream_ids: the MediaStreams that the sender's track is in.
        track_id: the sender's track; something random that need not be a track yet.
        sources: SSRCs to announce, one per layer; may be empty with ``mid`` extensions.
        send_layers: simulcast layers to send, the most wanted first; empty: no simulcast.
        receive_layers: simulcast layers that an offer of ours asks the peer to send.
        accepts_simulcast: whether layers that the peer offers to send are taken.
        codecs: of the settings' codecs those wanted here, in this order; None for all.
        receive_limit: a ``b=`` for the peer.
        added_by_track: whether a track that was added made it; only such a one may take a
            section that a peer's offer begins (RFC 9429 §5.10), and a rollback leaves it.

        is_from_peer: whether a peer's offer made it.
        mid: its section's name, once there is one.
        index: its section's number.
        current_direction: what was agreed on last; None before that.
        has_sent: whether it was ever agreed on that it sends: then no other track is added to it
            (W3C addTrack, step 7).
        stopping: whether it is to stop, which the next exchange tells the peer.
        stopped: whether it has stopped for good.
        send: how to send; None where nothing is to be sent.
        receive: how media arrives; None where nothing may.
        remote_stream_ids: the MediaStreams that the peer's track is in.
        remote_track_id: the peer's track, where it named it.

    """

    kind: MediaKind
    direction: Direction = Direction.SENDRECV
    stream_ids: tuple[str, ...] = ()
    track_id: str
    sources: tuple[Sources, ...] = ()
    send_layers: tuple[SimulcastLayer, ...] = ()
    receive_layers: tuple[SimulcastLayer, ...] = ()
    accepts_simulcast: bool = True
    codecs: tuple[Codec, ...] | None = None
    receive_limit: Bandwidth | None = None
    added_by_track: bool = False

    is_from_peer: bool = attrs.field(default=False, init=False)
    mid: str | None = attrs.field(default=None, init=False)
    index: int | None = attrs.field(default=None, init=False)
    current_direction: Direction | None = attrs.field(default=None, init=False)
    has_sent: bool = attrs.field(default=False, init=False)
    stopping: bool = attrs.field(default=False, init=False)
    stopped: bool = attrs.field(default=False, init=False)
    send: SendParameters | None = attrs.field(default=None, init=False)
    receive: ReceiveParameters | None = attrs.field(default=None, init=False)
    remote_stream_ids: tuple[str, ...] = attrs.field(default=(), init=False)
    remote_track_id: str | None = attrs.field(default=None, init=False)

    def stop(self) -> None:
        """Begin to stop: nothing is sent or received from now on; negotiate to tell the peer."""
        if not self.stopped:
            self.stopping = True
            self.direction = Direction.INACTIVE

    def leave(self) -> None:
        """Lose the section, and all that was agreed on in it; for `webrtc.sdp` alone."""
        self.mid = self.index = self.current_direction = None
        self.send = self.receive = None

    @property
    def is_active(self) -> bool:
        """Whether it neither stops nor has stopped."""
        return not self.stopping and not self.stopped
