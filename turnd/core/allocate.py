"""Allocate (RFC 8656 §7.2, RFC 6062 §5.1, RFC 8016 §3.1)."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from stun import Address, ErrorCode, Family, RawAttribute
from stun import attributes as a
from stun.values import AddressError
from turnd.core.allocation import Allocation
from turnd.core.answer import Answer
from turnd.core.credentials import Credential
from turnd.core.five_tuple import Transport
from turnd.core.outputs import AllocationOpened
from turnd.core.relay_addresses import Open
from turnd.core.request import RejectionError, Request
from turnd.core.reservations import Reservation
from turnd.core.settings import Lifetimes
from turnd.core.special_purpose import is_tunnelled
from turnd.core.state import State
from turnd.core.tables import RelayedAddress, RelayUnavailableError

UDP_PROTOCOL = 17
TCP_PROTOCOL = 6
RESERVATION_TOKEN_SIZE = 8
MOBILITY_TICKET_SIZE = 32
"""Bytes of a ticket, which is hexadecimal text: clients, coturn's among them, keep it as a C
string of no more than that, and lose what follows a zero byte."""

_ANYBODY = Credential("", "", key_md5=None, key_sha256=None)


@attrs.frozen(slots=True)
class _Wish:
    """What an Allocate request asks for, decoded and checked for contradictions.

    All that can be malformed is read here: a request rejected later, with a relay open,
    would leave it open.
    """

    tcp: bool
    family: Family
    additional: Family | None
    even: bool
    reserve_next: bool
    token: bytes | None
    mobile: bool
    lifetime: int | None


def handle_allocate(state: State, request: Request) -> Answer:
    """Answer an Allocate request."""
    if state.allocation_of(request.five_tuple) is not None:
        raise RejectionError(ErrorCode.ALLOCATION_MISMATCH, "the 5-tuple has an allocation")
    wish = _read(state, request)
    _redirect(state, request)
    if state.settings.draining:
        raise RejectionError(ErrorCode.INSUFFICIENT_CAPACITY, "the server is draining")
    client = request.five_tuple.client
    if is_tunnelled(client.packed):
        raise RejectionError(ErrorCode.FORBIDDEN, "the client's address is 6to4 or Teredo")
    if state.is_own_relay(request.five_tuple):
        # Two allocations, each the other's client, would send to each other without end.
        raise RejectionError(ErrorCode.FORBIDDEN, "the client is one of our own relays")
    credential = request.credential or _ANYBODY
    _check_quota(state, request, credential, takes_up=wish.token is not None)
    return _open(state, request, wish, credential)


def _read(state: State, request: Request) -> _Wish:
    message = request.message
    protocol = message.get(a.REQUESTED_TRANSPORT)
    if protocol is None:
        raise RejectionError(ErrorCode.BAD_REQUEST, "REQUESTED-TRANSPORT is missing")
    if protocol not in {UDP_PROTOCOL, TCP_PROTOCOL} or (
        protocol == TCP_PROTOCOL and not state.settings.relay_tcp
    ):
        raise RejectionError(ErrorCode.UNSUPPORTED_TRANSPORT_PROTOCOL, f"protocol {protocol}")
    tcp = protocol == TCP_PROTOCOL
    if not tcp and not state.settings.relay_udp:
        raise RejectionError(ErrorCode.FORBIDDEN, "relay.udp is off")
    even, token = message.get(a.EVEN_PORT), message.get(a.RESERVATION_TOKEN)
    family = request.requested_family(ErrorCode.ADDRESS_FAMILY_NOT_SUPPORTED)
    additional = message.get(a.ADDITIONAL_ADDRESS_FAMILY) or message.get(
        a.ADDITIONAL_ADDRESS_FAMILY_DRAFT
    )
    if tcp:
        _check_tcp(request)
    contradictions = (
        token is not None and (even is not None or family is not None or additional is not None),
        family is not None and additional is not None,
        bool(even) and additional is not None,
        additional is Family.IPV4,
    )
    if any(contradictions):
        raise RejectionError(ErrorCode.BAD_REQUEST, "attributes that exclude each other")
    ticket = message.get(a.MOBILITY_TICKET)
    if ticket is not None and not state.settings.mobility:
        raise RejectionError(ErrorCode.MOBILITY_FORBIDDEN, "mobility.enabled is off")
    if ticket:
        raise RejectionError(ErrorCode.BAD_REQUEST, "MOBILITY-TICKET in Allocate is empty")
    if ticket is not None and tcp:
        # Its data connections would stay behind: it could come back to nothing.
        raise RejectionError(ErrorCode.MOBILITY_FORBIDDEN, "TCP allocations do not move")
    return _Wish(
        tcp,
        family or Family.IPV4,
        additional,
        even is not None,
        bool(even),
        token,
        ticket is not None,
        message.get(a.LIFETIME),
    )


def _check_tcp(request: Request) -> None:
    if not request.five_tuple.transport.is_stream:
        raise RejectionError(ErrorCode.BAD_REQUEST, "TCP allocations need a TCP or TLS client")
    excluded = {kind.code for kind in (a.DONT_FRAGMENT, a.EVEN_PORT, a.RESERVATION_TOKEN)}
    for code, _ in request.message.attributes:
        if code in excluded:
            name = a.REGISTRY[code].name
            raise RejectionError(ErrorCode.BAD_REQUEST, f"{name} in a TCP allocation")


def _redirect(state: State, request: Request) -> None:
    """Send the client elsewhere if so configured (RFC 8489 §10)."""
    secured = request.five_tuple.transport in {Transport.TLS, Transport.DTLS}
    settings = state.settings
    servers = settings.tls_alternate_servers if secured else settings.alternate_servers
    if not servers:
        return
    # RFC 8489 §10: first one of the family of the request's source address, then another.
    family = request.five_tuple.client.family
    fitting = [server for server in servers if server.family is family]
    others = [server for server in servers if server.family is not family]
    if not fitting:
        raise RejectionError(ErrorCode.INSUFFICIENT_CAPACITY, "no alternate server of that family")
    chosen = [each[state.random_below(len(each))] for each in (fitting, others) if each]
    raise RejectionError(
        ErrorCode.TRY_ALTERNATE,
        f"to {chosen[0]}",
        [a.ALTERNATE_SERVER.of(server) for server in chosen],
    )


def _check_quota(state: State, request: Request, credential: Credential, *, takes_up: bool) -> None:
    """Reject what is too much (486); who takes a reservation up had it counted before."""
    whole, realm = state.settings.limits, state.limits_of(request.realm)
    counts = state.allocations
    user, everybody = 0, len(counts)
    if credential.owner:
        user = counts.count_of_user(request.realm, credential.owner)
    if not takes_up and len(state.reservations):
        everybody += len(state.reservations)
        if credential.owner:
            user += state.reservations.count_of_user(request.realm, credential.owner)
    address = counts.count_of_address(request.five_tuple.client.packed)
    for count, limit, key in (
        (everybody, whole.allocations, "quota.allocations"),
        (counts.count_in_realm(request.realm), realm.allocations, "realm's allocations"),
        (user, realm.allocations_per_user, "quota.allocations_per_user"),
        (address, whole.allocations_per_address, "quota.allocations_per_address"),
    ):
        if limit and count >= limit:
            raise RejectionError(ErrorCode.ALLOCATION_QUOTA_REACHED, f"{key} is {limit}")


def _open(state: State, request: Request, wish: _Wish, credential: Credential) -> Answer:
    number = state.allocations.next_number()
    allocation = Allocation(
        number, request.five_tuple, request.realm, credential, request.now, tcp=wish.tcp
    )
    try:
        attributes = _open_relays(state, request, wish, allocation)
    except BaseException:
        # An error of ours after the first of two relays must not leave that one open.
        state.abandon(allocation)
        raise
    if wish.mobile:
        allocation.ticket = new_ticket(state)
        attributes.append(a.MOBILITY_TICKET.of(allocation.ticket))
    return _finish(state, request, wish, allocation, attributes)


def _open_relays(
    state: State, request: Request, wish: _Wish, allocation: Allocation
) -> list[RawAttribute]:
    """Open the allocation's relays; return what the answer says of them besides."""
    bandwidth = state.limits_of(request.realm).bandwidth
    relays = state.tcp_relay if wish.tcp else state.tables

    def open_relay(relayed: RelayedAddress) -> None:
        relays.open_relay(allocation.number, request.five_tuple, relayed, bandwidth)

    if wish.token is not None:
        relayed = _take_up(state, wish.token, open_relay)
        allocation.relayed[relayed.local.family] = relayed
        return []
    if wish.reserve_next:
        token = state.random_bytes(RESERVATION_TOKEN_SIZE)
        relayed, reserved = state.addresses.open_pair(
            wish.family,
            request.five_tuple.server.packed,
            open_relay,
            (state.tables.reserve_relay, state.tables.release_reservation),
        )
        allocation.relayed[wish.family] = relayed
        owner = allocation.credential.owner
        state.reserve(token, Reservation(reserved, request.realm, owner), request.now)
        return [a.RESERVATION_TOKEN.of(token)]
    return _open_families(state, request, wish, allocation, open_relay)


