"""RFC 8656 §7.2."""

from collections import Counter

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
    credential,
)
from turnd.core.five_tuple import Transport
from turnd.core.outputs import AllocationClosed, AllocationOpened, CloseClient, Transmit
from turnd.core.settings import Limits, RelayIp
from turnd.core.tables import Traffic


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


def test_family_without_relay_address_is_not_supported() -> None:
    world = World(relay_ips=(RelayIp(RELAY_IP, RELAY_IP),))
    assert world.client().allocate(a.REQUESTED_ADDRESS_FAMILY.of(Family.IPV6)).code == 440
    only_ipv6 = World(relay_ips=(RelayIp(RELAY_IP6, RELAY_IP6),))
    assert only_ipv6.client().allocate().code == 440


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


def test_even_port_is_even() -> None:
    world = World()
    for port in range(1, 20):
        reply = world.client(port).allocated(a.EVEN_PORT.of(False))
        relayed = reply.message.get(a.XOR_RELAYED_ADDRESS)
        assert relayed is not None
        assert relayed.port % 2 == 0
        assert not reply.message.has(a.RESERVATION_TOKEN)


def reserve(world: World) -> tuple[Address, bytes]:
    reply = world.client().allocated(a.EVEN_PORT.of(True))
    relayed = reply.message.get(a.XOR_RELAYED_ADDRESS)
    token = reply.message.get(a.RESERVATION_TOKEN)
    assert relayed is not None
    assert token is not None
    assert relayed.port % 2 == 0
    assert world.tables.reserved == {relayed.with_port(relayed.port + 1)}
    return relayed, token


def test_reserved_port_is_had_for_its_token_once() -> None:
    world = World()
    relayed, token = reserve(world)
    world.advance(29)
    reply = world.client(41000).allocated(a.RESERVATION_TOKEN.of(token))
    assert reply.message.get(a.XOR_RELAYED_ADDRESS) == relayed.with_port(relayed.port + 1)
    assert not world.tables.reserved
    assert world.client(42000).allocate(a.RESERVATION_TOKEN.of(token)).code == 508


def test_reservation_is_held_for_30_seconds_and_then_let_go() -> None:
    world = World()
    _, token = reserve(world)
    world.advance(30)
    assert not world.tables.reserved
    assert world.client(41000).allocate(a.RESERVATION_TOKEN.of(token)).code == 508


def test_ports_are_spread_over_the_whole_range() -> None:
    world = World(relay_ports=(50000, 50999))
    ports = Counter[int]()
    for port in range(1000, 1200):
        relayed = world.client(port).allocated().message.get(a.XOR_RELAYED_ADDRESS)
        assert relayed is not None
        ports[(relayed.port - 50000) // 250] += 1
    assert sum(ports.values()) == 200
    assert all(count > 25 for count in ports.values())


def test_port_of_another_program_is_passed_over() -> None:
    world = World(relay_ports=(50000, 50003))
    world.tables.in_use = {50000, 50001, 50002}
    relayed = world.client().allocated().message.get(a.XOR_RELAYED_ADDRESS)
    assert relayed is not None
    assert relayed.port == 50003


def test_no_port_left_is_insufficient_capacity_and_a_freed_one_is_used_again() -> None:
    world = World(relay_ports=(50000, 50001))
    clients = [world.client(port) for port in (1, 2, 3)]
    clients[0].allocated()
    clients[1].allocated()
    assert clients[2].allocate().code == 508
    assert clients[0].refresh(0).code == 0
    assert clients[2].allocate().code == 0


def test_system_without_resources_is_insufficient_capacity() -> None:
    world = World()
    world.tables.broken = True
    assert world.client().allocate().code == 508
    world.tables.broken = False
    assert world.client().allocate().code == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"limits": Limits(allocations=2)},
        {"limits": Limits(allocations_per_address=2)},
        {"realms": {REALM: Limits(allocations=2)}},
        {"realms": {REALM: Limits(allocations_per_user=2)}},
    ],
    ids=["total", "per address", "per realm", "per user"],
)
@pytest.mark.parametrize(
    "way_out", ["refresh-zero", "expired", "client-gone", "failed", "shutdown"]
)
def test_quota_is_kept_and_released_once_on_every_way_out(
    changes: dict[str, object], way_out: str
) -> None:
    world = World(**changes)
    first = world.client(1, transport=Transport.TCP)
    first.allocated()
    world.client(2).allocated(a.LIFETIME.of(3600))
    assert world.client(3).allocate().code == 486
    outputs = {
        "refresh-zero": lambda: first.refresh(0).outputs,
        "expired": lambda: world.advance(600),
        "client-gone": lambda: world.server.client_gone(first.five_tuple, world.now),
        "failed": lambda: world.server.fail(first.five_tuple, world.now),
        "shutdown": lambda: world.server.close_all(world.now),
    }[way_out]()
    closed = [output for output in outputs if isinstance(output, AllocationClosed)]
    assert closed[0].reason == way_out
    assert closed[0].traffic == Traffic(1, 2, 3, 4)
    # A second end of the same thing must not release a second time.
    assert world.server.client_gone(first.five_tuple, world.now) == []
    assert world.server.fail(first.five_tuple, world.now) == [CloseClient(first.five_tuple)]
    free = 2 if way_out == "shutdown" else 1
    codes = [world.client(port).allocate().code for port in range(10, 13)]
    assert codes == [0] * free + [486] * (3 - free)


