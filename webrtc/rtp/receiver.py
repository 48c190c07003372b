"""What one media description receives: its streams by SSRC and RID, and the RTX ones with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from webrtc.rtp.codec import Codec, CodecRole
from webrtc.rtp.errors import RtpDecodeError
from webrtc.rtp.header_extensions import ExtensionMap, HeaderExtensions
from webrtc.rtp.packet import RtpPacket
from webrtc.rtp.receive_stream import ReceiveStream
from webrtc.rtp.rtx import unwrap_rtx

MAX_STREAMS = 16
"""Streams of one description: simulcast has three; a sender that changes its SSRC, a few."""
STALE = 10.0
"""Seconds without a packet, after which a stream makes room for a new one."""


@attrs.frozen
class ReceiverConfig:
    """What was negotiated.

    Attributes:
        mid: of the media description.
        codecs: those that we receive, RTX, RED and ULPFEC among them.
        ssrcs: that `a=ssrc` lines announce.
        rtx_ssrcs: RTX stream to the one it repairs, of `a=ssrc-group:FID`.
        sync_group: streams of one group are played in sync; empty for none.
        wants_packets: raise `PacketReceived` instead of frames: no jitter buffer, for forwarding.

    """

    mid: str
    codecs: tuple[Codec, ...]
    ssrcs: tuple[int, ...] = ()
    rtx_ssrcs: Mapping[int, int] = attrs.field(factory=dict)
    sync_group: str = ""
    wants_packets: bool = False


@attrs.define(slots=True)
class _Entry:
    stream: ReceiveStream
    last_at: float


class Receiver:
    """Of one media description.

    Attributes:
        config: as negotiated.
        refused: packets of streams that there was no room for, or that repair an unknown one.
        malformed: RTX packets that did not parse.

    """

    def __init__(self, config: ReceiverConfig, extensions: ExtensionMap) -> None:
        self.config = config
        self._extensions = extensions
        self._codecs = {codec.payload_type: codec for codec in config.codecs}
        self._entries: dict[int, _Entry] = {}
        self._rtx: dict[int, int] = dict(config.rtx_ssrcs)
        self._rids: dict[str, int] = {}
        self.refused = 0
        self.malformed = 0

    @property
    def streams(self) -> Iterator[ReceiveStream]:
        """All streams."""
        return (entry.stream for entry in self._entries.values())

    def set_extensions(self, extensions: ExtensionMap) -> None:
        """Take a new map of header extensions."""
        self._extensions = extensions
        for stream in self.streams:
            stream.extensions = extensions

    def stream(self, ssrc: int) -> ReceiveStream | None:
        """Return the stream of this SSRC."""
        entry = self._entries.get(ssrc)
        return None if entry is None else entry.stream

    def remove(self, ssrc: int) -> ReceiveStream | None:
        """Forget a stream that said goodbye."""
        entry = self._entries.pop(ssrc, None)
        if entry is None:
            return None
        self._rids = {rid: owner for rid, owner in self._rids.items() if owner != ssrc}
        self._rtx = {rtx: owner for rtx, owner in self._rtx.items() if owner != ssrc}
        return entry.stream

    def receive(
        self, packet: RtpPacket, extensions: HeaderExtensions, now: float
    ) -> tuple[ReceiveStream, RtpPacket, bool] | None:
        """Find a packet's stream. Runs per packet.

        Returns:
            The stream; the packet, unwrapped if it was a retransmission; whether it was one.
            None if it is to be dropped.

        """
        codec = self._codecs.get(packet.payload_type)
        if codec is None:
            self.refused += 1
            return None
        if codec.role is CodecRole.RTX:
            return self._receive_rtx(packet, codec, extensions, now)
        entry = self._entries.get(packet.ssrc)
        if entry is None:
            entry = self._begin(packet, codec, now)
            if entry is None:
                return None
        entry.last_at = now
        if extensions.rid is not None and entry.stream.rid is None:
            entry.stream.rid = extensions.rid
            self._rids[extensions.rid] = packet.ssrc
        return entry.stream, packet, False

    def _begin(self, packet: RtpPacket, codec: Codec, now: float) -> _Entry | None:
        if len(self._entries) >= MAX_STREAMS:
            ssrc, oldest = min(self._entries.items(), key=lambda item: item[1].last_at)
            if now - oldest.last_at < STALE:
                self.refused += 1
                return None
            self.remove(ssrc)
        stream = ReceiveStream(packet.ssrc, self._codecs, self._extensions, codec)
        entry = self._entries[packet.ssrc] = _Entry(stream, now)
        return entry

    def _receive_rtx(
        self, packet: RtpPacket, codec: Codec, extensions: HeaderExtensions, now: float
    ) -> tuple[ReceiveStream, RtpPacket, bool] | None:
        entry = self._repaired(packet.ssrc, extensions)
        if entry is None or codec.apt is None:
            self.refused += 1
            return None
        try:
            original = unwrap_rtx(packet, ssrc=entry.stream.ssrc, payload_type=codec.apt)
        except RtpDecodeError:
            self.malformed += 1
            return None
        if original is None:
            return None  # padding
        entry.last_at = now
        return entry.stream, original, True

    def _repaired(self, rtx_ssrc: int, extensions: HeaderExtensions) -> _Entry | None:
        """Return the stream that an RTX stream repairs."""
        ssrc = self._rtx.get(rtx_ssrc)
        if ssrc is None:
            if extensions.repaired_rid is not None:
                ssrc = self._rids.get(extensions.repaired_rid)
            elif len(self._entries) == 1:
                # RFC 4588 §5.3 has a receiver guess by sequence numbers; with one stream there
                # is nothing to guess.
                ssrc = next(iter(self._entries))
            if ssrc is None:
                return None
            if len(self._rtx) < 2 * MAX_STREAMS:
                self._rtx[rtx_ssrc] = ssrc
        return self._entries.get(ssrc)
