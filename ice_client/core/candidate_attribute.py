"""The `candidate` attribute of SDP (RFC 8839 §5.1, RFC 6544 §4.5), as text and as a value.

The same text, without ``a=``, is what browsers trickle as RTCIceCandidate.candidate.
"""

from __future__ import annotations

import re

from ice_client.core.candidate import MAX_COMPONENT, Candidate, CandidateType, Transport
from ice_client.errors import CandidateError
from stun import Address, AddressError

MAX_LENGTH = 4096
"""Characters of a line; real ones have about 100."""

MAX_EXTENSIONS = 32
"""Further name and value pairs of one candidate."""

_FOUNDATION = re.compile(r"[A-Za-z0-9+/]{1,32}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)
_HOST_NAME = re.compile(
    r"(?=.{1,253}\.?\Z)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?", re.ASCII
)
_TCP_TYPES = {
    "active": Transport.TCP_ACTIVE,
    "passive": Transport.TCP_PASSIVE,
    "so": Transport.TCP_SO,
}
_TCP_TYPE_NAMES = {transport: name for name, transport in _TCP_TYPES.items()}
_UNSPECIFIED = Address.parse("0.0.0.0")  # noqa: S104
_KNOWN = frozenset(
    {"raddr", "rport", "tcptype", "ufrag", "generation", "network-id", "network-cost"}
)


def parse_candidate(text: str) -> Candidate:
    """Read ``candidate:…``; a leading ``a=`` and white space at the ends do no harm.

    Names of extensions that are not known are kept. A connection address that is no IP
    literal becomes `Candidate.host_name`. Link-local zones are dropped: they mean nothing
    to another host.

    Raises:
        CandidateError: it is malformed, or of a transport or type that this agent cannot use
            (RFC 8839 §5.1 has receivers ignore such candidates).

    """
    if len(text) > MAX_LENGTH:
        raise CandidateError(f"a candidate of {len(text)} characters is too long")
    line = text.strip().removeprefix("a=")
    if not line.startswith("candidate:") or not line.isprintable():
        raise CandidateError("a candidate attribute starts with 'candidate:'")
    words = line.removeprefix("candidate:").split(" ")
    if len(words) < 8 or len(words) % 2 or words[6] != "typ":
        raise CandidateError("a candidate is six fields, 'typ', a type, then names and values")
    foundation, component, protocol, priority, host, port = words[:6]
    extensions = list(zip(words[8::2], words[9::2], strict=True))
    if len(extensions) > MAX_EXTENSIONS:
        raise CandidateError(f"{len(extensions)} extensions are too many")
    if not all(name for name, _ in extensions):
        raise CandidateError("an extension has no name")
    named: dict[str, str] = {}
    for name, value in extensions:
        named.setdefault(name, value)
    if not _FOUNDATION.fullmatch(foundation):
        raise CandidateError(f"{foundation!r} is not a foundation (1 to 32 ice-chars)")
    address, host_name = _address(host, _number(port, "port", 0, 0xFFFF))
    return Candidate(
        foundation=foundation,
        component=_number(component, "component", 1, MAX_COMPONENT),
        transport=_transport(protocol, named.get("tcptype")),
        priority=_number(priority, "priority", 1, 0x7FFFFFFF),
        address=address,
        type=_type(words[7]),
        related_address=_related_address(named),
        host_name=host_name,
        username_fragment=named.get("ufrag"),
        generation=_optional(named, "generation", 0xFFFFFFFF),
        network_id=_optional(named, "network-id", 0xFFFF),
        network_cost=_optional(named, "network-cost", 0xFFFF),
        extensions=tuple(pair for pair in extensions if pair[0] not in _KNOWN),
    )


def format_candidate(candidate: Candidate) -> str:
    """Write ``candidate:…``, without ``a=``.

    With a `host_name` neither the IP address nor a related one is told.
    """
    name = candidate.host_name
    words = [
        f"candidate:{candidate.foundation}",
        str(candidate.component),
        "tcp" if candidate.transport.is_tcp else "udp",
        str(candidate.priority),
        name if name is not None else candidate.address.host,
        str(candidate.address.port),
        "typ",
        candidate.type.value,
    ]
    related = candidate.related_address
    if related is not None and name is None:
        words += ["raddr", related.host, "rport", str(related.port)]
    if candidate.transport.is_tcp:
        words += ["tcptype", _TCP_TYPE_NAMES[candidate.transport]]
    for key, value in (
        ("generation", candidate.generation),
        ("ufrag", candidate.username_fragment),
        ("network-id", candidate.network_id),
        ("network-cost", candidate.network_cost),
    ):
        if value is not None:
            words += [key, str(value)]
    for key, text in candidate.extensions:
        words += [key, text]
    return " ".join(words)


def _number(text: str, name: str, minimum: int, maximum: int) -> int:
    if not _NUMBER.fullmatch(text) or not minimum <= int(text) <= maximum:
        raise CandidateError(f"{name} {text!r} is not a number within {minimum}-{maximum}")
    return int(text)


def _optional(named: dict[str, str], name: str, maximum: int) -> int | None:
    return _number(named[name], name, 0, maximum) if name in named else None


def _type(text: str) -> CandidateType:
    try:
        return CandidateType(text)
    except ValueError as error:
        raise CandidateError(f"{text!r} is not a known candidate type") from error


def _transport(protocol: str, tcp_type: str | None) -> Transport:
    match protocol.lower():
        case "udp":
            return Transport.UDP
        case "tcp" if tcp_type in _TCP_TYPES:
            return _TCP_TYPES[tcp_type]
        case "tcp":
            raise CandidateError(f"a TCP candidate has no tcptype {tcp_type!r}")
        case _:
            raise CandidateError(f"transport {protocol!r} is not known")


def _address(host: str, port: int) -> tuple[Address, str | None]:
    try:
        return Address.parse(host.partition("%")[0], port), None
    except AddressError:
        # Digits and dots alone are a broken IPv4 address, not a name to ask a resolver for.
        if not _HOST_NAME.fullmatch(host) or host.rpartition(".")[2].isdigit():
            raise CandidateError(f"{host!r} is neither an IP address nor a host name") from None
        return _UNSPECIFIED.with_port(port), host


def _related_address(named: dict[str, str]) -> Address | None:
    if "raddr" not in named:
        return None
    port = _number(named.get("rport", "0"), "rport", 0, 0xFFFF)
    try:
        return Address.parse(named["raddr"].partition("%")[0], port)
    except AddressError:
        return None  # a name there is for people only (RFC 8839 §5.1); nothing is lost with it
