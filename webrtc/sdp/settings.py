"""What a program decides about its descriptions before it makes the first."""

from __future__ import annotations

import enum

import attrs

from webrtc.dtls.fingerprint import Fingerprint
from webrtc.dtls.setup import DtlsRole
from webrtc.sdp.attributes import ExtMap
from webrtc.sdp.codec import Codec
from webrtc.sdp.codec_table import AUDIO_EXTENSIONS, DEFAULT_CODECS, VIDEO_EXTENSIONS


class BundlePolicy(enum.Enum):
    """Which sections of a first offer could live without BUNDLE (RFC 9429 §4.1.1)."""

    BALANCED = "balanced"
    MAX_COMPAT = "max-compat"
    MAX_BUNDLE = "max-bundle"


@attrs.frozen(kw_only=True)
class JsepSettings:
    """How a `JsepSession` describes itself.

    Attributes:
        fingerprints: of our certificate, at least one.
        codecs: what may be negotiated, the most wanted first, audio and video. Payload types
            differ, and rtx and RED name those of this list.
        audio_extensions: RTP header extensions of audio, with the identifiers that are wanted.
        video_extensions: of video.
        bundle_policy: see there. Whatever it is, an offer of the peer's is bundled if it can be.
        requires_rtcp_mux: whether sections without rtcp-mux are rejected; RTCP has no transport
            of its own here, so that they cannot be used otherwise.
        preferred_role: of DTLS when the peer leaves it to us; None: client (RFC 8842 §5.3).
        is_lite: whether our ICE agent is lite.
        sctp_port: ours.
        max_message_size: bytes that we receive at most; 0: any.
        cname: RTCP's canonical name, written with SSRCs.
        repeats_transport: whether each section of a BUNDLE group repeats the attributes of
            its transport, as browsers do. RFC 9143 §7.1.3 wants them in the first alone, but
            webrtcbin refuses a section without an ice-ufrag.

    """

    fingerprints: tuple[Fingerprint, ...]
    codecs: tuple[Codec, ...] = DEFAULT_CODECS
    audio_extensions: tuple[ExtMap, ...] = AUDIO_EXTENSIONS
    video_extensions: tuple[ExtMap, ...] = VIDEO_EXTENSIONS
    bundle_policy: BundlePolicy = BundlePolicy.MAX_BUNDLE
    requires_rtcp_mux: bool = True
    preferred_role: DtlsRole | None = None
    is_lite: bool = False
    sctp_port: int = 5000
    max_message_size: int = 262_144
    cname: str = "-"
    repeats_transport: bool = True
