"""Chromium's DTLS (BoringSSL, with DTLS 1.3 on offer) over our ICE agent, in both roles."""

from __future__ import annotations

import json
import math
import sys

import pytest
import trio

from ice_client import Agent, AgentOptions, InterfaceFilter, open_ice_agent
from tests.ice_client.shell.calls import TIMEOUT
from tests.ice_client.shell.echo_peer import echo_peer
from tests.interop.tools import tool
from tests.interop.veth import veth_address
from tests.webrtc.dtls.link import certificate
from webrtc.dtls import (
    Connected,
    DataReceived,
    DtlsEndpoint,
    DtlsState,
    Event,
    Failed,
    FailureReason,
    Fingerprint,
    MediaPacketKind,
    Setup,
    media_packet_kind,
    negotiated_role,
)

SCTP_INIT = 1


async def run(endpoint: DtlsEndpoint, agent: Agent, wanted: type[Event]) -> list[Event]:
    """Carry datagrams until the endpoint says something of a kind; return all it said."""
    events: list[Event] = []
    while True:
        for datagram in endpoint.take_datagrams():
            await agent.send(datagram)
        events += endpoint.take_events()
        if any(isinstance(event, wanted) for event in events):
            return events
        deadline = endpoint.next_deadline()
        with trio.move_on_at(math.inf if deadline is None else deadline):
            data = await agent.receive()
            if media_packet_kind(data) is MediaPacketKind.DTLS:
                endpoint.receive(data, trio.current_time())
        endpoint.on_deadline(trio.current_time())


@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
@pytest.mark.parametrize("setup", [Setup.ACTIVE, Setup.PASSIVE])
async def test_chromium_connects_unless_its_fingerprint_is_wrong(setup: Setup, right: bool) -> None:
    with veth_address() as host:
        options = AgentOptions(interfaces=InterfaceFilter(networks=[f"{host}/32"]))
        module = "tests.webrtc.dtls.chromium_peer"
        said = [tool("chromium"), setup.value, str(certificate().fingerprint())]
        async with (
            echo_peer([sys.executable, "-m", module, *said]) as peer,
            open_ice_agent(controlling=False, options=options) as agent,
        ):
            with trio.fail_after(3 * TIMEOUT):
                await peer.meet(agent)
                theirs = Fingerprint.parse(json.loads(await peer.lines.receive()))
                await agent.connected()
                endpoint = DtlsEndpoint(certificate())
                role = negotiated_role(setup, Setup.ACTPASS)
                known = theirs if right else certificate("another").fingerprint()
                endpoint.start(trio.current_time(), role, [known])
                if right:
                    events = await run(endpoint, agent, DataReceived)
                    assert isinstance(events[0], Connected)
                    assert events[0].srtp is not None
                    (message,) = [e.data for e in events if isinstance(e, DataReceived)][:1]
                    assert message[12] == SCTP_INIT
                    assert endpoint.statistics.attempts == 1
                    expected = "connected"
                else:
                    (failed,) = await run(endpoint, agent, Failed)
                    for datagram in endpoint.take_datagrams():
                        await agent.send(datagram)
                    assert isinstance(failed, Failed)
                    assert failed.reason is FailureReason.FINGERPRINT
                    assert endpoint.state is DtlsState.FAILED
                    expected = "failed"
                assert json.loads(await peer.lines.receive()) == expected
            assert peer.process.stdin is not None
            await peer.process.stdin.aclose()
