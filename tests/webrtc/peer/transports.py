"""Two transports of ours on loopback, told of each other without SDP."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator

import attrs
import trio

from ice_client import AgentOptions, Credentials, InterfaceFilter
from webrtc.channel_table import ChannelTable
from webrtc.dtls import Certificate, DtlsRole, DtlsSettings
from webrtc.sctp import Settings
from webrtc.sdp import DataParameters, RemoteTransport, Transport
from webrtc.transport import ChannelsChanged, PeerTransport, TransportEvent, TransportSettings

TIMEOUT = 20.0
"""Seconds; only failures take as long."""
ON_LOOPBACK = AgentOptions(
    interfaces=InterfaceFilter(interfaces=["lo"], loopback=True, networks=["127.0.0.0/8"])
)
DATA = DataParameters(mid="0", local_port=5000, remote_port=5000, max_message_size=262_144)


class End:
    """A transport and what it told."""

    def __init__(
        self, parameters: Transport, settings: TransportSettings, certificate: Certificate
    ) -> None:
        self.transport = PeerTransport(parameters, settings, self.take)
        self.certificate = certificate
        self.events: list[TransportEvent] = []
        self.news = trio.Event()
        self.channels: ChannelTable | None = None

    def take(self, _transport: PeerTransport, event: TransportEvent) -> None:
        if isinstance(event, ChannelsChanged) and self.channels is not None:
            self.channels.take(event.event)
            return
        self.events.append(event)
        self.news.set()
        self.news = trio.Event()

    async def wait_for(self, wanted: TransportEvent) -> None:
        with trio.fail_after(TIMEOUT):
            while wanted not in self.events:
                await self.news.wait()

    @property
    def remote(self) -> RemoteTransport:
        """What the other end is told."""
        return RemoteTransport(
            credentials=self.transport.parameters.local_credentials,
            fingerprints=(self.certificate.fingerprint(),),
        )

    def carry_channels(self) -> ChannelTable:
        table = self.channels = ChannelTable(Settings())
        table.use(self.transport)
        self.transport.carry_channels(table.core, DATA)
        return table


def make_end(*, controlling: bool) -> End:
    certificate = Certificate.generate()
    parameters = Transport(
        id=0,
        mids=("0",),
        local_credentials=Credentials.generate(secrets.token_bytes),
        is_controlling=controlling,
    )
    settings = TransportSettings(
        ice=ON_LOOPBACK, certificate=certificate, dtls=DtlsSettings(), cname="test"
    )
    return End(parameters, settings, certificate)


async def tell_candidates(teller: End, listener: End) -> None:
    assert teller.transport.agent is not None
    assert listener.transport.agent is not None
    async for candidate in teller.transport.agent.local_candidates():
        await listener.transport.agent.add_remote_candidate(candidate)


@contextlib.asynccontextmanager
async def two_ends() -> AsyncIterator[tuple[End, End]]:
    """Run two transports that know of each other and connect."""
    one, other = make_end(controlling=True), make_end(controlling=False)
    async with trio.open_nursery() as nursery:
        for end in (one, other):
            await nursery.start(end.transport.run)
        for end, peer, role in (
            (one, other, DtlsRole.SERVER),
            (other, one, DtlsRole.CLIENT),
        ):
            parameters = attrs.evolve(end.transport.parameters, remote=peer.remote, dtls_role=role)
            await end.transport.apply(parameters)
            nursery.start_soon(tell_candidates, end, peer)
        try:
            yield one, other
        finally:
            one.transport.close()
            other.transport.close()
            nursery.cancel_scope.cancel()
