"""From a value of `attributes` to the text after ``a=``."""

from __future__ import annotations

from ice_client.core import format_candidate
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
    Rtcp,
    RtcpFeedback,
    RtpMap,
    SctpMap,
    SctpPort,
    SetupLine,
    Simulcast,
    SimulcastLayers,
    Ssrc,
    SsrcGroup,
    Unknown,
)


def format_parameters(parameters: tuple[tuple[str, str | None], ...]) -> str:
    """Write ``name=value;name;…``."""
    return ";".join(name if value is None else f"{name}={value}" for name, value in parameters)


def _join(*parts: object) -> str:
    return " ".join(str(part) for part in parts if part is not None)


def _format_layers(layers: SimulcastLayers) -> str:
    return ";".join(
        ",".join(f"~{stream.rid}" if stream.paused else stream.rid for stream in layer)
        for layer in layers
    )


def _format_rid(rid: Rid) -> str:
    pairs = rid.restrictions
    if rid.payload_types:
        pairs = (("pt", ",".join(map(str, rid.payload_types))), *pairs)
    return _join(rid.id, rid.direction.value, format_parameters(pairs) or None)


def _format_rtpmap(entry: RtpMap) -> str:
    channels = "" if entry.channels is None else f"/{entry.channels}"
    return f"{entry.payload_type} {entry.name}/{entry.clock_rate}{channels}"


def _format_extmap(entry: ExtMap) -> str:
    way = "" if entry.direction is None else f"/{entry.direction.value}"
    return _join(f"{entry.id}{way}", entry.uri, entry.attributes)


def _format_feedback(entry: RtcpFeedback) -> str:
    form = "*" if entry.payload_type is None else entry.payload_type
    return _join(form, entry.kind, entry.parameter)


def _format_ssrc(entry: Ssrc) -> str:
    return f"{entry.ssrc} {entry.name}" + ("" if entry.value is None else f":{entry.value}")


def _format_simulcast(entry: Simulcast) -> str:
    lists = (("send", entry.send), ("recv", entry.recv))
    return " ".join(f"{way} {_format_layers(layers)}" for way, layers in lists if layers)


def _format_decimal(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def format_attribute(attribute: Attribute) -> str:  # noqa: C901 - a table of 26 rows
    """Write an attribute, without ``a=``."""
    match attribute:
        case Direction() | Flag():
            return str(attribute.value)
        case Unknown(name, value):
            return name if value is None else f"{name}:{value}"
        case IceUfrag(value):
            return f"ice-ufrag:{value}"
        case IcePwd(value):
            return f"ice-pwd:{value}"
        case IceOptions(tags):
            return f"ice-options:{' '.join(tags)}"
        case CandidateLine(candidate):
            return format_candidate(candidate)
        case FingerprintLine(fingerprint):
            return f"fingerprint:{fingerprint}"
        case SetupLine(setup):
            return f"setup:{setup.value}"
        case Mid(value):
            return f"mid:{value}"
        case Group(semantics, mids):
            return f"group:{_join(semantics, *mids)}"
        case Msid(stream_id, track_id):
            return f"msid:{_join(stream_id, track_id)}"
        case MsidSemantic(semantic, stream_ids):
            return f"msid-semantic:{_join(semantic, *stream_ids)}"
        case RtpMap():
            return f"rtpmap:{_format_rtpmap(attribute)}"
        case Fmtp(payload_type, parameters):
            return f"fmtp:{payload_type} {format_parameters(parameters)}"
        case RtcpFeedback():
            return f"rtcp-fb:{_format_feedback(attribute)}"
        case ExtMap():
            return f"extmap:{_format_extmap(attribute)}"
        case Ssrc():
            return f"ssrc:{_format_ssrc(attribute)}"
        case SsrcGroup(semantics, ssrcs):
            return f"ssrc-group:{_join(semantics, *ssrcs)}"
        case Rid():
            return f"rid:{_format_rid(attribute)}"
        case Simulcast():
            return f"simulcast:{_format_simulcast(attribute)}"
        case SctpPort(port):
            return f"sctp-port:{port}"
        case MaxMessageSize(size_bytes):
            return f"max-message-size:{size_bytes}"
        case SctpMap(port, protocol, streams):
            return f"sctpmap:{_join(port, protocol, streams)}"
        case Rtcp(port, address):
            return f"rtcp:{_join(port, address)}"
        case PacketTime(milliseconds, maximum):
            return f"{'maxptime' if maximum else 'ptime'}:{_format_decimal(milliseconds)}"