def new_ticket(state: State) -> bytes:
    """Return a MOBILITY-TICKET that nobody can guess (RFC 8016 §3.1.1)."""
    return state.random_bytes(MOBILITY_TICKET_SIZE // 2).hex().encode()


def _take_up(state: State, token: bytes, open_relay: Open) -> RelayedAddress:
    relayed = state.take_reservation(token)
    if relayed is None:
        raise RejectionError(ErrorCode.INSUFFICIENT_CAPACITY, "no reservation has that token")
    try:
        open_relay(relayed)
    except RelayUnavailableError as error:
        state.tables.release_reservation(relayed.local)
        state.addresses.give_back(relayed)
        raise RejectionError(ErrorCode.INSUFFICIENT_CAPACITY, str(error)) from error
    return relayed


def _open_families(
    state: State, request: Request, wish: _Wish, allocation: Allocation, open_relay: Open
) -> list[RawAttribute]:
    """Open one relay, or two of which one may fail (RFC 8656 §7.2 point 9)."""
    failures: list[tuple[Family, RejectionError]] = []
    server_ip = request.five_tuple.server.packed
    families = [wish.family]
    if wish.additional is not None and wish.tcp:
        # RFC 6062 knows of one relayed transport address, and nothing can close one of two.
        failure = RejectionError(ErrorCode.ADDRESS_FAMILY_NOT_SUPPORTED, "a second one for TCP")
        failures.append((wish.additional, failure))
    elif wish.additional is not None:
        families.append(wish.additional)
    for family in families:
        try:
            allocation.relayed[family] = state.addresses.open(
                family,
                server_ip,
                open_relay,
                even=wish.even,
                shared=_sharing(state, request, wish),
            )
        except RejectionError as rejection:
            failures.append((family, rejection))
    if not allocation.relayed:
        raise failures[-1][1]
    return [
        a.ADDRESS_ERROR_CODE.of(AddressError(family, rejection.code, rejection.code.reason))
        for family, rejection in failures
    ]


def _sharing(
    state: State, request: Request, wish: _Wish
) -> Callable[[bytes], Address | None] | None:
    """Return how to find the relay to share; who asks for a port's parity has one of his own."""
    tables = state.tables
    if wish.tcp or wish.even or not (state.settings.shared_relays and tables.shares_relays):
        return None
    return lambda local_ip: tables.shared_relay(request.five_tuple, local_ip)


def _finish(
    state: State,
    request: Request,
    wish: _Wish,
    allocation: Allocation,
    attributes: list[RawAttribute],
) -> Answer:
    lifetime = granted_lifetime(wish.lifetime, state.settings.lifetimes, allocation.credential)
    state.allocations.add(allocation)
    for family, relayed in allocation.relayed.items():
        state.set_lifetime(allocation, family, request.now + lifetime)
        if allocation.tcp:
            state.tcp_relayed[relayed.local] = relayed
            state.tcp_relayed[relayed.public] = relayed
    transaction_id = request.message.transaction_id
    addresses = tuple(allocation.relayed.values())
    opened = AllocationOpened(
        allocation.number,
        request.five_tuple,
        allocation.credential.username,
        allocation.realm,
        addresses,
        lifetime,
        allocation.tcp,
    )
    return Answer(
        [
            *(a.XOR_RELAYED_ADDRESS.of(each.public, transaction_id) for each in addresses),
            a.LIFETIME.of(lifetime),
            a.XOR_MAPPED_ADDRESS.of(request.five_tuple.client, transaction_id),
            *attributes,
        ],
        [opened],
        remember=True,
    )


def granted_lifetime(asked: int | None, lifetimes: Lifetimes, credential: Credential) -> int:
    """Return the lifetime in seconds that a request for `asked` gets (RFC 8656 §7.2).

    Never below the default, unless an OAuth token allows no more (RFC 7635 §4.1.1).
    """
    lifetime = max(min(asked or 0, lifetimes.maximum), lifetimes.default)
    if credential.maximum_lifetime is not None:
        lifetime = min(lifetime, credential.maximum_lifetime)
    return lifetime
