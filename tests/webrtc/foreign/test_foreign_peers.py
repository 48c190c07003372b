"""Our peer connection and peers that are no browsers call each other: `cases.py` has the table."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio

from ice_client import IceServer, TlsOptions
from tests.ice_client.browsers.test_browsers import SCHEMES
from tests.ice_client.turn.servers import Running
from tests.interop.server_under_test import PASSWORD, USER
from tests.interop.veth import Link
from tests.webrtc.browser.far_end import configuration
from tests.webrtc.foreign.cases import CASES, RELAYS, TABLE, Feature, Foreign
from tests.webrtc.foreign.checks import (
    check_additions,
    check_changes,
    check_channels,
    check_echo,
    check_file_in,
    check_file_out,
    check_media,
    check_relayed,
    check_restart,
    check_sizes,
    connect,
    open_ours,
    play,
)
from tests.webrtc.foreign.process import Commands, ForeignPeer, Program, open_process
from webrtc import Configuration, PeerConnection

TIMEOUT = 60.0
"""Seconds; only failures take as long."""


async def show(
    feature: Feature,
    peer: PeerConnection,
    foreign: ForeignPeer,
    about: Foreign,
    nursery: trio.Nursery,
) -> None:
    """Call, and show one thing."""
    channel = peer.create_data_channel("through it all")
    match feature:
        case Feature.OUR_OFFER | Feature.THEIR_OFFER:
            ours = open_ours(peer)
            play(peer)
            await foreign.call("show")
            await foreign.call("open", "theirs", {})
            await connect(peer, foreign, nursery, we_offer=feature is Feature.OUR_OFFER)
            theirs = await anext(peer.data_channels())
            assert theirs.label == "theirs"
            await check_media(peer, foreign, about)
            await check_channels(peer, foreign, ours)
            for each in (channel, theirs):
                await check_sizes(each, about)
        case Feature.OUR_RESTART | Feature.THEIR_RESTART:
            play(peer)
            await foreign.call("show")
            await connect(peer, foreign, nursery, we_offer=True)
            await check_echo(channel, "before")
            await check_restart(peer, foreign, we_restart=feature is Feature.OUR_RESTART)
            await check_media(peer, foreign, about)
        case Feature.CHANGES:
            await connect(peer, foreign, nursery, we_offer=True)
            await check_changes(peer, foreign, about)
        case Feature.ADDITIONS:
            await connect(peer, foreign, nursery, we_offer=True)
            await check_additions(peer, foreign, about)
        case Feature.UDP_RELAYS | Feature.TCP_RELAYS | Feature.TLS_RELAYS:
            play(peer)
            await foreign.call("show")
            await connect(peer, foreign, nursery, we_offer=True)
            await check_media(peer, foreign, about)
        case Feature.FILE_OUT:
            await connect(peer, foreign, nursery, we_offer=True)
            await check_file_out(channel, foreign, about.file_out)
            return
        case Feature.FILE_IN:
            await connect(peer, foreign, nursery, we_offer=True)
            await check_file_in(channel, foreign, about.file_in)
    await check_echo(channel, "still there")


@attrs.frozen
class Setup:
    """How both ends are made."""

    ours: Configuration
    theirs: dict[str, Any]


def set_up(feature: Feature, host: str, turnd: Running) -> Setup:
    """Return how both ends are made: on this address, and of relays alone if that is shown."""
    if feature not in RELAYS:
        return Setup(configuration(host), {})
    transport = RELAYS[feature]
    port = turnd.server.secure_port if transport == "tls" else turnd.server.plain_port
    uri = SCHEMES[transport].format(host, port)
    server = {"urls": [uri], "username": USER, "credential": PASSWORD}
    trust = TlsOptions(ca_file=turnd.certificates.ca)
    ours = configuration(
        host,
        ice_servers=[IceServer.from_json(server, trust)],
        ice_transport_policy="relay",
    )
    return Setup(ours, {"iceServers": [server], "iceTransportPolicy": "relay"})


@pytest.mark.parametrize(("program", "feature"), CASES)
async def test_calls_with(
    program: Program, feature: Feature, link: Link, turnd: Running, commands: Commands
) -> None:
    setup = set_up(feature, link.near, turnd)
    opened = len(turnd.server.events("allocation-opened"))
    async with open_process(commands.of(program), TIMEOUT, turnd.certificates.ca) as process:
        foreign = await process.open_peer(link.near, setup.theirs)
        async with PeerConnection(setup.ours) as peer, trio.open_nursery() as nursery:
            with trio.fail_after(TIMEOUT):
                await show(feature, peer, foreign, TABLE[program], nursery)
                if feature in RELAYS:
                    check_relayed(peer)
            nursery.cancel_scope.cancel()
    if feature in RELAYS:
        allocations = turnd.server.events("allocation-opened")[opened:]
        assert len(allocations) >= 2
        assert {each["transport"] for each in allocations} == {RELAYS[feature]}
