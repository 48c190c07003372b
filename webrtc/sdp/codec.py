"""Codecs as offers and answers know them: name, clock, payload type, parameters and feedback.

`read_codecs` takes them out of a section's rtpmap, fmtp and rtcp-fb lines, `codec_attributes`
writes these. Which codecs go together is in `codec_matching`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator

import attrs

from webrtc.sdp.attributes import Attribute, Fmtp, RtcpFeedback, RtpMap
from webrtc.sdp.description import MediaSection

Parameters = tuple[tuple[str, str | None], ...]


class MediaKind(enum.Enum):
    """What a transceiver carries, by its name on the m= line."""

    AUDIO = "audio"
    VIDEO = "video"


AUXILIARY = frozenset({"rtx", "red", "ulpfec", "flexfec-03", "flexfec", "cn", "telephone-event"})
"""Formats that carry no media of their own: with these alone nothing can be sent."""

STATIC_PAYLOAD_TYPES = {
    # RFC 3551 §6; those that WebRTC still meets without an rtpmap.
    0: ("PCMU", 8000),
    8: ("PCMA", 8000),
    9: ("G722", 8000),
    13: ("CN", 8000),
}


@attrs.frozen(kw_only=True)
class Codec:
    """A format of a media section.

    Attributes:
        kind: audio or video.
        name: the encoding's name as it was written; compare it by `key`.
        clock_rate: in Hz, of the RTP timestamps.
        channels: of audio; 1 for video.
        payload_type: 0 to 127; in a table of codecs the one that is wanted.
        parameters: of ``a=fmtp``, in order; value None where there is no ``=``.
        feedback: of ``a=rtcp-fb``: ``nack``, ``nack pli``, ``ccm fir``, ``transport-cc``…

    """

    kind: MediaKind
    name: str
    clock_rate: int
    channels: int = 1
    payload_type: int
    parameters: Parameters = ()
    feedback: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The name in lower case: names don't differ by it (RFC 8866 §6.6)."""
        return self.name.lower()

    @property
    def mime_type(self) -> str:
        """Such as ``video/VP8``."""
        return f"{self.kind.value}/{self.name}"

    def parameter(self, name: str) -> str | None:
        """Return a parameter's value; names don't differ by case (RFC 6838 §4.3)."""
        wanted = name.lower()
        return next((value for key, value in self.parameters if key.lower() == wanted), None)

    @property
    def is_auxiliary(self) -> bool:
        """Whether it only accompanies others: rtx, red, FEC, comfort noise, tones."""
        return self.key in AUXILIARY

    @property
    def is_rtx(self) -> bool:
        """Whether it retransmits another format (RFC 4588)."""
        return self.key == "rtx"

    @property
    def associated_payload_types(self) -> tuple[int, ...]:
        """The payload types that its parameters name.

        Of rtx the one it retransmits (RFC 4588 §8.6), of RED those it may hold (RFC 2198 §5).
        """
        if self.is_rtx:
            values = [self.parameter("apt") or ""]
        elif self.key == "red" and len(self.parameters) == 1 and self.parameters[0][1] is None:
            values = self.parameters[0][0].split("/")
        else:
            return ()
        return tuple(int(value) for value in values if value.isdecimal() and len(value) <= 3)

    @property
    def dependence(self) -> int:
        """How late it is to be looked at: plain formats, RED that names some, rtx that may name it.

        What its parameters refer to has a smaller number.
        """
        if self.is_rtx:
            return 2
        return 1 if self.associated_payload_types else 0

    def with_payload_types(self, payload_type: int, associated: Iterable[int]) -> Codec:
        """Return it with another payload type, and others in its parameters."""
        parameters = self.parameters
        if self.is_rtx:
            (apt,) = associated
            others = tuple(pair for pair in parameters if pair[0].lower() != "apt")
            parameters = (("apt", str(apt)), *others)
        elif self.associated_payload_types:
            parameters = (("/".join(map(str, associated)), None),)
        return attrs.evolve(self, payload_type=payload_type, parameters=parameters)


def read_codecs(section: MediaSection) -> tuple[Codec, ...]:
    """Return the codecs of an audio or video section in its order of preference.

    Formats that no rtpmap explains, and that are not static, are left out; so is rtx without
    an ``apt``, which nothing can be done with.
    """
    kind = MediaKind(section.media)
    maps = {entry.payload_type: entry for entry in reversed(section.every(RtpMap))}
    parameters = {entry.payload_type: entry.parameters for entry in section.every(Fmtp)}
    feedback = section.every(RtcpFeedback)
    codecs = []
    for form in dict.fromkeys(section.formats):
        payload_type = int(form) if form.isdecimal() and len(form) <= 3 else 128
        entry = maps.get(payload_type)
        if entry is None and payload_type in STATIC_PAYLOAD_TYPES:
            entry = RtpMap(payload_type, *STATIC_PAYLOAD_TYPES[payload_type])
        if entry is None:
            continue
        codec = Codec(
            kind=kind,
            name=entry.name,
            clock_rate=entry.clock_rate,
            channels=entry.channels or 1,
            payload_type=payload_type,
            parameters=parameters.get(payload_type, ()),
            feedback=tuple(_feedback(feedback, payload_type)),
        )
        if not codec.is_rtx or codec.associated_payload_types:
            codecs.append(codec)
    return tuple(codecs)


def _feedback(lines: Iterable[RtcpFeedback], payload_type: int) -> Iterator[str]:
    for line in lines:
        if line.payload_type in (None, payload_type):
            yield line.kind if line.parameter is None else f"{line.kind} {line.parameter}"


def codec_attributes(codec: Codec) -> Iterator[Attribute]:
    """Yield the lines of a codec: rtpmap, rtcp-fb, fmtp."""
    channels = codec.channels if codec.channels > 1 else None
    yield RtpMap(codec.payload_type, codec.name, codec.clock_rate, channels)
    for entry in codec.feedback:
        kind, _, parameter = entry.partition(" ")
        yield RtcpFeedback(codec.payload_type, kind, parameter or None)
    if codec.parameters:
        yield Fmtp(codec.payload_type, codec.parameters)
