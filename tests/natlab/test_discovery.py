"""Every kind of NAT is what its name says, in the eyes of coturn's turnutils_natdiscovery.

It asks coturn and turnd (RFC 5780), each on a host with two addresses. A verdict on filtering
takes it 3 or 6 seconds of waiting for answers that must not come, so all of them wait at once
and the tests read what they found.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import trio

from tests.interop.tools import Finished, run_tool
from tests.natlab import (
    CARRIER_NETWORK,
    FULL_CONE,
    MASQUERADE,
    MASQUERADE_RANDOM,
    SYMMETRIC,
    SYMMETRIC_PRESERVING,
    Behaviour,
    Dependence,
    Host,
    KernelRouter,
    LabHost,
    Nat,
    Topology,
    lab,
    with_hairpinning,
)
from tests.natlab.servers import coturn_on, turnd_on

_EI = Dependence.ENDPOINT_INDEPENDENT
_AD = Dependence.ADDRESS_DEPENDENT
_APD = Dependence.ADDRESS_AND_PORT_DEPENDENT

BEHAVIOURS = {
    f"{mapping.name}/{filtering.name}": Behaviour(mapping, filtering)
    for mapping, filtering in itertools.product(Dependence, Dependence)
} | {"symmetric": SYMMETRIC, "symmetric-preserving": SYMMETRIC_PRESERVING}

EXPECTED = {name: (each.mapping, each.filtering) for name, each in BEHAVIOURS.items()} | {
    "linux-masquerade": (_EI, _APD),
    "linux-masquerade-random": (_APD, _APD),
    # The stricter of the two decides, for mapping and for filtering.
    "full-cone-behind-symmetric": (_APD, _APD),
    "symmetric-behind-full-cone": (_APD, _APD),
    "full-cone-behind-full-cone": (_EI, _EI),
}

HAIRPINS = {"hairpinning": True, "full-cone-behind-full-cone": False, "linux-masquerade": False}
"""By name: the verdict. It needs a full cone to see one: it has sent nothing to itself before."""
QUESTIONS = [*itertools.product(EXPECTED, ("-m", "-f")), *((name, "-H") for name in HAIRPINS)]

TOPOLOGY = Topology(
    hosts=(
        Host("server", addresses=2),
        *(Host(f"host {name}", on=name) for name in EXPECTED | HAIRPINS),
    ),
    boxes=(
        *(Nat(name, behaviour) for name, behaviour in BEHAVIOURS.items()),
        KernelRouter("linux-masquerade", MASQUERADE),
        KernelRouter("linux-masquerade-random", MASQUERADE_RANDOM),
        Nat("hairpinning", with_hairpinning(FULL_CONE)),
        Nat("open carrier", FULL_CONE, network=CARRIER_NETWORK),
        Nat("strict carrier", SYMMETRIC, network=CARRIER_NETWORK),
        Nat("full-cone-behind-symmetric", FULL_CONE, on="strict carrier"),
        Nat("symmetric-behind-full-cone", SYMMETRIC, on="open carrier"),
        Nat("full-cone-behind-full-cone", FULL_CONE, on="open carrier"),
    ),
)

Serve = Callable[[LabHost, Path], AbstractAsyncContextManager[object]]

SERVERS: dict[str, Serve] = {"coturn": coturn_on, "turnd": turnd_on}
TIMEOUT = 30.0

Found = dict[tuple[str, str], Finished]
"""What the program printed, by the host's network and its flag."""


async def _ask(host: LabHost, server: LabHost, key: tuple[str, str], found: Found) -> None:
    command = ["turnutils_natdiscovery", key[1], "-L", host.address, server.address]
    found[key] = await run_tool(host.command(*command), TIMEOUT)


async def _survey(server_name: str, folder: Path) -> Found:
    found: Found = {}
    with lab(TOPOLOGY) as net:
        server = net["server"]
        async with SERVERS[server_name](server, folder), trio.open_nursery() as nursery:
            for key in QUESTIONS:
                nursery.start_soon(_ask, net[f"host {key[0]}"], server, key, found)
    return found


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Found]:
    """What was found, by server; both are asked at the same time, in a lab each."""
    results: dict[str, Found] = {}

    async def ask(server: str) -> None:
        results[server] = await _survey(server, tmp_path_factory.mktemp(server))

    async def ask_both() -> None:
        async with trio.open_nursery() as nursery:
            for server in SERVERS:
                nursery.start_soon(ask, server)

    trio.run(ask_both)
    return results


def reflexive_ports(finished: Finished) -> list[int]:
    """Return the port that each answer told."""
    answers = finished.output.split("RFC 5780 response")[1:]
    return [int(re.findall(r"UDP reflexive addr: \S+:(\d+)", each)[-1]) for each in answers]


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("name", EXPECTED)
def test_mapping_is_what_the_kind_says(name: str, server: str, found: dict[str, Found]) -> None:
    finished = found[server][name, "-m"]
    expected = EXPECTED[name][0]
    if server == "turnd" and expected is _AD:
        # The third request goes to the OTHER-ADDRESS of the second answer. By RFC 5780 §7.4
        # that is the first address again (what "change IP" and "change port" would lead to),
        # and so it is with turnd; with coturn it is the second, and the program counts on
        # that. It never asks the second address twice, and can't tell the two apart.
        assert reflexive_ports(finished)[0] == reflexive_ports(finished)[2]
        expected = _APD
    assert f"\nNAT with {expected.value} Mapping!" in finished.output, str(finished)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("name", EXPECTED)
def test_filtering_is_what_the_kind_says(name: str, server: str, found: dict[str, Found]) -> None:
    finished = found[server][name, "-f"]
    assert f"\nNAT with {EXPECTED[name][1].value} Filtering!" in finished.output, str(finished)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("name", HAIRPINS)
def test_hairpinning_is_what_the_kind_says(name: str, server: str, found: dict[str, Found]) -> None:
    finished = found[server][name, "-H"]
    assert "UDP reflexive addr" in finished.output, str(finished)
    assert ("maybe a successful hairpinning" in finished.output) == HAIRPINS[name], str(finished)
