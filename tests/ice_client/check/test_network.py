"""What ice-check says of NATs, firewalls and bad lines: in a lab that has them (tests/natlab)."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import attrs
import trio

from ice_client.check import verdicts as v
from ice_client.check.command_gather import meaning
from ice_client.check.network_results import Filtering, Mapping, NatResult
from ice_client.check.probe_nat import probe_nat
from ice_client.check.probe_quality import QualityOptions
from ice_client.check.results import Report
from ice_client.check.round_trips import jitter, overtaken, percentile
from stun import Address, Message
from stun import attributes as a
from tests.ice_client.check.fake_server import bound, fake_server, success
from tests.ice_client.check.kit import QUICK, check, provokes
from tests.interop.server_under_test import PASSWORD, USER
from tests.natlab import (
    FULL_CONE,
    PORT_RESTRICTED,
    SYMMETRIC,
    UDP_BLOCKED,
    Behaviour,
    Dependence,
    Host,
    Impairment,
    KernelRouter,
    Nat,
    PortAssignment,
    Topology,
    inhabiting,
    lab,
    with_hairpinning,
)
from tests.natlab.servers import turnd_on

SERVER = Host("server", addresses=2)
WHO: dict[str, Any] = {"username": USER, "password": PASSWORD}
DISCOVER = attrs.evolve(QUICK, nat=True)
MEASURE = attrs.evolve(
    QUICK, quality=QualityOptions(packets=100, interval=0.004, rates_bps=(5e5, 2e6), wait=0.3)
)
BUSY = (v.JITTER, v.SLOW, v.LOSS)
"""What a machine that has other things to do makes of any line."""
MAPPINGS = {
    Dependence.ENDPOINT_INDEPENDENT: Mapping.ENDPOINT_INDEPENDENT,
    Dependence.ADDRESS_DEPENDENT: Mapping.ADDRESS_DEPENDENT,
    Dependence.ADDRESS_AND_PORT_DEPENDENT: Mapping.ADDRESS_AND_PORT_DEPENDENT,
}
FILTERINGS = {each: Filtering(mapping.value) for each, mapping in MAPPINGS.items()}


async def test_every_kind_of_nat_is_told(tmp_path: Path) -> None:
    kinds = {
        f"{mapping.name} {filtering.name}": Behaviour(mapping, filtering)
        for mapping in Dependence
        for filtering in Dependence
    }
    topology = Topology(
        hosts=(SERVER, Host("public"), *(Host(f"at {name}", on=name) for name in kinds)),
        boxes=tuple(Nat(name, behaviour) for name, behaviour in kinds.items()),
    )
    found: dict[str, NatResult] = {}
    with lab(topology) as net:
        server = Address.parse(net["server"].address, 3478)

        async def probe(name: str, host: str) -> None:
            with inhabiting(net[host]):
                found[name] = await probe_nat(server)

        async with turnd_on(net["server"], tmp_path), trio.open_nursery() as nursery:
            nursery.start_soon(probe, "public", "public")
            for name in kinds:
                nursery.start_soon(probe, name, f"at {name}")
    assert found["public"].mapping is Mapping.NONE
    assert found["public"].filtering is Filtering.ENDPOINT_INDEPENDENT
    assert found["public"].hairpin is None
    for name, behaviour in kinds.items():
        result = found[name]
        assert result.mapping is MAPPINGS[behaviour.mapping], name
        assert result.filtering is FILTERINGS[behaviour.filtering], name
        assert (result.offered, result.hairpin, result.alg) == (True, False, False), name
        assert result.port_preserved, name


async def test_hairpinning_is_told(tmp_path: Path) -> None:
    nats = {"open": with_hairpinning(FULL_CONE), "strict": with_hairpinning(PORT_RESTRICTED)}
    topology = Topology(
        hosts=(SERVER, *(Host(f"at {name}", on=name) for name in nats)),
        boxes=tuple(Nat(name, behaviour) for name, behaviour in nats.items()),
    )
    with lab(topology) as net:
        server = Address.parse(net["server"].address, 3478)
        async with turnd_on(net["server"], tmp_path):
            for name in nats:
                with inhabiting(net[f"at {name}"]):
                    assert (await probe_nat(server)).hairpin is True, name


async def _behind(box: Nat | KernelRouter, folder: Path, **changes: Any) -> Report:
    """Check turnd from a host behind a box."""
    topology = Topology(hosts=(SERVER, Host("here", on=box.name)), boxes=(box,))
    with lab(topology) as net:
        async with turnd_on(net["server"], folder):
            with inhabiting(net["here"]):
                return await check(
                    f"turn:{net['server'].address}", options=DISCOVER, changes=changes, **WHO
                )


@provokes(v.SYMMETRIC_NAT, v.NO_HAIRPIN)
async def test_symmetric_nat(tmp_path: Path) -> Report:
    report = await _behind(Nat("home", SYMMETRIC), tmp_path)
    (result,) = report.nat
    assert result.port_preserved is False
    assert "relayed" in meaning(result)
    assert [each.type for each in report.candidates[:3]] == ["host", "srflx", "relay"]
    assert {each.type for each in report.candidates[3:]} == {"relay"}
    return report


@provokes(v.SHORT_MAPPING, v.NO_HAIRPIN)
async def test_nat_that_forgets(tmp_path: Path) -> Report:
    forgetful = Behaviour(
        Dependence.ENDPOINT_INDEPENDENT,
        Dependence.ENDPOINT_INDEPENDENT,
        PortAssignment.RANDOM,
        lifetime=1.0,
    )
    report = await _behind(Nat("home", forgetful), tmp_path, mapping_lifetimes=(0.2, 2.0))
    (result,) = report.nat
    assert (result.lifetime, result.lifetime_end) == (0.2, 2.0)
    return report


@provokes(v.UDP_BLOCKED)
async def test_firewall_that_drops_udp(tmp_path: Path) -> Report:
    report = await _behind(KernelRouter("office", UDP_BLOCKED), tmp_path)
    works = {row.transport.value for row in report.rows if row.works}
    assert works == {"tcp", "tls"}
    return report


@provokes(v.RELAY_PORTS_BLOCKED)
async def test_firewall_before_the_relay_ports(tmp_path: Path) -> Report:
    rules = tmp_path / "rules"
    rules.write_text(
        "table inet closed {\n chain input {\n  type filter hook input priority 0;\n"
        '  iifname "eth0" udp dport 49152-65535 drop\n }\n}\n'
    )
    with lab(Topology(hosts=(SERVER, Host("here")), boxes=())) as net:
        subprocess.run(net["server"].command("nft", "-f", str(rules)), check=True, timeout=20)
        async with turnd_on(net["server"], tmp_path):
            # Where the server answers from is not in the range; where it relays is.
            with inhabiting(net["here"]):
                return await check(f"turn:{net['server'].address}", **WHO)


async def _over_a_bad_line(folder: Path, line: Impairment) -> Report:
    with lab(Topology(hosts=(SERVER, Host("here")), boxes=())) as net:
        async with turnd_on(net["server"], folder):
            net.impair("here", up=line, down=None)
            with inhabiting(net["here"]):
                uri = f"turn:{net['server'].address}?transport=udp"
                return await check(uri, options=MEASURE, **WHO)


@provokes(v.LOSS, beside=BUSY)
async def test_line_that_loses_packets(tmp_path: Path) -> Report:
    report = await _over_a_bad_line(tmp_path, Impairment(loss=0.1, seed=1))
    assert 0.02 < report.quality[0].relay.loss < 0.4
    return report


@provokes(v.JITTER, v.REORDERING, beside=BUSY)
async def test_line_with_jitter(tmp_path: Path) -> Report:
    line = Impairment(reordering=0.5, reordering_delay=0.1, seed=1)
    return await _over_a_bad_line(tmp_path, line)


@provokes(v.REORDERING, beside=BUSY)
async def test_line_where_packets_overtake(tmp_path: Path) -> Report:
    line = Impairment(reordering=0.1, reordering_delay=0.02, seed=1)
    return await _over_a_bad_line(tmp_path, line)


@provokes(v.SMALL_MTU, beside=BUSY)
async def test_line_where_long_packets_vanish(tmp_path: Path) -> Report:
    report = await _over_a_bad_line(tmp_path, Impairment(largest_bytes=1100))
    assert report.quality[0].path_mtu == 1000
    return report


@provokes(v.SLOW, beside=BUSY)
async def test_narrow_line(tmp_path: Path) -> Report:
    return await _over_a_bad_line(tmp_path, Impairment(rate_bps=7e5, queue_bytes=8000))


async def test_good_line_has_nothing_wrong(tmp_path: Path) -> None:
    report = await _over_a_bad_line(tmp_path, Impairment(delay=0.01))
    assert {each.id for each in report.findings} <= {each.id for each in BUSY}
    (quality,) = report.quality
    assert quality.direct.p50 is not None
    assert quality.relay.p50 is not None
    # Up once for the server itself; up twice to the other allocation and back.
    assert quality.direct.p50 >= 0.010
    assert quality.relay.p50 >= 0.020
    assert quality.path_mtu is not None
    assert quality.path_mtu >= 1400


@provokes(v.NO_DISCOVERY, v.ALG, v.NO_HAIRPIN)
async def test_gateway_that_rewrites_addresses() -> Report:
    def script(request: Message, client: Address) -> Message:
        return success(
            request,
            a.MAPPED_ADDRESS.of(client),
            a.XOR_MAPPED_ADDRESS.of(client.with_port(9), request.transaction_id),
        )

    async with fake_server(script) as server:
        return await check(f"stun:127.0.0.1:{server.port}", options=DISCOVER)


async def test_no_answer_is_no_verdict_on_the_nat() -> None:
    async with fake_server(bound, transports=()) as server:
        result = await probe_nat(Address.parse("127.0.0.1", server.port))
    assert (result.mapped_address, result.mapping, result.detail) == (None, None, "no answer")
    assert "TCP or TLS" in meaning(result)


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(each) for each in range(1, 101)]
    assert [percentile(values, part) for part in (0.5, 0.95, 0.99)] == [50.0, 95.0, 99.0]
    assert percentile([], 0.5) is None


def test_overtaken_packets_are_counted_once() -> None:
    assert [overtaken(each) for each in ([0, 1, 2], [1, 0, 2], [2, 0, 1], [])] == [0, 1, 2, 0]


def test_jitter_is_that_of_rfc_3550() -> None:
    # J += (|D| - J) / 16, by hand: 16 ms, then 0.
    assert jitter([0.0, 0.016, 0.016]) == 0.001 - 0.001 / 16
    assert jitter([0.1]) is None
