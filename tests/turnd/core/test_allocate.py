"""RFC 8656 §7.2."""

import pytest

from stun import Address, Family, Method, RawAttribute
from stun import attributes as a
from tests.turnd.core.kit import (
    CLIENT,
    REALM,
    RELAY_IP,
    RELAY_IP6,
    UDP,
    World,
)
from turnd.core.five_tuple import Transport
from turnd.core.outputs import AllocationOpened, Transmit
from turnd.core.settings import Limits, RelayIp


def test_success_names_relay_lifetime_and_mapped_address() -> None:
    world = World()
    reply = world.client().allocated()
    relayed = reply.message.get(a.XOR_RELAYED_ADDRESS)
    assert relayed is not None
    assert relayed.packed == RELAY_IP
    assert 49152 <= relayed.port <= 65535
    assert relayed in world.tables.relays
    assert reply.message.get(a.LIFETIME) == 600
    assert reply.message.get(a.XOR_MAPPED_ADDRESS) == CLIENT
    (opened,) = reply.events(AllocationOpened)
    assert (opened.username, opened.realm, opened.lifetime) == ("alice", REALM, 600)


def test_retransmission_gets_the_same_answer_and_no_second_allocation() -> None:
    world = World()
    client = world.client()
    client.learn_nonce()
    data = client.encode(Method.ALLOCATE, [a.REQUESTED_TRANSPORT.of(UDP)])
    answers = [
        [
            o.data
            for o in world.server.receive(data, client.five_tuple, world.now + t)
            if isinstance(o, Transmit)
        ]
        for t in (0, 0.5, 1.5, 39)
    ]
    assert answers == [answers[0]] * 4
    assert world.server.allocation_count == 1


def test_another_allocate_on_the_same_five_tuple_is_a_mismatch() -> None:
    client = World().client()
    client.allocated()
    assert client.allocate().code == 437


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ((), 400),
        ((a.REQUESTED_TRANSPORT.of(99),), 442),
        ((a.REQUESTED_TRANSPORT.code, b"\x11\0"), 400),
        ((a.REQUESTED_TRANSPORT.of(6),), 400),  # a TCP allocation by a UDP client
        ((a.REQUESTED_TRANSPORT.of(UDP), (0x7FFE, b"")), 420),
        (
            (
                a.REQUESTED_TRANSPORT.of(UDP),
                a.EVEN_PORT.of(False),
                a.RESERVATION_TOKEN.of(bytes(8)),
            ),
            400,
        ),
        (
            (
                a.REQUESTED_TRANSPORT.of(UDP),
                a.RESERVATION_TOKEN.of(bytes(8)),
                a.REQUESTED_ADDRESS_FAMILY.of(Family.IPV4),
            ),
            400,
        ),
        (
            (
                a.REQUESTED_TRANSPORT.of(UDP),
                a.RESERVATION_TOKEN.of(bytes(8)),
                a.ADDITIONAL_ADDRESS_FAMILY.of(Family.IPV6),
            ),
            400,
        ),
        ((a.REQUESTED_TRANSPORT.of(UDP), a.RESERVATION_TOKEN.of(bytes(8))), 508),
        (
            (
                a.REQUESTED_TRANSPORT.of(UDP),
                a.REQUESTED_ADDRESS_FAMILY.of(Family.IPV4),
                a.ADDITIONAL_ADDRESS_FAMILY.of(Family.IPV6),
            ),
            400,
        ),
        (
            (
                a.REQUESTED_TRANSPORT.of(UDP),
                a.EVEN_PORT.of(True),
                a.ADDITIONAL_ADDRESS_FAMILY.of(Family.IPV6),
            ),
            400,
        ),
        ((a.REQUESTED_TRANSPORT.of(UDP), a.ADDITIONAL_ADDRESS_FAMILY.of(Family.IPV4)), 400),
        ((a.REQUESTED_TRANSPORT.of(UDP), a.MOBILITY_TICKET.of(b"")), 405),
    ],
)
def test_checks_of_section_7_2(attributes: tuple[RawAttribute, ...], code: int) -> None:
    if attributes and isinstance(attributes[0], int):
        attributes = (attributes,)
    world = World()
    reply = world.client().request(Method.ALLOCATE, *attributes)
    assert reply.code == code
    assert world.server.allocation_count == 0
    assert not world.tables.relays


def test_unknown_attributes_are_named() -> None:
    reply = World().client().allocate((0x7FFE, b""), (0x7FFD, b"x"), (0xFFFE, b"optional"))
    assert reply.code == 420
    assert reply.message.get(a.UNKNOWN_ATTRIBUTES) == (0x7FFE, 0x7FFD)


@pytest.mark.parametrize(
    ("asked", "granted"),
    [(None, 600), (1, 600), (0, 600), (600, 600), (777, 777), (3600, 3600), (9999, 3600)],
)
def test_lifetime_is_between_default_and_maximum(asked: int | None, granted: int) -> None:
    attributes = [] if asked is None else [a.LIFETIME.of(asked)]
    assert World().client().allocated(*attributes).message.get(a.LIFETIME) == granted


def test_ipv6_relay_on_request() -> None:
    reply = World().client().allocated(a.REQUESTED_ADDRESS_FAMILY.of(Family.IPV6))
    relayed = reply.message.get(a.XOR_RELAYED_ADDRESS)
    assert relayed is not None
    assert relayed.packed == RELAY_IP6


