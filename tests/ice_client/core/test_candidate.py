import pytest

from ice_client.core.candidate import (
    Candidate,
    CandidateType,
    Foundations,
    Transport,
    candidate_priority,
    local_candidate,
    local_preferences,
    priority,
)
from stun import Address

HOST, SRFLX = CandidateType.HOST, CandidateType.SERVER_REFLEXIVE
PRFLX, RELAY = CandidateType.PEER_REFLEXIVE, CandidateType.RELAYED
V4 = Address.parse("192.0.2.1", 5000)


@pytest.mark.parametrize(
    ("kind", "component", "value"),
    [
        # RFC 8445 §15.1: "2130706431 = 126 * 2^24 + 65535 * 2^8 + 255", and its other three.
        (HOST, 1, 2130706431),
        (SRFLX, 1, 1694498815),
        (PRFLX, 1, 1862270975),
        (RELAY, 1, 16777215),
        (HOST, 2, 2130706430),
        (RELAY, 256, 16776960),
    ],
)
def test_priority_is_as_rfc_8445_5_1_2_1_computes_it(
    kind: CandidateType, component: int, value: int
) -> None:
    assert candidate_priority(kind, Transport.UDP, component) == value


@pytest.mark.parametrize(
    "numbers", [(127, 0, 1), (-1, 0, 1), (0, 65536, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257)]
)
def test_priority_refuses_numbers_out_of_range(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="not within"):
        priority(*numbers)


@pytest.mark.parametrize(
    ("kind", "order"),
    [
        # RFC 6544 §4.2
        (HOST, [Transport.TCP_ACTIVE, Transport.TCP_PASSIVE, Transport.TCP_SO]),
        (RELAY, [Transport.TCP_ACTIVE, Transport.TCP_PASSIVE, Transport.TCP_SO]),
        (SRFLX, [Transport.TCP_SO, Transport.TCP_ACTIVE, Transport.TCP_PASSIVE]),
        (PRFLX, [Transport.TCP_SO, Transport.TCP_ACTIVE, Transport.TCP_PASSIVE]),
    ],
)
def test_tcp_directions_are_preferred_as_rfc_6544_4_2_has_it(
    kind: CandidateType, order: list[Transport]
) -> None:
    priorities = [candidate_priority(kind, transport, 1) for transport in order]
    assert priorities == sorted(priorities, reverse=True)
    assert len(set(priorities)) == 3
    local = [value >> 8 & 0xFFFF for value in priorities]
    assert local == [6 << 13 | 0x1FFF, 4 << 13 | 0x1FFF, 2 << 13 | 0x1FFF]


def test_every_udp_type_but_the_relayed_goes_before_tcp() -> None:
    worst_udp = candidate_priority(SRFLX, Transport.UDP, 256, 0)
    best_tcp = max(candidate_priority(kind, Transport.TCP_ACTIVE, 1) for kind in CandidateType)
    assert worst_udp > best_tcp > candidate_priority(RELAY, Transport.UDP, 1)


@pytest.mark.parametrize(
    ("addresses", "order"),
    [
        (["192.0.2.1"], ["192.0.2.1"]),
        (["192.0.2.1", "2001:db8::1"], ["2001:db8::1", "192.0.2.1"]),
        (["2001:db8::1", "2001:db8::2"], ["2001:db8::1", "2001:db8::2"]),
        # Six to two: one in four is IPv4.
        (
            ["192.0.2.1", "192.0.2.2", *(f"2001:db8::{n}" for n in range(1, 7))],
            [
                *(f"2001:db8::{n}" for n in (1, 2, 3)),
                "192.0.2.1",
                *(f"2001:db8::{n}" for n in (4, 5, 6)),
                "192.0.2.2",
            ],
        ),
        # IPv4 in the majority: it does not have to wait longer than one turn.
        (
            ["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"],
            ["2001:db8::1", "192.0.2.1", "192.0.2.2", "192.0.2.3"],
        ),
        ([], []),
    ],
)
def test_families_are_mixed_so_that_neither_waits_for_the_other(
    addresses: list[str], order: list[str]
) -> None:
    parsed = [Address.parse(text) for text in addresses]
    preferences = local_preferences(parsed)
    assert len(set(preferences)) == len(parsed)
    ranked = sorted(zip(preferences, addresses, strict=True), reverse=True)
    assert [text for _, text in ranked] == order
    assert not ranked or ranked[0][0] == 65535


def test_foundations_are_equal_where_type_base_server_and_transport_are() -> None:
    foundations = Foundations()
    server, other_server = Address.parse("198.51.100.1", 3478), Address.parse("198.51.100.2", 3478)
    one = foundations.of(SRFLX, V4, server=server)
    assert foundations.of(SRFLX, V4.with_port(1), server=server.with_port(443)) == one
    different = [
        foundations.of(HOST, V4),
        foundations.of(RELAY, V4, server=server),
        foundations.of(SRFLX, Address.parse("192.0.2.2"), server=server),
        foundations.of(SRFLX, V4, server=other_server),
        foundations.of(SRFLX, V4, Transport.TCP_ACTIVE, server),
    ]
    assert len({one, *different}) == 6
    assert foundations.of(HOST, V4, Transport.TCP_ACTIVE) == foundations.of(
        HOST, V4, Transport.TCP_PASSIVE
    )


def test_a_reflexive_candidate_sends_from_its_base_and_others_from_themselves() -> None:
    foundations = Foundations()
    mapped = Address.parse("203.0.113.1", 40000)
    reflexive = local_candidate(SRFLX, mapped, foundations, base=V4, related_address=V4)
    assert (reflexive.address, reflexive.base.address) == (mapped, V4)
    assert local_candidate(RELAY, mapped, foundations).base.address == mapped
    assert reflexive.foundation == "1"


def test_a_host_name_asks_to_be_resolved_once() -> None:
    candidate = Candidate(
        foundation="1",
        component=1,
        priority=1,
        address=Address.parse("0.0.0.0", 4321),
        type=HOST,
        host_name="a.local",
    )
    assert candidate.needs_resolution
    resolved = candidate.resolved(Address.parse("192.0.2.9", 1))
    assert resolved.address == Address.parse("192.0.2.9", 4321)
    assert not resolved.needs_resolution


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Transport.UDP, Transport.UDP),
        (Transport.TCP_ACTIVE, Transport.TCP_PASSIVE),
        (Transport.TCP_PASSIVE, Transport.TCP_ACTIVE),
        (Transport.TCP_SO, Transport.TCP_SO),
    ],
)
def test_transports_pair_as_rfc_6544_6_2_has_it(ours: Transport, theirs: Transport) -> None:
    assert ours.counterpart is theirs
