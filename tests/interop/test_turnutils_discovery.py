"""coturn's turnutils_stunclient and turnutils_natdiscovery find out where they are.

Between addresses of the loopback interface there is no NAT, and that is what they must
see: the reflexive address is the local one, and answers come from all four addresses.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

from tests.interop.conftest import StartServer
from tests.interop.server_under_test import ServerUnderTest, free_port
from tests.interop.tools import Finished, run_tool

FIRST, SECOND, CLIENT, OTHER_CLIENT = "127.0.0.1", "127.0.0.2", "127.0.0.1", "127.0.0.3"
TIMEOUT = 30.0


@pytest.fixture
def alternate_port() -> int:
    return free_port((FIRST, SECOND))


@pytest.fixture
async def server(start_server: StartServer, alternate_port: int) -> AsyncIterator[ServerUnderTest]:
    """A server with two addresses and two ports (RFC 5780 §6)."""
    changes = {"nat_discovery": {"alternate_address": SECOND, "alternate_port": alternate_port}}
    async with start_server(changes) as running:
        yield running


def found(finished: Finished, label: str) -> list[str]:
    """Return the addresses that a program printed with a label, one for each response.

    They come with a prefix of coturn's logger; its first line of all is printed twice.
    """
    assert finished.exit_code == 0, str(finished)
    responses = re.split(r"response \d+", finished.output)[1:]
    addresses = [re.findall(rf"{label}: :? ?(\S+)", response) for response in responses]
    assert all(addresses), f"a response without {label}:\n{finished}"
    return [each[-1] for each in addresses]


async def natdiscovery(server: ServerUnderTest, flags: str) -> Finished:
    command = f"turnutils_natdiscovery {flags} -L {CLIENT} -p {server.plain_port} {FIRST}"
    return await run_tool(command.split(), TIMEOUT)


@pytest.mark.parametrize("flags", ["", "-f"])
async def test_stunclient_is_answered_from_where_it_asks_for(
    flags: str, server: ServerUnderTest, alternate_port: int
) -> None:
    command = f"turnutils_stunclient {flags} -p {server.plain_port} {FIRST}"
    finished = await run_tool(command.split(), TIMEOUT)
    first, second = f"{FIRST}:{server.plain_port}", f"{SECOND}:{alternate_port}"
    # Second: CHANGE-REQUEST for both; third: RESPONSE-PORT, asked of the other address.
    assert found(finished, "Response origin") == [first, second, second]
    assert found(finished, "Other addr") == [second] * 3
    reflexive = found(finished, "UDP reflexive addr")
    assert [address.rpartition(":")[0] for address in reflexive] == [CLIENT] * 3
    ports = [int(address.rpartition(":")[2]) for address in reflexive]
    assert ports == [ports[0], ports[0], ports[0] + 1]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_stunclient_learns_its_address_without_nat_discovery(
    host: str, start_server: StartServer
) -> None:
    async with start_server({}) as server:
        command = ["turnutils_stunclient", "-p", str(server.plain_port), host]
        finished = await run_tool(command, TIMEOUT)
        assert finished.exit_code == 0, str(finished)
        (reflexive,) = set(re.findall(r"UDP reflexive addr: (\S+)", finished.output))
        assert host in reflexive
        assert "response 2" not in finished.output


async def test_natdiscovery_sees_endpoint_independent_mapping(
    server: ServerUnderTest, alternate_port: int
) -> None:
    finished = await natdiscovery(server, "-m")
    origins = [f"{FIRST}:{server.plain_port}", f"{SECOND}:{server.plain_port}"]
    assert found(finished, "Response origin") == origins
    assert found(finished, "UDP reflexive addr") == found(finished, "Local addr")
    assert "No NAT! (Endpoint Independent Mapping)" in finished.output
    assert found(finished, "Other addr")[0] == f"{SECOND}:{alternate_port}"


async def test_natdiscovery_sees_endpoint_independent_filtering(
    server: ServerUnderTest, alternate_port: int
) -> None:
    finished = await natdiscovery(server, "-f")
    origins = [f"{FIRST}:{server.plain_port}", f"{SECOND}:{alternate_port}"]
    assert found(finished, "Response origin") == origins
    assert "NAT with Endpoint Independent Filtering!" in finished.output


async def test_natdiscovery_hairpins(server: ServerUnderTest) -> None:
    finished = await natdiscovery(server, "-H")
    assert "Received a request (maybe a successful hairpinning)" in finished.output, str(finished)


async def test_natdiscovery_measures_the_mapping_lifetime(server: ServerUnderTest) -> None:
    # The second request names the first one's port in RESPONSE-PORT, a second later.
    finished = await natdiscovery(server, "-t -T 1")
    assert len(found(finished, "UDP reflexive addr")) == 2
    assert found(finished, "UDP reflexive addr") == found(finished, "Local addr")


async def test_natdiscovery_tells_two_clients_apart(server: ServerUnderTest) -> None:
    finished = await natdiscovery(server, f"-c -A {OTHER_CLIENT}")
    first, second = found(finished, "UDP reflexive addr")
    assert first.startswith(f"{CLIENT}:")
    assert second == first.replace(CLIENT, OTHER_CLIENT)


async def test_natdiscovery_pads_its_requests_and_gets_all_answers(server: ServerUnderTest) -> None:
    finished = await natdiscovery(server, f"-m -f -H -P -c -A {OTHER_CLIENT}")
    assert len(found(finished, "UDP reflexive addr")) == 7
    assert "Received a request (maybe a successful hairpinning)" in finished.output