@pytest.mark.parametrize(
    "attribute",
    [
        a.ADDITIONAL_ADDRESS_FAMILY.of(Family.IPV6),
        a.ADDITIONAL_ADDRESS_FAMILY_DRAFT.of(Family.IPV6),
    ],
)
def test_additional_family_gives_two_relays(attribute: RawAttribute) -> None:
    reply = World().client().allocated(attribute)
    families = [address.family for address in reply.message.get_all(a.XOR_RELAYED_ADDRESS)]
    assert families == [Family.IPV4, Family.IPV6]


def test_additional_family_that_fails_is_told_in_a_success() -> None:
    world = World(relay_ips=(RelayIp(RELAY_IP, RELAY_IP),))
    reply = world.client().allocated(a.ADDITIONAL_ADDRESS_FAMILY.of(Family.IPV6))
    assert len(reply.message.get_all(a.XOR_RELAYED_ADDRESS)) == 1
    failure = reply.message.get(a.ADDRESS_ERROR_CODE)
    assert failure is not None
    assert (failure.family, failure.code) == (Family.IPV6, 440)


def test_system_without_resources_is_insufficient_capacity() -> None:
    world = World()
    world.tables.broken = True
    assert world.client().allocate().code == 508
    world.tables.broken = False
    assert world.client().allocate().code == 0


def test_bandwidth_limit_of_the_realm_reaches_the_engine() -> None:
    world = World(realms={REALM: Limits(bandwidth=12345)})
    world.client().allocated()
    assert list(world.tables.bandwidth.values()) == [12345]


def test_draining_server_refuses_new_allocations_and_keeps_old_ones() -> None:
    world = World()
    client = world.client()
    client.allocated()
    world.reconfigure(draining=True)
    assert world.client(2).allocate().code == 508
    assert client.refresh().code == 0


def test_client_is_sent_to_an_alternate_server_of_its_family() -> None:
    servers = (Address.parse("203.0.113.9", 3478), Address.parse("2001:db8::9", 3478))
    world = World(alternate_servers=servers)
    reply = world.client().allocate()
    assert reply.code == 300
    assert reply.message.get(a.ALTERNATE_SERVER) == servers[0]
    reply = world.client(host="2001:db8::77").allocate()
    assert reply.message.get(a.ALTERNATE_SERVER) == servers[1]


def test_client_that_is_one_of_our_relays_is_refused() -> None:
    world = World()
    relayed = world.client().allocated().message.get(a.XOR_RELAYED_ADDRESS)
    assert relayed is not None
    nested = world.client(relayed.port, host=relayed.host)
    assert nested.allocate().code == 403


def test_tcp_client_that_has_the_port_of_a_udp_relay_is_served() -> None:
    world = World()
    relayed = world.client().allocated().message.get(a.XOR_RELAYED_ADDRESS)
    assert relayed is not None
    namesake = world.client(relayed.port, host=relayed.host, transport=Transport.TLS)
    assert namesake.allocate().code == 0


MALFORMED = [
    (kind.code, b"\xff\xff\xff")
    for kind in (
        a.LIFETIME,
        a.EVEN_PORT,
        a.RESERVATION_TOKEN,
        a.REQUESTED_ADDRESS_FAMILY,
        a.ADDITIONAL_ADDRESS_FAMILY,
    )
]


@pytest.mark.parametrize("attribute", MALFORMED, ids=[a.REGISTRY[c].name for c, _ in MALFORMED])
def test_malformed_attribute_opens_nothing(attribute: RawAttribute) -> None:
    world = World()
    assert world.client().allocate(attribute).code == 400
    assert not world.tables.relays
    assert not world.tables.reserved


@pytest.mark.parametrize("host", ["2002:c633:6414::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"])
def test_client_behind_a_tunnel_is_refused(host: str) -> None:
    # RFC 8656 §21.4: a server MUST NOT accept Teredo or 6to4 addresses in these requests.
    assert World().client(host=host).allocate().code == 403


def test_alternate_server_of_the_other_family_comes_second() -> None:
    servers = (Address.parse("2001:db8::9", 3478), Address.parse("203.0.113.9", 3478))
    reply = World(alternate_servers=servers).client().allocate()
    assert reply.message.get_all(a.ALTERNATE_SERVER) == [servers[1], servers[0]]
    only_ipv6 = World(alternate_servers=servers[:1])
    assert only_ipv6.client().allocate().code == 508


def test_tls_clients_have_alternate_servers_of_their_own() -> None:
    world = World(tls_alternate_servers=(Address.parse("203.0.113.9", 5349),))
    assert world.client(1).allocate().code == 0
    assert world.client(2, transport=Transport.TLS).allocate().code == 300
    assert world.client(3, transport=Transport.DTLS).allocate().code == 300


def test_allocate_of_another_user_on_a_taken_five_tuple_is_a_mismatch() -> None:
    # RFC 8656 §5: 441 is for requests other than Allocate; §7.2 point 2 for Allocate.
    world = World()
    world.client().allocated()
    assert world.client(user="bob").allocate().code == 437


def test_answers_are_kept_in_little_memory_however_large_requests_are() -> None:
    import tracemalloc

    world = World()
    client = world.client()
    client.learn_nonce()
    ballast = [(0x9999, bytes(60_000))]
    tracemalloc.start()
    try:
        for _ in range(50):
            assert client.allocate(*ballast).code == 0
            assert client.refresh(0, *ballast).code == 0
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 10 * 60_000


@pytest.mark.parametrize("host", ["2606:4700::7", "32.2.0.1", "32.1.0.0"])
def test_client_whose_address_only_looks_like_a_tunnels_is_served(host: str) -> None:
    # 32.2.0.1 begins with the bytes of 2002::/16.
    assert World().client(host=host).allocate().code == 0
