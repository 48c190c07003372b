"""Our agent connects to Firefox's and Chromium's: every role, path and way of signalling."""

from __future__ import annotations

import re

import attrs
import pytest
import trio

from ice_client import (
    AgentOptions,
    CandidateType,
    IceServer,
    InterfaceFilter,
    Policy,
    Role,
    Settings,
    TlsOptions,
    parse_candidate,
)
from ice_client.core import Transport
from tests.browsers.browser import PROGRAMS, Browser
from tests.ice_client.browsers.call import Call, Signalling, open_call
from tests.ice_client.turn.servers import CREDENTIALS, Running
from tests.interop.server_under_test import PASSWORD, USER
from tests.interop.veth import NEAR_NAME, Link

every_browser = pytest.mark.parametrize("browser", PROGRAMS, indirect=True, scope="module")
every_way = pytest.mark.parametrize("trickle", [True, False], ids=["trickled", "at once"])
SCHEMES = {
    "udp": "turn:{}:{}?transport=udp",
    "tcp": "turn:{}:{}?transport=tcp",
    "tls": "turns:{}:{}?transport=tcp",
}


def on(link: Link) -> AgentOptions:
    # Browsers' TCP candidates are active ones.
    return AgentOptions(
        interfaces=InterfaceFilter(networks=[f"{link.near}/32"]),
        tcp_types=[Transport.TCP_PASSIVE],
    )


def by(path: str, *, browser_offers: bool, trickle: bool = True) -> Signalling:
    """Signal candidates of one protocol alone, so that no other is used."""

    def is_on_path(candidate: str) -> bool:
        return candidate.split()[2].lower() == path

    return Signalling(
        browser_offers=browser_offers, trickle=trickle, told=is_on_path, heard=is_on_path
    )


@every_browser
@pytest.mark.parametrize("path", ["udp", "tcp"])
@pytest.mark.parametrize("role", Role)
@every_way
async def test_we_connect_by(
    browser: Browser, link: Link, path: str, role: Role, trickle: bool
) -> None:
    signalling = by(path, browser_offers=role is Role.CONTROLLED, trickle=trickle)
    async with open_call(browser, on(link), signalling) as call:
        await call.negotiate()
        await call.connected()
        theirs = await call.agreed()
        assert call.agent.role is role
        assert theirs["local"]["protocol"] == theirs["remote"]["protocol"] == path


@every_browser
@pytest.mark.parametrize("path", ["udp", "tcp"])
@every_way
async def test_a_browser_connects_to_our_lite_agent_by(
    browser: Browser, link: Link, path: str, trickle: bool
) -> None:
    options = attrs.evolve(on(link), settings=Settings(lite=True))
    signalling = by(path, browser_offers=False, trickle=trickle)
    async with open_call(browser, options, signalling) as call:
        await call.negotiate()
        await call.connected()
        theirs = await call.agreed()
        assert call.agent.role is Role.CONTROLLED
        assert theirs["local"]["protocol"] == path


@every_browser
@pytest.mark.parametrize("browser_offers", [True, False])
async def test_a_conflict_of_roles_is_settled(
    browser: Browser, link: Link, browser_offers: bool
) -> None:
    signalling = by("udp", browser_offers=browser_offers)
    # What the offer says of roles is the other way round.
    async with open_call(browser, on(link), signalling, controlling=browser_offers) as call:
        await call.negotiate()
        await call.connected()
        await call.agreed()


@every_browser
@pytest.mark.parametrize("server", ["turnd", "coturn"])
@pytest.mark.parametrize("transport", SCHEMES)
@pytest.mark.parametrize(("role", "trickle"), [(Role.CONTROLLED, True), (Role.CONTROLLING, False)])
async def test_we_connect_through_relays_alone_of(
    browser: Browser,
    link: Link,
    request: pytest.FixtureRequest,
    server: str,
    transport: str,
    role: Role,
    trickle: bool,
) -> None:
    running: Running = request.getfixturevalue(server)
    port = running.server.secure_port if transport == "tls" else running.server.plain_port
    tls = TlsOptions(ca_file=running.certificates.ca)
    ice_server = IceServer(SCHEMES[transport].format(link.near, port), CREDENTIALS, tls)
    options = attrs.evolve(on(link), servers=[ice_server], policy=Policy.RELAY)
    signalling = Signalling(browser_offers=role is Role.CONTROLLED, trickle=trickle)
    # Firefox takes no address in turns:, and Chromium in a namespace no name for UDP.
    uri = SCHEMES[transport].format(NEAR_NAME if transport == "tls" else link.near, port)
    theirs = {"urls": uri, "username": USER, "credential": PASSWORD}
    async with open_call(
        browser, options, signalling, ice_servers=[theirs], policy="relay"
    ) as call:
        await call.negotiate()
        await call.connected()
        pair = await call.agreed()
        ours = call.agent.selected_pair
        assert ours is not None
        assert ours.local.type is CandidateType.RELAYED
        assert pair["local"]["candidateType"] == "relay"
        assert pair["local"]["relayProtocol"] == transport
        assert call.agent.role is role


@every_browser
@pytest.mark.parametrize("path", ["udp", "tcp"])
@pytest.mark.parametrize("browser_began", [True, False])
@pytest.mark.parametrize("browser_restarts", [True, False])
async def test_a_call_goes_on_through_restarts_by(
    browser: Browser, link: Link, path: str, browser_began: bool, browser_restarts: bool
) -> None:
    signalling = by(path, browser_offers=browser_began)
    async with open_call(browser, on(link), signalling) as call:
        await call.negotiate()
        await call.connected()
        before = await call.agreed()
        over = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk, call, over)
            await call.negotiate(browser_offers=browser_restarts)
            after = await call.agreed()
            over.set()
        assert after["remote"]["usernameFragment"] != before["remote"]["usernameFragment"]
        assert after["local"]["usernameFragment"] != before["local"]["usernameFragment"]
        await call.connected()


async def talk(call: Call, over: trio.Event) -> None:
    number = 0
    while not over.is_set():
        await call.echo(f"meanwhile {number}")
        number += 1


NAME = re.compile(r"[0-9a-f-]{36}\.local")


@every_browser
async def test_we_resolve_the_names_that_a_browser_tells_instead_of_addresses(
    browser: Browser, link: Link
) -> None:
    names = []

    def hear(candidate: str) -> bool:
        name = parse_candidate(candidate).host_name
        assert name is not None
        assert NAME.fullmatch(name)
        names.append(name)
        return True

    # It is told of none of our candidates: the name is all there is to begin with.
    signalling = Signalling(
        browser_offers=True, trickle=True, told=lambda candidate: False, heard=hear
    )
    async with open_call(browser, on(link), signalling, hides_addresses=True) as call:
        await call.negotiate()
        await call.connected()
        assert names
        pair = call.agent.selected_pair
        assert pair is not None
        assert pair.remote.type is CandidateType.HOST
        assert pair.remote.address.host == link.far


@every_browser
async def test_a_browser_resolves_the_names_that_we_tell(browser: Browser, link: Link) -> None:
    # And here we are told nothing.
    signalling = Signalling(
        browser_offers=True,
        trickle=True,
        told=lambda candidate: bool(NAME.search(candidate)),
        heard=lambda candidate: False,
    )
    async with open_call(browser, attrs.evolve(on(link), mdns=True), signalling) as call:
        await call.negotiate()
        await call.connected()
