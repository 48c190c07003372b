"""From the text after ``a=`` to a value of `attributes`; the grammar of WebRTC's attributes."""

from __future__ import annotations

import re
from collections.abc import Callable

from ice_client.core import parse_candidate
from ice_client.errors import CandidateError
from webrtc.dtls.errors import FingerprintError
from webrtc.dtls.fingerprint import Fingerprint
from webrtc.dtls.setup import Setup
from webrtc.sdp.attributes import (
    Attribute,
    CandidateLine,
    Direction,
    ExtMap,
    FingerprintLine,
    Flag,
    Fmtp,
    Group,
    IceOptions,
    IcePwd,
    IceUfrag,
    MaxMessageSize,
    Mid,
    Msid,
    MsidSemantic,
    PacketTime,
    Rid,
    RidDirection,
    Rtcp,
    RtcpFeedback,
    RtpMap,
    SctpMap,
    SctpPort,
    SetupLine,
    Simulcast,
    SimulcastLayers,
    SimulcastStream,
    Ssrc,
    SsrcGroup,
    Unknown,
)

MAX_LIST = 1024
"""Entries of one line's list; real ones have tens."""

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,256}", re.ASCII)
_ICE_CHARS = re.compile(r"[A-Za-z0-9+/]{1,256}", re.ASCII)
_RID = re.compile(r"[A-Za-z0-9_-]{1,255}", re.ASCII)
_DIGITS = re.compile(r"[0-9]{1,20}", re.ASCII)


class MalformedValueError(ValueError):
    """A value's text is wrong; the parser adds the line to it. Never leaves this package."""


def number(text: str, minimum: int, maximum: int, name: str) -> int:
    """Read decimal digits within bounds.

    Raises:
        MalformedValueError: they are not.

    """
    if not _DIGITS.fullmatch(text) or not minimum <= int(text) <= maximum:
        raise MalformedValueError(f"{name} is no number within {minimum}-{maximum}")
    return int(text)


def token(text: str, name: str) -> str:
    """Return the text if it is a token of RFC 8866 §9.

    Raises:
        MalformedValueError: it is not.

    """
    if not _TOKEN.fullmatch(text):
        raise MalformedValueError(f"{name} is no token")
    return text


def _words(value: str) -> list[str]:
    words = value.split()
    if len(words) > MAX_LIST:
        raise MalformedValueError(f"{len(words)} entries are too many")
    return words


def _payload_type(text: str) -> int:
    return number(text, 0, 127, "payload type")


def _ice_chars(value: str) -> str:
    # No minimum here: RFC 8839's 4 and 22 are checked where the credentials are used, so that
    # a description can be read and shown before it is refused.
    if not _ICE_CHARS.fullmatch(value):
        raise MalformedValueError("it has other than 1 to 256 ice-chars")
    return value


def _candidate(value: str) -> Attribute:
    try:
        return CandidateLine(parse_candidate(f"candidate:{value}"))
    except CandidateError:
        return Unknown("candidate", value)  # RFC 8839 §5.1: ignored, not refused


def _fingerprint(value: str) -> Attribute:
    try:
        return FingerprintLine(Fingerprint.parse(value))
    except FingerprintError as error:
        raise MalformedValueError(str(error)) from error


def _setup(value: str) -> Attribute:
    try:
        return SetupLine(Setup(value))
    except ValueError:
        raise MalformedValueError("setup is none of active, passive, actpass, holdconn") from None


def _group(value: str) -> Attribute:
    words = _words(value)
    if not words:
        raise MalformedValueError("a group has semantics")
    return Group(token(words[0], "semantics"), tuple(token(word, "mid") for word in words[1:]))


def _msid(value: str) -> Attribute:
    words = _words(value)
    if not 1 <= len(words) <= 2:
        raise MalformedValueError("an msid is a stream's id and maybe a track's")
    return Msid(*words)


