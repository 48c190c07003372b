"""A call between our agent and a browser's: DTLS and a data channel on top tell that ICE carries.

The browser's end is `page.js`, which sends back all messages. Descriptions are written and read
here by hand: only what ICE needs is in them.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import trio

from ice_client import (
    Agent,
    AgentOptions,
    Credentials,
    SelectedPair,
    format_candidate,
    open_ice_agent,
)
from tests.browsers.browser import Browser, Page
from webrtc import sctp
from webrtc.dtls import (
    Certificate,
    Connected,
    DataReceived,
    DtlsEndpoint,
    DtlsRole,
    DtlsSettings,
    DtlsState,
    Fingerprint,
)

TIMEOUT = 20.0
"""Seconds; only failures take as long."""
TICK = 0.02
"""Seconds between two looks at the clocks of DTLS and SCTP."""
SCRIPT = (Path(__file__).parent / "page.js").read_text(encoding="utf-8")


def values(sdp: str, name: str) -> list[str]:
    """Return the values of an attribute, in the order of the lines."""
    start = f"a={name}:"
    return [line.removeprefix(start) for line in sdp.splitlines() if line.startswith(start)]


def everything(_: str) -> bool:
    return True


def is_same_pair(ours: SelectedPair, theirs: Mapping[str, Any]) -> bool:
    """Whether a pair of the agent's and one of the browser's statistics are the two ends of one."""
    local, remote = theirs["local"], theirs["remote"]
    # An active TCP candidate of theirs has the discard port, other than what we see.
    return (remote["address"], remote["port"], local["address"]) == (
        ours.local.address.host,
        ours.local.address.port,
        ours.remote.address.host,
    ) and (local["protocol"] == "tcp" or local["port"] == ours.remote.address.port)


@attrs.frozen(kw_only=True)
class Signalling:
    """How the two tell each other of themselves.

    Attributes:
        browser_offers: who makes the first offer, and so controls.
        trickle: whether candidates come after the description, one by one, or within it.
        told: which of our candidates the browser hears of.
        heard: which of the browser's our agent hears of.

    """

    browser_offers: bool
    trickle: bool
    told: Callable[[str], bool] = everything
    heard: Callable[[str], bool] = everything


class Call:
    """Our end of it. Made by `open_call`."""

    def __init__(
        self, agent: Agent, page: Page, signalling: Signalling, nursery: trio.Nursery, lite: bool
    ) -> None:
        self.agent = agent
        self.page = page
        self.signalling = signalling
        self._nursery = nursery
        self._lite = lite
        self._version = 0
        settings = DtlsSettings(offered_profiles=(), accepted_profiles=(), srtp_required=False)
        self._dtls = DtlsEndpoint(Certificate.generate(), settings)
        self._channels = sctp.DataChannels(sctp.Settings(), secrets.token_bytes)
        options = sctp.ChannelOptions(label="echo", negotiated=True, id=0)
        self._channel = self._channels.open(options)
        self._opened = trio.Event()
        self._sender, self.echoes = trio.open_memory_channel[str | bytes](1000)

    # Signalling

    async def negotiate(self, *, browser_offers: bool | None = None) -> None:
        """Exchange descriptions, and candidates with them or, in the background, after them.

        After the first time that is a restart of ICE.

        Args:
            browser_offers: if other than what the signalling says.

        """
        trickle = self.signalling.trickle
        is_restart = self._version > 0
        if browser_offers is None:
            browser_offers = self.signalling.browser_offers
        if browser_offers:
            theirs = await self._ask("offer", trickle)
            if is_restart:
                await self.agent.restart()
            await self._take_description(theirs)
            await self._ask("accept", await self._description("passive"))
        else:
            if is_restart:
                await self.agent.restart()
            theirs = await self._ask("answer", await self._description("actpass"), trickle)
            await self._take_description(theirs)
        if trickle:
            self._nursery.start_soon(self._tell_candidates)
            self._nursery.start_soon(self._hear_candidates)

    async def _ask(self, name: str, *arguments: Any) -> Any:
        return await self.page.evaluate(f"(...values) => peer.{name}(...values)", *arguments)

    async def _description(self, setup: str) -> str:
        self._version += 1
        credentials = self.agent.local_credentials
        lines = [
            "v=0",
            f"o=- 1 {self._version} IN IP4 127.0.0.1",
            "s=-",
            "t=0 0",
            "a=group:BUNDLE 0",
            *(["a=ice-lite"] if self._lite else []),
            "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
            "c=IN IP4 0.0.0.0",
            "a=mid:0",
            "a=sctp-port:5000",
            f"a=fingerprint:{self._dtls.certificate.fingerprint()}",
            f"a=setup:{setup}",
            f"a=ice-ufrag:{credentials.username_fragment}",
            f"a=ice-pwd:{credentials.password}",
        ]
        if self.signalling.trickle:
            lines.append("a=ice-options:trickle")
        else:
            found = [format_candidate(each) async for each in self.agent.local_candidates()]
            lines += [f"a={candidate}" for candidate in found if self.signalling.told(candidate)]
            lines.append("a=end-of-candidates")
        return "".join(f"{line}\r\n" for line in lines)

    async def _take_description(self, sdp: str) -> None:
        (username_fragment,), (password,) = values(sdp, "ice-ufrag"), values(sdp, "ice-pwd")
        self.agent.set_remote_credentials(Credentials(username_fragment, password))
        if self._dtls.state is DtlsState.NEW:
            fingerprints = [Fingerprint.parse(value) for value in values(sdp, "fingerprint")]
            self._dtls.start(trio.current_time(), DtlsRole.SERVER, fingerprints)
        candidates = values(sdp, "candidate")
        assert bool(candidates) is not self.signalling.trickle, sdp
        if not self.signalling.trickle:
            await self._add_candidates([*(f"candidate:{each}" for each in candidates), None])

    async def _add_candidates(self, candidates: Sequence[str | None]) -> None:
        for candidate in candidates:
            if candidate is None or self.signalling.heard(candidate):
                await self.agent.add_remote_candidate(candidate)

    async def _tell_candidates(self) -> None:
        async for candidate in self.agent.local_candidates():
            line = format_candidate(candidate)
            if self.signalling.told(line):
                await self._ask("add", line)
        await self._ask("add", "")

    async def _hear_candidates(self) -> None:
        heard: list[str | None] = [""]
        while heard[-1] is not None:
            heard = await self._ask("candidates")
            await self._add_candidates(heard)

    # Packets

    async def carry(self) -> None:
        """Move packets between the agent, DTLS and SCTP until cancelled; `open_call` runs it."""
        while True:
            packets: list[bytes] = []
            with trio.move_on_after(TICK):
                packets = await self.agent.receive_many()
            now = trio.current_time()
            for packet in packets:
                self._dtls.receive(packet, now)
            self._dtls.on_deadline(now)
            for event in self._dtls.take_events():
                match event:
                    case Connected():
                        self._channels.start(is_dtls_client=False, now=now)
                    case DataReceived(data):
                        self._channels.receive(data, now)
                    case _:
                        raise AssertionError(event)
            self._channels.on_deadline(now)
            self._flush(now)

    def _flush(self, now: float) -> None:
        for event in self._channels.take_events():
            if isinstance(event, sctp.ChannelOpened):
                self._opened.set()
        while (message := self._channel.take_message()) is not None:
            self._sender.send_nowait(message)
        if self._dtls.state is DtlsState.CONNECTED:
            for packet in self._channels.take_datagrams(now):
                self._dtls.send(packet)
        for datagram in self._dtls.take_datagrams():
            self.agent.send_now(datagram)

    # What is to be seen

    async def connected(self) -> None:
        """Wait until both say that they are, and have messages come back."""
        await self.agent.connected()
        settled = await self._ask("settled")
        assert settled["ice"] in {"connected", "completed"}, settled
        assert settled["connection"] == "connected", settled
        await self.echo(*(f"message {number}" for number in range(5)))

    async def agreed(self) -> Mapping[str, Any]:
        """Wait until both use one pair, of the current generation; return the browser's."""
        fragment = self.agent.local_credentials.username_fragment
        pair: Mapping[str, Any] = await self._ask("selectedPair", fragment)
        while (ours := self.agent.selected_pair) is None or not is_same_pair(ours, pair):
            await trio.sleep(TICK)
            pair = await self._ask("selectedPair", fragment)
        assert pair["nominated"]
        assert pair["responsesReceived"]
        return pair

    async def echo(self, *messages: str) -> None:
        """Send messages; they must come back in order."""
        await self._opened.wait()
        for message in messages:
            self._channel.send(message, trio.current_time())
        self._flush(trio.current_time())
        for message in messages:
            assert await self.echoes.receive() == message


@contextlib.asynccontextmanager
async def open_call(
    browser: Browser,
    options: AgentOptions,
    signalling: Signalling,
    *,
    controlling: bool | None = None,
    ice_servers: Sequence[Mapping[str, Any]] = (),
    policy: str = "all",
    hides_addresses: bool = False,
) -> AsyncIterator[Call]:
    """Open an agent and a page, which have yet to hear of each other.

    Args:
        browser: which opens the page.
        options: the agent's.
        signalling: see there.
        controlling: our agent's role, if not what follows from the offer.
        ice_servers: the browser's.
        policy: the browser's iceTransportPolicy.
        hides_addresses: see `Browser.page`.

    """
    lite = options.settings.lite
    if controlling is None:
        controlling = not signalling.browser_offers and not lite
    with trio.fail_after(TIMEOUT):
        async with (
            browser.page(hides_addresses=hides_addresses) as page,
            open_ice_agent(controlling=controlling, options=options) as agent,
            trio.open_nursery() as nursery,
        ):
            await page.evaluate(SCRIPT, {"iceServers": ice_servers, "policy": policy})
            call = Call(agent, page, signalling, nursery, lite)
            nursery.start_soon(call.carry)
            yield call
            nursery.cancel_scope.cancel()
