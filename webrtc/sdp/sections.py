"""Media sections as we write them, in offers and in answers (RFC 9429 §5.2.1, §5.3.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import attrs

from ice_client.core import Credentials
from webrtc.dtls.setup import Setup
from webrtc.sdp.attributes import (
    Attribute,
    Direction,
    ExtMap,
    FingerprintLine,
    Flag,
    IceOptions,
    IcePwd,
    IceUfrag,
    MaxMessageSize,
    Mid,
    Msid,
    Rid,
    RidDirection,
    SctpMap,
    SctpPort,
    SetupLine,
    Simulcast,
    SimulcastLayers,
    SimulcastStream,
    Ssrc,
    SsrcGroup,
)
from webrtc.sdp.codec import Codec, codec_attributes
from webrtc.sdp.description import MediaSection
from webrtc.sdp.parameters import SimulcastLayer
from webrtc.sdp.settings import JsepSettings
from webrtc.sdp.transceiver import Transceiver

NO_ADDRESS = "IN IP4 0.0.0.0"
DISCARD_PORT = 9
"""What stands for an address and a port while there are none (RFC 8840 §4.1.1)."""

RTP_PROTOCOL = "UDP/TLS/RTP/SAVPF"
DATA_PROTOCOL = "UDP/DTLS/SCTP"
DATA_FORMAT = "webrtc-datachannel"


@attrs.frozen(kw_only=True)
class TransportText:
    """What a section says of its transport.

    Attributes:
        credentials: of our ICE agent.
        setup: who begins DTLS.
        is_repeated: whether an earlier section of the BUNDLE group says it already.

    """

    credentials: Credentials
    setup: Setup
    is_repeated: bool = False

    def attributes(self, settings: JsepSettings) -> Iterator[Attribute]:
        """Yield the lines."""
        if self.is_repeated and not settings.repeats_transport:
            return
        yield IceUfrag(self.credentials.username_fragment)
        yield IcePwd(self.credentials.password)
        yield IceOptions(("trickle", "ice2"))
        for fingerprint in settings.fingerprints:
            yield FingerprintLine(fingerprint)
        yield SetupLine(self.setup)


@attrs.frozen(kw_only=True)
class RtpPart:
    """What a section says of its media.

    Attributes:
        codecs: with payload types.
        extensions: with identifiers.
        direction: as we see it.
        send_layers: rids that we send.
        receive_layers: the layers that we receive, with alternatives.
        receive_rids: the lines of those.
        reduced_size: whether RTCP of reduced size is fine.
        mixed_extensions: whether one-byte and two-byte header extensions may be mixed.

    """

    codecs: Sequence[Codec]
    extensions: Sequence[ExtMap]
    direction: Direction
    send_layers: Sequence[SimulcastLayer] = ()
    receive_layers: SimulcastLayers = ()
    receive_rids: Sequence[Rid] = ()
    reduced_size: bool = True
    mixed_extensions: bool = True


def rtp_section(
    transceiver: Transceiver,
    mid: str,
    part: RtpPart,
    transport: Iterable[Attribute],
    settings: JsepSettings,
    *,
    protocol: str = RTP_PROTOCOL,
    flags: Iterable[Flag] = (),
    port: int = DISCARD_PORT,
) -> MediaSection:
    """Write a section of audio or video."""
    attributes: list[Attribute] = [Mid(mid), part.direction]
    if transceiver.direction.sends:
        # RFC 9429 §5.2.1: a sender that is in no MediaStream says "-". RFC 9429 §5.3.1 leaves the
        # line out of an answer that sends nothing; W3C's check for negotiation then finds it
        # missing, and two ends that want to send alone would offer to each other for ever.
        # Browsers write it whenever sending is wanted, and so do we.
        streams = transceiver.stream_ids or ("-",)
        attributes += [Msid(stream_id, transceiver.track_id) for stream_id in streams]
    attributes += transport
    attributes += [Flag.RTCP_MUX, *flags]
    if part.reduced_size:
        attributes.append(Flag.RTCP_REDUCED_SIZE)
    if part.mixed_extensions:
        attributes.append(Flag.EXTMAP_ALLOW_MIXED)
    attributes += part.extensions
    for codec in part.codecs:
        attributes += codec_attributes(codec)
    attributes += _simulcast(part)
    # While nothing is sent, too, as Firefox does: libwebrtc forgets where to show a source that is
    # no longer told of, and when it is told of it again it decodes and shows nothing.
    attributes += _sources(transceiver, settings.cname)
    limit = transceiver.receive_limit
    return MediaSection(
        media=transceiver.kind.value,
        port=port,
        protocol=protocol,
        formats=tuple(str(codec.payload_type) for codec in part.codecs),
        connection=NO_ADDRESS,
        bandwidths=() if limit is None else (limit,),
        attributes=tuple(attributes),
    )


def _simulcast(part: RtpPart) -> Iterator[Attribute]:
    for layer in part.send_layers:
        yield Rid(layer.rid, RidDirection.SEND, (), layer.restrictions)
    yield from part.receive_rids
    send: SimulcastLayers = ()
    if len(part.send_layers) > 1:  # RFC 9429 §5.2.1: one rid alone is no simulcast
        send = tuple((SimulcastStream(layer.rid, layer.paused),) for layer in part.send_layers)
    if send or part.receive_layers:
        yield Simulcast(send, part.receive_layers)


def _sources(transceiver: Transceiver, cname: str) -> Iterator[Attribute]:
    for sources in transceiver.sources:
        ssrcs = [sources.ssrc]
        for semantics, other in (("FID", sources.rtx_ssrc), ("FEC-FR", sources.fec_ssrc)):
            if other is not None:
                yield SsrcGroup(semantics, (sources.ssrc, other))
                ssrcs.append(other)
        for ssrc in ssrcs:
            yield Ssrc(ssrc, "cname", sources.cname or cname)


def asked_layers(layers: Iterable[SimulcastLayer]) -> tuple[SimulcastLayers, tuple[Rid, ...]]:
    """Return the layers and the rid lines that ask a peer to send these."""
    wanted = tuple(layers)
    rids = tuple(Rid(layer.rid, RidDirection.RECV, (), layer.restrictions) for layer in wanted)
    return tuple((SimulcastStream(layer.rid, layer.paused),) for layer in wanted), rids


def data_section(
    mid: str,
    transport: Iterable[Attribute],
    settings: JsepSettings,
    *,
    like: MediaSection | None = None,
    flags: Iterable[Flag] = (),
    port: int = DISCARD_PORT,
) -> MediaSection:
    """Write a section for data channels (RFC 8841); in the drafts' form if the offer has that."""
    attributes: list[Attribute] = [Mid(mid), *transport, *flags]
    if like is not None and like.protocol == "DTLS/SCTP":
        formats: tuple[str, ...] = (str(settings.sctp_port),)
        attributes.append(SctpMap(settings.sctp_port, DATA_FORMAT, 1024))
    else:
        formats = (DATA_FORMAT,)
        attributes.append(SctpPort(settings.sctp_port))
    attributes.append(MaxMessageSize(settings.max_message_size))
    return MediaSection(
        media="application",
        port=port,
        protocol=DATA_PROTOCOL if like is None else like.protocol,
        formats=formats,
        connection=NO_ADDRESS,
        attributes=tuple(attributes),
    )


def rejected_section(like: MediaSection, mid: str) -> MediaSection:
    """Write a section that is refused, or that has stopped: port 0, and no more than is needed.

    RFC 3264 §6: its formats stay. Its name stays so that BUNDLE and peers can tell of it.
    """
    return MediaSection(
        media=like.media,
        port=0,
        protocol=like.protocol,
        formats=like.formats or ("0",),
        connection=NO_ADDRESS,
        attributes=(Mid(mid), Direction.INACTIVE),
    )
