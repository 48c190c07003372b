"""The rules alone, where a server would be much ado: which cause keeps which verdict quiet."""

from __future__ import annotations

import attrs
import pytest

from ice_client.check import verdicts as v
from ice_client.check.check import without_doubles
from ice_client.check.judge import judge
from ice_client.check.network_results import QualityResult, RoundTrips
from ice_client.check.results import (
    Cause,
    Outcome,
    Report,
    Row,
    Stage,
    StageName,
)
from ice_client.check.sources import parse_uri
from ice_client.check.target import Target
from ice_client.turn import Transport

EMPTY = Report(tool="t", started="", seconds=0.0, target="", works=False)
OK, FAILED, SKIPPED = Outcome.OK, Outcome.FAILED, Outcome.SKIPPED


def allocated(address: str, relayed: str, echo: Outcome, direct: Outcome) -> Row:
    """Return a row that got as far as its relay."""
    stages = [
        Stage(StageName.CONNECT, OK, 0.1),
        Stage(StageName.BINDING, OK, 0.1),
        Stage(StageName.ALLOCATE, OK, 0.1),
        Stage(StageName.ECHO, echo, 0.1),
        Stage(StageName.DIRECT, direct, 0.1),
    ]
    family = "ipv6" if ":" in address else "ipv4"
    return Row(
        Transport.UDP,
        family,  # type: ignore[arg-type]
        address,
        3478,
        tuple(stages),
        relayed_address=relayed,
    )


@pytest.mark.parametrize(
    ("address", "relayed", "echo", "direct", "verdict"),
    [
        # A cloud without external-ip: two relays reach each other, nobody else does.
        ("1.1.1.1", "10.0.0.5:50000", OK, FAILED, v.PRIVATE_RELAY),
        ("1.1.1.1", "10.0.0.5:50000", OK, SKIPPED, v.PRIVATE_RELAY),
        ("1.1.1.1", "127.0.0.1:50000", OK, SKIPPED, v.PRIVATE_RELAY),
        ("2606:4700::1", "[fd00::5]:50000", OK, FAILED, v.PRIVATE_RELAY),
        # On a LAN, or a machine's own loopback, a private address is what it should be.
        ("10.0.0.5", "10.0.0.5:50000", OK, SKIPPED, None),
        ("10.0.0.5", "10.0.0.6:50000", OK, SKIPPED, None),
        ("127.0.0.1", "10.0.0.5:50000", OK, OK, None),
        ("1.1.1.1", "1.1.1.1:50000", OK, OK, None),
        ("1.1.1.1", "1.0.0.1:50000", OK, SKIPPED, None),
        # A firewall, and who is behind it.
        ("1.1.1.1", "1.1.1.1:50000", OK, FAILED, v.RELAY_PORTS_BLOCKED),
        ("1.1.1.1", "1.1.1.1:50000", FAILED, FAILED, v.RELAY_PORTS_BLOCKED),
        ("1.1.1.1", "1.1.1.1:50000", FAILED, SKIPPED, v.RELAY_PORTS_BLOCKED),
        ("1.1.1.1", "1.1.1.1:50000", FAILED, OK, v.RELAY_TO_RELAY_FAILS),
    ],
)
def test_relay_is_judged_by_where_it_is_and_who_reaches_it(
    address: str, relayed: str, echo: Outcome, direct: Outcome, verdict: v.Verdict | None
) -> None:
    report = attrs.evolve(EMPTY, rows=(allocated(address, relayed, echo, direct),))
    assert [each.id for each in judge(report)] == ([verdict.id] if verdict else [])


def failed(transport: Transport, name: StageName, cause: Cause, *, expected: bool = True) -> Row:
    """Return a row that ended at a stage."""
    connected = (Stage(StageName.CONNECT, OK, 0.1),) if name is not StageName.CONNECT else ()
    stages = (*connected, Stage(name, FAILED, 1.0, cause))
    return Row(transport, "ipv4", "1.1.1.1", 3478, stages, expected=expected)


GOOD_UDP = allocated("1.1.1.1", "1.1.1.1:50000", OK, OK)
GOOD_TCP = attrs.evolve(GOOD_UDP, transport=Transport.TCP)
SILENT_UDP = failed(Transport.UDP, StageName.BINDING, Cause.TIMEOUT)


@pytest.mark.parametrize(
    ("rows", "verdicts"),
    [
        ([GOOD_UDP, failed(Transport.TCP, StageName.CONNECT, Cause.REFUSED, expected=False)], []),
        (
            [GOOD_UDP, failed(Transport.TCP, StageName.CONNECT, Cause.TIMEOUT)],
            [v.TRANSPORT_MISSING],
        ),
        (
            [GOOD_UDP, failed(Transport.DTLS, StageName.TLS, Cause.TIMEOUT)],
            [v.TRANSPORT_MISSING],
        ),
        ([SILENT_UDP, GOOD_TCP], [v.UDP_BLOCKED]),
        (
            [SILENT_UDP, failed(Transport.TCP, StageName.CONNECT, Cause.TIMEOUT)],
            [v.NOTHING_ANSWERS],
        ),
        (
            [
                failed(Transport.UDP, StageName.BINDING, Cause.REFUSED),
                failed(Transport.TCP, StageName.CONNECT, Cause.REFUSED),
            ],
            [v.REFUSED],
        ),
        ([failed(Transport.TCP, StageName.BINDING, Cause.TIMEOUT)], [v.NOT_STUN]),
        ([failed(Transport.TLS, StageName.TLS, Cause.CLOSED)], [v.TLS_FAILED]),
        ([], []),
    ],
)
def test_ways_that_fail_have_one_verdict(rows: list[Row], verdicts: list[v.Verdict]) -> None:
    found = judge(attrs.evolve(EMPTY, rows=tuple(rows)))
    assert [each.id for each in found] == [each.id for each in verdicts]


def test_findings_that_say_the_same_are_one_with_every_place() -> None:
    rows = (
        allocated("1.1.1.1", "1.1.1.1:50000", OK, FAILED),
        attrs.evolve(allocated("1.1.1.1", "1.1.1.1:50002", OK, FAILED), transport=Transport.TCP),
    )
    (found,) = judge(attrs.evolve(EMPTY, rows=rows))
    assert found.where == "udp ipv4 1.1.1.1:3478, tcp ipv4 1.1.1.1:3478"


def test_errors_come_before_warnings_and_notes() -> None:
    slow = QualityResult("udp", RoundTrips(10, 9), RoundTrips(10, 10))
    rows = (allocated("1.1.1.1", "1.1.1.1:50000", OK, FAILED),)
    found = judge(attrs.evolve(EMPTY, rows=rows, quality=(slow,)))
    assert [each.severity for each in found] == ["error", "warning"]


def test_stun_server_that_is_a_turn_server_of_the_list_is_checked_once() -> None:
    stun = Target(uris=(parse_uri("stun:a"), parse_uri("stun:b")))
    turn = Target(uris=(parse_uri("turn:a"),))
    assert [str(each) for each in without_doubles([stun, turn])] == ["stun:b", "turn:a"]
    assert without_doubles([Target(uris=(parse_uri("stun:a"),)), turn]) == [turn]