def test_quota_counts_the_person_behind_a_time_limited_name() -> None:
    world = World(realms={REALM: Limits(allocations_per_user=1)})
    for name in ("1:carol", "2:carol"):
        world.source.users[REALM, name] = credential(REALM, name, "p", owner="carol")
    codes = []
    for port, name in enumerate(("1:carol", "2:carol")):
        client = world.client(1000 + port, user=name)
        client.password = "p"
        codes.append(client.allocate().code)
    assert codes == [0, 486]


def test_quota_of_a_user_does_not_concern_nobody_in_particular() -> None:
    world = World(realms={REALM: Limits(allocations_per_user=1)})
    world.source.users[REALM, "alice"] = credential(REALM, "alice", "alice's password", owner="")
    assert [world.client(port).allocate().code for port in (1, 2, 3)] == [0, 0, 0]


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


def test_external_address_is_what_clients_are_told() -> None:
    public = Address.parse("203.0.113.5").packed
    world = World(relay_ips=(RelayIp(RELAY_IP, public),))
    relayed = world.client().allocated().message.get(a.XOR_RELAYED_ADDRESS)
    assert relayed is not None
    assert relayed.packed == public
    assert Address(RELAY_IP, relayed.port) in world.tables.relays


def test_relay_is_on_the_address_the_client_talks_to_if_it_can_be() -> None:
    other = Address.parse("192.0.2.99").packed
    world = World(relay_ips=(RelayIp(other, other), RelayIp(RELAY_IP, RELAY_IP)))
    for port in range(1, 10):
        relayed = world.client(port).allocated().message.get(a.XOR_RELAYED_ADDRESS)
        assert relayed is not None
        assert relayed.packed == RELAY_IP


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


def test_reservation_that_cannot_be_taken_up_is_let_go_whole() -> None:
    world = World(relay_ports=(50000, 50001))
    relayed, token = reserve(world)
    odd = relayed.with_port(relayed.port + 1)
    world.tables.reserved.discard(odd)
    world.tables.in_use.add(odd.port)
    assert world.client(2).allocate(a.RESERVATION_TOKEN.of(token)).code == 508
    world.tables.in_use.clear()
    reply = world.client(3).allocated()
    assert reply.message.get(a.XOR_RELAYED_ADDRESS) == odd


