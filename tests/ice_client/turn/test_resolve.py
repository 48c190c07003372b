"""RFC 5928: which servers a URI means, and in which order to try them."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from functools import partial

import attrs
import dns.asyncresolver
import dns.message
import dns.rrset
import pytest
import trio

from ice_client.turn import ResolutionError, TlsOptions, Transport, resolve_host, resolve_uri
from ice_client.turn.lookup import NamingRule, Service, SystemLookup, order_services
from ice_client.turn.resolve import MOST_ADDRESSES
from stun import Address, Family
from stun.uri import UriError

V4, V6 = "192.0.2.1", "2001:db8::1"


@attrs.define
class Zone:
    """Names as a test wants them; counts who is asked for."""

    hosts: dict[str, list[str]] = attrs.field(factory=dict)
    srv: dict[str, list[Service]] = attrs.field(factory=dict)
    naptr: dict[str, list[NamingRule]] = attrs.field(factory=dict)
    slow: set[str] = attrs.field(factory=set)
    asked: list[str] = attrs.field(factory=list)

    async def addresses(self, host: str, family: Family) -> Sequence[Address]:
        self.asked.append(f"{host} {family.name}")
        if f"{host} {family.name}" in self.slow:
            await trio.sleep_forever()
        found = [Address.parse(each) for each in self.hosts.get(host, [])]
        return [each for each in found if each.family is family]

    async def services(self, name: str) -> Sequence[Service]:
        self.asked.append(name)
        if name in self.slow:
            await trio.sleep_forever()
        return self.srv.get(name, [])

    async def rules(self, name: str) -> Sequence[NamingRule]:
        self.asked.append(f"{name} NAPTR")
        if f"{name} NAPTR" in self.slow:
            await trio.sleep_forever()
        return self.naptr.get(name, [])


async def ways(uri: str, zone: Zone, **options: object) -> list[tuple[str, int, str]]:
    resolved = await resolve_uri(uri, lookup=zone, random_below=lambda _: 0, **options)  # type: ignore[arg-type]
    assert all(each.server.address == each.address for each in resolved)
    return [(e.address.host, e.address.port, e.server.transport.value) for e in resolved]


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        (f"turn:{V4}", [(V4, 3478, "udp"), (V4, 3478, "tcp")]),
        (f"turn:{V4}:99?transport=tcp", [(V4, 99, "tcp")]),
        (f"turns:{V4}", [(V4, 5349, "tls"), (V4, 5349, "dtls")]),
        (f"turns:{V4}?transport=udp", [(V4, 5349, "dtls")]),
        (f"turns:{V4}?transport=tcp", [(V4, 5349, "tls")]),
        (f"stun:[{V6}]", [(V6, 3478, "udp"), (V6, 3478, "tcp")]),
        (f"stuns:[{V6}]:1", [(V6, 1, "tls"), (V6, 1, "dtls")]),
    ],
)
async def test_an_address_needs_no_dns(uri: str, expected: list[tuple[str, int, str]]) -> None:
    zone = Zone()
    assert await ways(uri, zone) == expected
    assert zone.asked == []


async def test_a_port_means_no_srv_records() -> None:
    zone = Zone(
        hosts={"t.example": [V4, V6]}, srv={"_turn._udp.t.example": [Service(0, 0, 9, "x")]}
    )
    assert await ways("turn:t.example:7?transport=udp", zone) == [(V6, 7, "udp"), (V4, 7, "udp")]
    assert sorted(zone.asked) == ["t.example IPV4", "t.example IPV6"]


async def test_srv_records_say_where_and_by_which_transport() -> None:
    zone = Zone(
        hosts={"a.example": [V4], "b.example": ["192.0.2.2"]},
        srv={
            "_turn._udp.t.example": [
                Service(20, 0, 3001, "b.example"),
                Service(10, 0, 3000, "a.example"),
            ],
            "_turn._tcp.t.example": [Service(0, 0, 3002, "a.example")],
        },
    )
    assert await ways("turn:t.example", zone) == [
        (V4, 3000, "udp"),
        ("192.0.2.2", 3001, "udp"),
        (V4, 3002, "tcp"),
    ]
    assert await ways("turn:t.example?transport=tcp", zone) == [(V4, 3002, "tcp")]
    tcp_first = (Transport.TCP, Transport.UDP)
    assert (await ways("turn:t.example", zone, transports=tcp_first))[0] == (V4, 3002, "tcp")


@pytest.mark.parametrize(
    ("uri", "names"),
    [
        ("turn:t.example", {"_turn._udp.t.example", "_turn._tcp.t.example"}),
        ("turns:t.example", {"_turns._tcp.t.example", "_turns._udp.t.example"}),
        ("stun:t.example", {"_stun._udp.t.example", "_stun._tcp.t.example"}),
        ("stuns:t.example", {"_stuns._tcp.t.example", "_stuns._udp.t.example"}),
    ],
)
async def test_each_scheme_has_its_service_names(uri: str, names: set[str]) -> None:
    zone = Zone(hosts={"t.example": [V4]})
    await ways(uri, zone)
    assert {name for name in zone.asked if name.startswith("_")} == names


async def test_without_srv_records_the_host_itself_is_asked_at_the_default_port() -> None:
    zone = Zone(hosts={"t.example": [V4]})
    assert await ways("turn:t.example", zone) == [(V4, 3478, "udp"), (V4, 3478, "tcp")]


def rule(order: int, flag: str, protocols: str, target: str, *, preference: int = 10) -> NamingRule:
    tags = tuple(f"turn.{each}" for each in protocols.split())
    return NamingRule(order, preference, flag, "RELAY", tags, target)


def rfc_5928_zone() -> Zone:
    """As in RFC 5928 §4.1, and §4.2: example.com has its servers run by example.net."""
    return Zone(
        hosts={"a.example.net": [V4], "example.com": ["192.0.2.99"]},
        naptr={
            "example.com": [rule(100, "", "udp tcp tls", "example.net")],
            "example.net": [
                rule(200, "", "tcp tls", "stream.example.net"),
                rule(100, "", "udp", "datagram.example.net"),
            ],
            "datagram.example.net": [rule(100, "S", "udp", "_turn._udp.example.net")],
            "stream.example.net": [
                rule(200, "A", "tls", "a.example.net"),
                rule(100, "S", "tcp", "_turn._tcp.example.net"),
            ],
        },
        srv={
            "_turn._udp.example.net": [Service(0, 0, 3478, "a.example.net")],
            "_turn._tcp.example.net": [Service(0, 0, 5000, "a.example.net")],
            "_turn._udp.example.com": [Service(0, 0, 9, "example.com")],
        },
    )


@pytest.mark.parametrize("host", ["example.net", "example.com"])
@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        ("turn", [(V4, 3478, "udp"), (V4, 5000, "tcp")]),
        ("turns", [(V4, 5349, "tls")]),
    ],
)
async def test_naptr_records_say_which_transport_and_may_lead_to_another_domain(
    host: str, scheme: str, expected: list[tuple[str, int, str]]
) -> None:
    assert await ways(f"{scheme}:{host}", rfc_5928_zone()) == expected
    # The administrator's order, not ours.
    tcp_first = (Transport.DTLS, Transport.TLS, Transport.TCP, Transport.UDP)
    assert await ways(f"{scheme}:{host}", rfc_5928_zone(), transports=tcp_first) == expected


@pytest.mark.parametrize(
    "uri", ["turn:example.com:3478", "turn:example.com?transport=udp", "stun:example.com"]
)
async def test_naptr_records_are_for_turn_uris_without_port_and_transport(uri: str) -> None:
    zone = rfc_5928_zone()
    await ways(uri, zone)
    assert not [name for name in zone.asked if name.endswith("NAPTR")]


@pytest.mark.parametrize(
    "rules",
    [
        [],
        [rule(1, "S", "udp", "nowhere.example")],
        [rule(1, "S", "tls", "_turn._udp.other.example")],
        [rule(1, "U", "udp", "_turn._udp.other.example")],
        [NamingRule(1, 1, "S", "SIP", (), "_turn._udp.other.example")],
        [rule(1, "", "udp", "t.example"), rule(2, "", "tcp", "t.example")],
    ],
    ids=["none", "to nothing", "another protocol", "a URI", "another service", "in circles"],
)
async def test_naptr_records_that_lead_nowhere_leave_it_to_srv_records(
    rules: list[NamingRule],
) -> None:
    zone = Zone(
        hosts={"a.example": [V4], "b.example": ["192.0.2.2"]},
        naptr={"t.example": rules},
        srv={
            "_turn._udp.t.example": [Service(0, 0, 3000, "a.example")],
            "_turn._udp.other.example": [Service(0, 0, 3000, "b.example")],
        },
    )
    assert await ways("turn:t.example", zone) == [(V4, 3000, "udp")]
    assert zone.asked.count("t.example NAPTR") == 1


async def test_a_rule_without_protocols_is_for_all_and_preference_decides_within_an_order() -> None:
    zone = Zone(
        hosts={"a.example": [V4], "b.example": ["192.0.2.2"]},
        naptr={
            "t.example": [
                rule(1, "A", "", "a.example", preference=2),
                rule(1, "A", "udp", "b.example", preference=1),
            ]
        },
    )
    assert await ways("turn:t.example", zone) == [
        ("192.0.2.2", 3478, "udp"),
        (V4, 3478, "udp"),
        (V4, 3478, "tcp"),
    ]


async def test_a_name_server_that_is_silent_on_naptr_does_not_hide_srv_records(
    autojump_clock: object,
) -> None:
    zone = Zone(
        hosts={"a.example": [V4]},
        srv={"_turn._udp.t.example": [Service(0, 0, 3000, "a.example")]},
        slow={"t.example NAPTR"},
    )
    assert await ways("turn:t.example", zone) == [(V4, 3000, "udp")]


async def test_the_certificate_is_for_the_name_in_the_uri_not_for_the_target() -> None:
    zone = Zone(
        hosts={"a.example": [V4]}, srv={"_turns._tcp.t.example": [Service(0, 0, 1, "a.example")]}
    )
    (way,) = await resolve_uri("turns:t.example?transport=tcp", lookup=zone)
    assert way.server.tls_name == "t.example"
    assert (way.target, way.from_srv) == ("a.example", True)
    named = TlsOptions(server_name="other.example")
    (way,) = await resolve_uri("turns:t.example?transport=tcp", tls=named, lookup=zone)
    assert way.server.tls_name == "other.example"


async def test_a_look_up_that_hangs_does_not_hold_the_others(autojump_clock: object) -> None:
    zone = Zone(hosts={"t.example": [V4, V6]}, slow={"t.example IPV6", "_turn._udp.t.example"})
    start = trio.current_time()
    assert await ways("turn:t.example?transport=udp", zone, timeout=2.0) == [(V4, 3478, "udp")]
    assert trio.current_time() - start == pytest.approx(4.0)


async def test_nothing_found_is_an_error() -> None:
    with pytest.raises(ResolutionError):
        await resolve_uri("turn:t.example", lookup=Zone())
    with pytest.raises(ResolutionError):
        await resolve_host("t.example", 1, lookup=Zone())
    with pytest.raises(ResolutionError):
        await resolve_uri(f"turn:{V4}?transport=sctp", lookup=Zone())
    with pytest.raises(UriError):
        await resolve_uri("http://t.example", lookup=Zone())


async def test_addresses_of_both_families_take_turns_and_have_a_limit() -> None:
    many = [f"192.0.2.{n}" for n in range(100)]
    zone = Zone(hosts={"t.example": [*many, V6]})
    found = await resolve_host("t.example", 5, lookup=zone)
    assert [each.host for each in found[:3]] == [V6, "192.0.2.0", "192.0.2.1"]
    assert len(found) == MOST_ADDRESSES
    only = await resolve_host("t.example", 5, lookup=zone, family=Family.IPV6)
    assert only == (Address.parse(V6, 5),)


def _next_of(numbers: Iterator[int], _below: int) -> int:
    return next(numbers)


def test_srv_weights_decide_by_chance_within_a_priority() -> None:
    # RFC 2782: the first whose running sum is at least the number drawn from 0 to the sum.
    a, b, c = Service(1, 0, 1, "a"), Service(1, 1, 1, "b"), Service(1, 3, 1, "c")
    first = Service(0, 0, 1, "first")
    drawn = {0: "abc", 1: "bac", 2: "cab", 4: "cab"}
    for number, expected in drawn.items():
        numbers = iter([0, number, 0, 0])
        ordered = order_services([c, b, a, first], partial(_next_of, numbers))
        assert [s.target for s in ordered] == ["first", *expected]


def test_a_root_target_says_that_there_is_no_such_service() -> None:
    assert order_services([Service(0, 0, 0, "")], lambda _: 0) == []


async def test_the_system_knows_localhost() -> None:
    found = await resolve_host("localhost", 7, family=Family.IPV4)
    assert found == (Address.parse("127.0.0.1", 7),)


async def test_records_are_read_from_a_dns_server() -> None:
    async def serve(task_status: trio.TaskStatus[int]) -> None:
        with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            await sock.bind(("127.0.0.1", 0))
            task_status.started(sock.getsockname()[1])
            while True:
                data, source = await sock.recvfrom(65536)
                query = dns.message.from_wire(data)
                response = dns.message.make_response(query)
                name = query.question[0].name
                if str(name) == "_turn._udp.t.example.":
                    records = ["10 5 3478 a.example.", "0 0 0 ."]
                    response.answer.append(dns.rrset.from_text(name, 60, "IN", "SRV", *records))
                if str(name) == "t.example.":
                    rules = [
                        '100 10 "" "RELAY:turn.udp:turn.TCP" "" d.example.',
                        '100 20 "s" "relay:turn.tls" "" _turns._tcp.t.example.',
                        '100 30 "A" "RELAY" "!^.*$!a.example!" .',
                    ]
                    response.answer.append(dns.rrset.from_text(name, 60, "IN", "NAPTR", *rules))
                await sock.sendto(response.to_wire(), source)

    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve)
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], port
        lookup = SystemLookup(resolver)
        with trio.fail_after(10):
            found = await lookup.services("_turn._udp.t.example")
            assert await lookup.services("_turn._tcp.t.example") == ()
            rules = await lookup.rules("t.example")
            assert await lookup.rules("_turn._tcp.t.example") == ()
        nursery.cancel_scope.cancel()
    assert set(found) == {Service(10, 5, 3478, "a.example"), Service(0, 0, 0, "")}
    assert set(rules) == {
        NamingRule(100, 10, "", "RELAY", ("turn.udp", "turn.tcp"), "d.example"),
        NamingRule(100, 20, "S", "RELAY", ("turn.tls",), "_turns._tcp.t.example"),
    }