def _msid_semantic(value: str) -> Attribute:
    words = _words(value)
    if not words:
        raise MalformedValueError("msid-semantic names a semantic")
    return MsidSemantic(token(words[0], "semantic"), tuple(words[1:]))


def _rtpmap(value: str) -> Attribute:
    words = _words(value)
    if len(words) != 2:
        raise MalformedValueError("an rtpmap is a payload type and name/clock rate")
    parts = words[1].split("/")
    if not 2 <= len(parts) <= 3:
        raise MalformedValueError("an rtpmap's encoding is name/clock rate[/channels]")
    channels = number(parts[2], 1, 255, "channels") if len(parts) == 3 else None
    rate = number(parts[1], 1, 0xFFFFFFFF, "clock rate")
    return RtpMap(_payload_type(words[0]), token(parts[0], "encoding name"), rate, channels)


def parse_parameters(text: str) -> tuple[tuple[str, str | None], ...]:
    """Read ``name=value;name;…``; white space around the semicolons does no harm."""
    parts = [part.strip() for part in text.split(";")]
    if len(parts) > MAX_LIST:
        raise MalformedValueError(f"{len(parts)} parameters are too many")
    pairs = []
    for part in filter(None, parts):
        name, equals, value = part.partition("=")
        name = name.strip()
        if not name:
            raise MalformedValueError("a parameter has no name")
        pairs.append((name, value.strip() if equals else None))
    return tuple(pairs)


def _fmtp(value: str) -> Attribute:
    form, _, text = value.partition(" ")
    if not form.isdigit():
        return Unknown("fmtp", value)  # of another protocol than RTP: its formats have names
    parameters = parse_parameters(text)
    if not parameters:
        raise MalformedValueError("an fmtp has parameters")
    return Fmtp(_payload_type(form), parameters)


def _rtcp_feedback(value: str) -> Attribute:
    form, _, rest = value.partition(" ")
    kind, _, parameter = rest.strip().partition(" ")
    payload_type = None if form == "*" else _payload_type(form)
    return RtcpFeedback(payload_type, token(kind, "feedback"), parameter.strip() or None)


def _extmap(value: str) -> Attribute:
    words = value.split(None, 2)
    if len(words) < 2:
        raise MalformedValueError("an extmap is an identifier and a URI")
    identifier, slash, way = words[0].partition("/")
    try:
        direction = Direction(way) if slash else None
    except ValueError:
        raise MalformedValueError("an extmap's direction is unknown") from None
    # RFC 8285 §5 and §7: 1-14, 1-255, and 4096-4351 for those that have no room yet.
    entry = number(identifier, 1, 4351, "identifier")
    return ExtMap(entry, words[1], direction, words[2].strip() if len(words) == 3 else None)


def _ssrc(value: str) -> Attribute:
    ssrc, _, rest = value.partition(" ")
    name, colon, text = rest.strip().partition(":")
    identifier = number(ssrc, 0, 0xFFFFFFFF, "SSRC")
    return Ssrc(identifier, token(name, "attribute"), text if colon else None)


def _ssrc_group(value: str) -> Attribute:
    words = _words(value)
    if not words:
        raise MalformedValueError("an ssrc-group has semantics")
    ssrcs = tuple(number(word, 0, 0xFFFFFFFF, "SSRC") for word in words[1:])
    return SsrcGroup(token(words[0], "semantics"), ssrcs)


def _rid_name(text: str) -> str:
    if not _RID.fullmatch(text):
        raise MalformedValueError("a rid has 1 to 255 letters, digits, '-' and '_'")
    return text


def _rid(value: str) -> Attribute:
    words = value.split(None, 2)
    if len(words) < 2:
        raise MalformedValueError("a rid has a direction")
    try:
        direction = RidDirection(words[1])
    except ValueError:
        raise MalformedValueError("a rid's direction is send or recv") from None
    pairs = parse_parameters(words[2]) if len(words) == 3 else ()
    formats = next((text for name, text in pairs if name == "pt"), None)
    payload_types = tuple(_payload_type(pt) for pt in formats.split(",")) if formats else ()
    others = tuple(pair for pair in pairs if pair[0] != "pt")
    return Rid(_rid_name(words[0]), direction, payload_types, others)