def test_reservation_ends_though_its_allocation_ended_before() -> None:
    world = World(relay_ports=(50000, 50001))
    client = world.client()
    token = client.allocated(a.EVEN_PORT.of(True)).message.get(a.RESERVATION_TOKEN)
    assert token
    client.refresh(0)
    assert len(world.tables.reserved) == 1
    world.advance(30)
    assert not world.tables.reserved
    assert [world.client(port).allocate().code for port in (1, 2, 3)] == [0, 0, 508]


def test_pair_of_ports_is_all_or_nothing() -> None:
    world = World(relay_ports=(50000, 50003))
    world.tables.in_use = {50001, 50002}
    assert world.client().allocate(a.EVEN_PORT.of(True)).code == 508
    assert not world.tables.relays
    assert not world.tables.reserved
    world.tables.in_use.clear()
    codes = [world.client(port).allocate().code for port in range(1, 6)]
    assert codes == [0, 0, 0, 0, 508]


@pytest.mark.parametrize("way_out", ["refresh-zero", "expired"])
def test_both_ports_of_a_dual_allocation_come_back(way_out: str) -> None:
    world = World(relay_ports=(50000, 50000))
    client = world.client(1)
    dual = a.ADDITIONAL_ADDRESS_FAMILY.of(Family.IPV6)
    client.allocated(dual)
    assert world.client(2).allocate(dual).code == 508
    if way_out == "expired":
        world.advance(600)
    else:
        client.refresh(0)
    assert not world.tables.relays
    assert len(world.client(3).allocated(dual).message.get_all(a.XOR_RELAYED_ADDRESS)) == 2


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


def test_ports_in_use_stay_in_use_when_the_configuration_changes() -> None:
    world = World(relay_ports=(50000, 50003))
    held = [world.client(port) for port in (1, 2)]
    for client in held:
        client.allocated()
    world.reconfigure(relay_ports=(50000, 50003))
    codes = [world.client(port).allocate().code for port in (3, 4, 5)]
    assert codes == [0, 0, 508]
    held[0].refresh(0)
    assert world.client(6).allocate().code == 0


def test_relay_address_may_go_and_come_back_under_its_allocations() -> None:
    world = World(relay_ports=(50000, 50001))
    held = [world.client(port) for port in (1, 2)]
    for client in held:
        client.allocated()
    world.reconfigure(relay_ports=(50000, 50001), relay_ips=(RelayIp(RELAY_IP6, RELAY_IP6),))
    assert world.client(3).allocate().code == 440
    held[0].refresh(0)
    world.reconfigure(relay_ports=(50000, 50001))
    codes = [world.client(port).allocate().code for port in (4, 5)]
    assert codes == [0, 508]
    assert held[1].refresh(0).code == 0
    assert world.client(6).allocate().code == 0


def test_range_of_ports_may_shrink_under_its_allocations() -> None:
    world = World(relay_ports=(50000, 50001))
    held = [world.client(port) for port in (1, 2)]
    for client in held:
        client.allocated()
    world.reconfigure(relay_ports=(50000, 50000))
    assert world.client(3).allocate().code == 508
    for client in held:
        assert client.refresh(0).code == 0
    relayed = world.client(4).allocated().message.get(a.XOR_RELAYED_ADDRESS)
    assert relayed is not None
    assert relayed.port == 50000
    assert world.client(5).allocate().code == 508


def test_another_relay_address_is_used_when_one_is_full() -> None:
    other = Address.parse("192.0.2.99").packed
    ips = (RelayIp(RELAY_IP, RELAY_IP), RelayIp(other, other))
    world = World(relay_ips=ips, relay_ports=(50000, 50001))
    hosts = Counter[bytes]()
    for port in range(1, 5):
        relayed = world.client(port).allocated().message.get(a.XOR_RELAYED_ADDRESS)
        assert relayed is not None
        hosts[relayed.packed] += 1
    assert hosts == {RELAY_IP: 2, other: 2}
    assert world.client(5).allocate().code == 508
