"""The transceivers of a peer connection: their tasks, parameters, and what arrives for them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable

import attrs
import trio

from webrtc.encoding import Encoding, EncodingParameters
from webrtc.receiver import Queue
from webrtc.rtp import (
    FrameReceived,
    KeyFrameRequested,
    LossReported,
    PacketReceived,
    RtpEvent,
    TargetBitrateChanged,
)
from webrtc.rtp_parameters import extension_map
from webrtc.sdp import Direction, MediaKind, SimulcastLayer, Sources
from webrtc.sdp.session import JsepSession
from webrtc.sdp.transceiver import Transceiver as TransceiverCore
from webrtc.sender import AUDIO_BPS, RtpSender
from webrtc.transceiver import RtpTransceiver, TrackEvent
from webrtc.transport import PeerTransport

MAX_TRACK_EVENTS = 1024
MIN_VIDEO_BPS = 30_000


class TransceiverTable:
    """All transceivers that have not stopped.

    Args:
        jsep: negotiation.
        cname: ours.
        changed: is called when an exchange may be needed.

    Attributes:
        tracks: the peer's tracks, as they come.

    """

    def __init__(self, jsep: JsepSession, cname: str, changed: Callable[[], None]) -> None:
        self.tracks: Queue[TrackEvent] = Queue(MAX_TRACK_EVENTS)
        self._jsep = jsep
        self._cname = cname
        self._changed = changed
        self._shells: dict[TransceiverCore, RtpTransceiver] = {}
        self._scopes: dict[TransceiverCore, trio.CancelScope] = {}

    @property
    def transceivers(self) -> tuple[RtpTransceiver, ...]:
        """In the order in which they were made."""
        return tuple(self._shells.values())

    def add(
        self,
        kind: MediaKind,
        nursery: trio.Nursery,
        *,
        direction: Direction,
        stream_ids: Iterable[str],
        by_track: bool,
        encodings: Iterable[EncodingParameters] = (),
    ) -> RtpTransceiver:
        """Make a transceiver, which the next offer asks a section for."""
        wanted = tuple(encodings)
        core = self._jsep.add_transceiver(
            kind,
            track_id=secrets.token_hex(16),
            direction=direction,
            stream_ids=stream_ids,
            added_by_track=by_track,
            send_layers=[SimulcastLayer(rid=each.rid) for each in wanted if each.rid is not None],
        )
        return self.adopt(core, nursery, wanted)

    def adopt(
        self,
        core: TransceiverCore,
        nursery: trio.Nursery,
        encodings: Iterable[EncodingParameters] = (),
    ) -> RtpTransceiver:
        """Give a transceiver of negotiation's its shell."""
        streams = tuple(
            Encoding(core.kind, parameters, self._sources(core.kind))
            for parameters in tuple(encodings) or (EncodingParameters(),)
        )
        if len(streams) == 1:  # those of a simulcast are known by their RIDs (RFC 9429 §5.2.1)
            core.sources = (streams[0].sources,)
        codecs = self._jsep.codecs_of(core.kind)
        shell = self._shells[core] = RtpTransceiver(core, streams, self._changed, codecs)
        scope = self._scopes[core] = trio.CancelScope()
        nursery.start_soon(_run, shell, scope)
        return shell

    def _sources(self, kind: MediaKind) -> Sources:
        rtx_ssrc = _ssrc() if kind is MediaKind.VIDEO else None
        return Sources(ssrc=_ssrc(), rtx_ssrc=rtx_ssrc, cname=self._cname)

    def reusable(self, kind: MediaKind) -> RtpTransceiver | None:
        """Return one that a track may be added to: it has none, and has never sent."""
        return next(
            (
                shell
                for core, shell in self._shells.items()
                if core.kind is kind
                and core.is_active
                and shell.sender.track is None
                and not core.has_sent
            ),
            None,
        )

    def use_for_track(self, shell: RtpTransceiver, stream_ids: Iterable[str]) -> None:
        """Let a transceiver send a track that was added."""
        core = next(core for core, other in self._shells.items() if other is shell)
        core.added_by_track = True
        core.stream_ids = tuple(stream_ids)
        shell.direction = Direction.of(send=True, receive=core.direction.receives)

    def remove(self, core: TransceiverCore) -> None:
        """Forget one that has stopped, or was rolled back."""
        shell = self._shells.pop(core, None)
        scope = self._scopes.pop(core, None)
        if shell is not None and scope is not None:
            shell.sender.stop()
            shell.receiver.stop()
            scope.cancel()

    def configure(
        self, core: TransceiverCore, find_transport: Callable[[str], PeerTransport | None]
    ) -> None:
        """Follow negotiation."""
        shell = self._shells.get(core)
        if shell is None:
            return
        transport = find_transport(core.mid) if core.mid is not None else None
        if transport is not None:
            self._tell_session(transport)
        is_active = core.is_active
        shell.receiver.configure(
            transport,
            core.receive if is_active else None,
            next(iter(core.remote_stream_ids), ""),
        )
        shell.sender.configure(transport, core.send if is_active else None)
        if transport is not None:
            self.share(transport)

    def _tell_session(self, transport: PeerTransport) -> None:
        """Bring the session's header extensions up to date, before any of its streams."""
        parameters = [
            each
            for core in self._shells
            if core.mid in transport.parameters.mids
            for each in (core.send, core.receive)
            if each is not None
        ]
        extensions = dict.fromkeys(entry for each in parameters for entry in each.header_extensions)
        transport.rtp.config = attrs.evolve(
            transport.rtp.config,
            reduced_size=all(each.reduced_size_rtcp for each in parameters),
        )
        transport.rtp.set_extensions(extension_map(extensions))

    def track_added(self, core: TransceiverCore, stream_ids: tuple[str, ...]) -> None:
        """Tell of a track of the peer's."""
        shell = self._shells.get(core)
        if shell is not None:
            self.tracks.put(TrackEvent(shell, stream_ids))

    def take(self, transport: PeerTransport, event: RtpEvent) -> None:
        """Pass on what an RTP session tells. Hot."""
        match event:
            case FrameReceived(mid):
                shell = self._of(mid)
                if shell is not None:
                    shell.receiver.take_frame(event)
            case PacketReceived(mid):
                shell = self._of(mid)
                if shell is not None:
                    shell.receiver.take_packet(event)
            case KeyFrameRequested(ssrc):
                for shell in self._shells.values():
                    shell.sender.request_key_frame(ssrc)
            case TargetBitrateChanged():
                self.share(transport)
            case LossReported(ssrc, loss):
                for shell in self._shells.values():
                    if shell.sender.has_ssrc(ssrc):
                        shell.sender.set_expected_loss(loss)
                self.share(transport)

    def _of(self, mid: str) -> RtpTransceiver | None:
        return next((shell for core, shell in self._shells.items() if core.mid == mid), None)

    def share(self, transport: PeerTransport) -> None:
        """Deal the transport's bit rate out: audio what it needs, video the rest evenly.

        Tell the transport, too, what there is a use for.
        """
        senders = [
            shell.sender
            for core, shell in self._shells.items()
            if core.mid in transport.parameters.mids and core.send is not None
        ]
        video = [sender for sender in senders if sender.kind is MediaKind.VIDEO]
        if video:
            audio_bps = AUDIO_BPS * (len(senders) - len(video))
            transport.rtp.want(_wanted(video, audio_bps))
            rest = transport.rtp.target_bps - audio_bps
            for sender in video:
                # What protects the pictures is paid for by them.
                rate = rest / len(video) / (1 + sender.fec_ratio)
                sender.set_bit_rate(max(round(rate), MIN_VIDEO_BPS))

    def look(self) -> None:
        """Let senders see whether they can begin: a transport's state changed."""
        for shell in self._shells.values():
            shell.sender.look()

    def close(self) -> None:
        """End every iterator."""
        for core in list(self._shells):
            self.remove(core)
        self.tracks.close()


async def _run(shell: RtpTransceiver, scope: trio.CancelScope) -> None:
    with scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shell.sender.run)
            nursery.start_soon(shell.receiver.run)


def _wanted(video: Iterable[RtpSender], audio_bps: int) -> float | None:
    """Return what there is a use for, FEC included; None if nobody knows."""
    wanted: float = audio_bps
    for sender in video:
        useful = sender.useful_bps
        if useful is None:
            return None
        wanted += useful * (1 + sender.fec_ratio)
    return wanted


def _ssrc() -> int:
    return 1 + secrets.randbelow(0xFFFFFFFE)