def _layers(text: str) -> SimulcastLayers:
    layers = tuple(
        tuple(
            SimulcastStream(_rid_name(name.removeprefix("~")), name.startswith("~"))
            for name in layer.split(",")
        )
        for layer in text.split(";")
    )
    if len(layers) > MAX_LIST:
        raise MalformedValueError("too many simulcast layers")
    return layers


def _simulcast(value: str) -> Attribute:
    words = _words(value)
    named = dict(zip(words[::2], words[1::2], strict=False))
    if len(words) not in (2, 4) or 2 * len(named) != len(words) or not named.keys() <= _WAYS:
        raise MalformedValueError("simulcast is send and a list, recv and a list, or both")
    return Simulcast(**{way: _layers(text) for way, text in named.items()})


_WAYS = {"send", "recv"}


def _sctpmap(value: str) -> Attribute:
    words = _words(value)
    if not 2 <= len(words) <= 3:
        raise MalformedValueError("an sctpmap is a port, a protocol and maybe streams")
    streams = number(words[2], 1, 0xFFFF, "streams") if len(words) == 3 else None
    return SctpMap(number(words[0], 0, 0xFFFF, "port"), token(words[1], "protocol"), streams)


def _rtcp(value: str) -> Attribute:
    port, _, address = value.partition(" ")
    return Rtcp(number(port, 0, 0xFFFF, "port"), address.strip() or None)


def _packet_time(maximum: bool) -> Callable[[str], Attribute]:
    def parse(value: str) -> Attribute:
        if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", value, re.ASCII):
            raise MalformedValueError("it is no number of milliseconds")
        return PacketTime(float(value), maximum)

    return parse


_READERS: dict[str, Callable[[str], Attribute]] = {
    "ice-ufrag": lambda value: IceUfrag(_ice_chars(value)),
    "ice-pwd": lambda value: IcePwd(_ice_chars(value)),
    "ice-options": lambda value: IceOptions(tuple(_words(value))),
    "candidate": _candidate,
    "fingerprint": _fingerprint,
    "setup": _setup,
    "mid": lambda value: Mid(token(value, "mid")),
    "group": _group,
    "msid": _msid,
    "msid-semantic": _msid_semantic,
    "rtpmap": _rtpmap,
    "fmtp": _fmtp,
    "rtcp-fb": _rtcp_feedback,
    "extmap": _extmap,
    "ssrc": _ssrc,
    "ssrc-group": _ssrc_group,
    "rid": _rid,
    "simulcast": _simulcast,
    "sctp-port": lambda value: SctpPort(number(value, 0, 0xFFFF, "port")),
    "max-message-size": lambda value: MaxMessageSize(number(value, 0, 2**64 - 1, "size")),
    "sctpmap": _sctpmap,
    "rtcp": _rtcp,
    "ptime": _packet_time(maximum=False),
    "maxptime": _packet_time(maximum=True),
}
_VALUELESS: dict[str, Attribute] = {
    **{flag.value: flag for flag in Flag},
    **{direction.value: direction for direction in Direction},
}


def parse_attribute(text: str) -> Attribute:
    """Read an attribute, without ``a=``.

    Raises:
        MalformedValueError: its name is no token, or it is a known attribute with a value that
            breaks its grammar.

    """
    name, colon, value = text.partition(":")
    if name in _VALUELESS:
        if value.strip():
            raise MalformedValueError(f"{name} has no value")
        return _VALUELESS[name]
    reader = _READERS.get(name)
    if reader is None:
        return Unknown(token(name, "attribute"), value if colon else None)
    if not value.strip():
        raise MalformedValueError(f"{name} has a value")
    return reader(value.strip())
