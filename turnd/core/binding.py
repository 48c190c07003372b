"""Binding, with NAT behaviour discovery (RFC 8489 §3, RFC 5780 §6.1, RFC 3489 §8.1)."""

from __future__ import annotations

import attrs

from stun import Address, ErrorCode, RawAttribute
from stun import attributes as a
from stun.values import ChangeRequest
from turnd.core.five_tuple import Transport
from turnd.core.request import RejectionError, Request
from turnd.core.settings import NatDiscovery, Settings

MAXIMUM_PADDING = 1500
"""RFC 5780 §7.6: as long as a link's MTU is enough for the answer to need fragments."""


@attrs.frozen(slots=True)
class BindingAnswer:
    """The attributes of a Binding response, and the way it is to take."""

    attributes: list[RawAttribute]
    source: Address | None = None
    destination: Address | None = None


def handle_binding(request: Request, settings: Settings) -> BindingAnswer:
    """Answer a Binding request."""
    message, five_tuple = request.message, request.five_tuple
    client = five_tuple.client
    discovery = _discovery_at(five_tuple.server, settings)
    if message.is_classic:
        mapped = [a.MAPPED_ADDRESS.of(client)]
    else:
        mapped = [a.XOR_MAPPED_ADDRESS.of(client, message.transaction_id)]
    if discovery is None:
        _refuse_discovery(request)
        return BindingAnswer(mapped)
    if not message.is_classic:
        # RFC 5780 §6.1: both, so that a NAT that rewrites the one is found out.
        mapped.append(a.MAPPED_ADDRESS.of(client))
    if five_tuple.transport is not Transport.UDP:
        _refuse_discovery(request)
        return BindingAnswer([*mapped, *_origin(discovery, five_tuple.server, request)])
    change = message.get(a.CHANGE_REQUEST) or ChangeRequest()
    port = message.get(a.RESPONSE_PORT)
    padding = message.get(a.PADDING)
    if port is not None and padding is not None:
        # RFC 5780 §7.6: fragments to a port nobody asked from would be an attack.
        raise RejectionError(ErrorCode.BAD_REQUEST, "PADDING and RESPONSE-PORT together")
    source = _changed(discovery, five_tuple.server, change)
    attributes = [*mapped, *_origin(discovery, source, request)]
    if padding is not None:
        # As long as the request's, so that no answer is longer than its request asked for.
        attributes.append(a.PADDING.of(bytes(min(len(padding), MAXIMUM_PADDING))))
    return BindingAnswer(
        attributes,
        source if source != five_tuple.server else None,
        client.with_port(port) if port is not None else None,
    )


def _refuse_discovery(request: Request) -> None:
    """Reject what only a server with two addresses can do, by the name RFC 5780 §6.1 gives it."""
    discovery = {kind.code for kind in (a.CHANGE_REQUEST, a.RESPONSE_PORT, a.PADDING)}
    asked = [code for code, _ in request.message.attributes if code in discovery]
    # Classic clients send an empty CHANGE-REQUEST with everything (RFC 3489 §9.3).
    if request.message.is_classic and request.message.get(a.CHANGE_REQUEST) == ChangeRequest():
        asked = []
    if asked:
        raise RejectionError(
            ErrorCode.UNKNOWN_ATTRIBUTE,
            "no NAT behaviour discovery here",
            [a.UNKNOWN_ATTRIBUTES.of(tuple(asked))],
        )


def _discovery_at(server: Address, settings: Settings) -> NatDiscovery | None:
    discovery = settings.nat_discovery
    if discovery is None:
        return None
    ips = {discovery.primary.packed, discovery.alternate.packed}
    ports = {discovery.primary.port, discovery.alternate.port}
    return discovery if server.packed in ips and server.port in ports else None


def _changed(discovery: NatDiscovery, server: Address, change: ChangeRequest) -> Address:
    """Return the server address that differs from `server` as asked (RFC 5780 §6.1)."""
    other = _other(discovery, server)
    return Address(
        other.packed if change.change_ip else server.packed,
        other.port if change.change_port else server.port,
    )


def _other(discovery: NatDiscovery, server: Address) -> Address:
    one, two = discovery.primary, discovery.alternate
    return Address(
        two.packed if server.packed == one.packed else one.packed,
        two.port if server.port == one.port else one.port,
    )


def _origin(discovery: NatDiscovery, source: Address, request: Request) -> list[RawAttribute]:
    other = _other(discovery, request.five_tuple.server)
    origin, other = _outside(discovery, source), _outside(discovery, other)
    if request.message.is_classic:
        return [a.SOURCE_ADDRESS.of(origin), a.CHANGED_ADDRESS.of(other)]
    return [a.RESPONSE_ORIGIN.of(origin), a.OTHER_ADDRESS.of(other)]


def _outside(discovery: NatDiscovery, address: Address) -> Address:
    return Address(discovery.public.get(address.packed, address.packed), address.port)
