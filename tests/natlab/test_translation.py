"""The table of a NAT: lifetimes, refreshing, exhaustion, repeatability."""

from __future__ import annotations

import pytest

from tests.natlab.behaviour import FULL_CONE, PORT_RESTRICTED, SYMMETRIC, Behaviour
from tests.natlab.packet import TCP, UDP, Endpoint
from tests.natlab.translation import TranslationTable

INSIDE: Endpoint = (b"\xc0\xa8\x01\x02", 5000)
SERVER: Endpoint = (b"\x0b\x00\x00\x01", 3478)
OTHER: Endpoint = (b"\x0b\x00\x00\x02", 3478)
LIFETIME = FULL_CONE.lifetime


def test_mapping_ends_with_its_lifetime() -> None:
    table = TranslationTable(FULL_CONE)
    assert table.outbound(UDP, INSIDE, SERVER, now=0.0) == 5000
    assert table.inbound(UDP, 5000, OTHER, now=LIFETIME - 0.1) == INSIDE
    assert table.inbound(UDP, 5000, OTHER, now=LIFETIME) is None


def test_packets_from_inside_refresh_a_mapping_and_those_from_outside_do_not() -> None:
    table = TranslationTable(FULL_CONE)
    table.outbound(UDP, INSIDE, SERVER, now=0.0)
    table.outbound(UDP, INSIDE, SERVER, now=100.0)
    assert table.inbound(UDP, 5000, SERVER, now=LIFETIME + 99.9) == INSIDE
    assert table.inbound(UDP, 5000, SERVER, now=LIFETIME + 100.0) is None


def test_filter_forgets_a_remote_though_the_mapping_lives_on() -> None:
    table = TranslationTable(PORT_RESTRICTED)
    table.outbound(UDP, INSIDE, SERVER, now=0.0)
    table.outbound(UDP, INSIDE, OTHER, now=100.0)
    assert table.inbound(UDP, 5000, SERVER, now=LIFETIME) is None
    assert table.inbound(UDP, 5000, OTHER, now=LIFETIME) == INSIDE


def test_port_of_a_mapping_that_is_over_is_free_again() -> None:
    table = TranslationTable(FULL_CONE)
    neighbour = (b"\xc0\xa8\x01\x03", 5000)
    assert table.outbound(UDP, INSIDE, SERVER, now=0.0) == 5000
    assert table.outbound(UDP, neighbour, SERVER, now=1.0) == 5001
    assert table.outbound(UDP, neighbour, SERVER, now=LIFETIME + 2.0) == 5000


def test_protocols_have_ports_of_their_own() -> None:
    table = TranslationTable(FULL_CONE)
    neighbour = (b"\xc0\xa8\x01\x03", 5000)
    assert table.outbound(UDP, INSIDE, SERVER, now=0.0) == 5000
    assert table.outbound(TCP, neighbour, SERVER, now=0.0) == 5000
    assert table.inbound(TCP, 5000, SERVER, now=0.0) == neighbour


@pytest.mark.parametrize("behaviour", [FULL_CONE, SYMMETRIC])
def test_ports_run_out_one_by_one_and_all_are_used(behaviour: Behaviour) -> None:
    ports = range(4950, 5050)
    table = TranslationTable(behaviour, ports=ports)
    hosts = [(number.to_bytes(4), 5000) for number in range(len(ports))]
    assert {table.outbound(UDP, host, SERVER, now=0.0) for host in hosts} == set(ports)
    assert table.outbound(UDP, INSIDE, SERVER, now=0.0) is None
    # Who has one keeps it.
    assert table.outbound(UDP, hosts[0], SERVER, now=1.0) in ports


def test_random_ports_repeat_with_the_seed() -> None:
    def ports(seed: int) -> list[int | None]:
        table = TranslationTable(SYMMETRIC, seed)
        return [table.outbound(UDP, INSIDE, (SERVER[0], port), now=0.0) for port in range(20)]

    assert ports(1) == ports(1)
    assert ports(1) != ports(2)


def test_rebinding_never_gives_an_old_port_again() -> None:
    table = TranslationTable(FULL_CONE)
    ports = []
    for _ in range(5):
        ports.append(table.outbound(UDP, INSIDE, SERVER, now=0.0))
        table.rebind()
    assert ports == [5000, 5001, 5002, 5003, 5004]
    assert all(table.inbound(UDP, port, SERVER, now=0.0) is None for port in range(5000, 5005))
