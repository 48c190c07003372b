"""From what was negotiated to what the RTP session is told: plain functions of values."""

from __future__ import annotations

from collections.abc import Iterable

from webrtc.media.codecs import CodecName
from webrtc.media.errors import UnknownCodecError
from webrtc.rtp import Codec, CodecRole, ExtensionMap, ReceiverConfig, SenderConfig
from webrtc.sdp import Codec as SdpCodec
from webrtc.sdp import ExtMap, ReceiveParameters, SendParameters, Sources

_WITH_PICTURE_IDS = frozenset({"vp8", "vp9"})


def rtp_codec(codec: SdpCodec) -> Codec:
    """Return a negotiated codec as RTP knows it."""
    feedback = set(codec.feedback)
    return Codec(
        payload_type=codec.payload_type,
        name=codec.name,
        clock_rate=codec.clock_rate,
        channels=codec.channels,
        apt=next(iter(codec.associated_payload_types), None) if codec.is_rtx else None,
        nack="nack" in feedback,
        pli="nack pli" in feedback,
        fir="ccm fir" in feedback,
        remb="goog-remb" in feedback,
        transport_cc="transport-cc" in feedback,
    )


def is_codec_of_ours(codec: SdpCodec) -> bool:
    """Whether `webrtc.media` encodes and decodes it."""
    try:
        CodecName.find(codec.name)
    except UnknownCodecError:
        return False
    return True


def send_codec(parameters: SendParameters) -> SdpCodec | None:
    """Return the codec to encode with: the peer's first that we can, or None."""
    return next((codec for codec in parameters.codecs if is_codec_of_ours(codec)), None)


def sender_config(
    parameters: SendParameters, sources: Sources, rid: str | None = None
) -> SenderConfig:
    """Return how to send one stream; the codecs that carry media, the preferred one first."""
    codecs = [rtp_codec(codec) for codec in parameters.codecs]
    media = tuple(codec for codec in codecs if codec.role is CodecRole.MEDIA)
    fec = _fec_payload_types(parameters, codecs)
    rtx = {
        codec.apt: codec.payload_type
        for codec in codecs
        if codec.role is CodecRole.RTX and codec.apt is not None
    }
    return SenderConfig(
        mid=parameters.mid,
        ssrc=sources.ssrc,
        codecs=media,
        rid=rid,
        rtx_ssrc=sources.rtx_ssrc if rtx else None,
        rtx_payload_types=rtx,
        red_payload_type=fec[0] if fec is not None else None,
        ulpfec_payload_type=fec[1] if fec is not None else None,
    )


def _fec_payload_types(
    parameters: SendParameters, codecs: Iterable[Codec]
) -> tuple[int, int] | None:
    """Return those of RED and ULPFEC, if FEC is of use."""
    roles = {codec.role: codec.payload_type for codec in codecs}
    encoded = send_codec(parameters)
    # FEC packets take sequence numbers of the media's. A decoder of the other codecs cannot tell
    # a lost one from a hole in a frame, and would wait for it: libwebrtc sends none there either.
    if encoded is None or encoded.key not in _WITH_PICTURE_IDS:
        return None
    if CodecRole.RED not in roles or CodecRole.ULPFEC not in roles:
        return None
    return roles[CodecRole.RED], roles[CodecRole.ULPFEC]


def receiver_config(
    parameters: ReceiveParameters, *, sync_group: str, wants_packets: bool
) -> ReceiverConfig:
    """Return how to receive one section."""
    return ReceiverConfig(
        mid=parameters.mid,
        codecs=tuple(rtp_codec(codec) for codec in parameters.codecs),
        ssrcs=tuple(source.ssrc for source in parameters.sources),
        rtx_ssrcs={
            source.rtx_ssrc: source.ssrc
            for source in parameters.sources
            if source.rtx_ssrc is not None
        },
        sync_group=sync_group,
        wants_packets=wants_packets,
    )


def extension_map(extensions: Iterable[ExtMap]) -> ExtensionMap:
    """Return the identifiers of a transport's header extensions."""
    return ExtensionMap({entry.id: entry.uri for entry in extensions})
