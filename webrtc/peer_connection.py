"""The peer connection of trio's users (W3C webrtc-pc §4.4)."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Any, Self

import attrs
import trio

from ice_client import ServerFailure
from webrtc.channel_table import ChannelTable, IncomingChannels
from webrtc.configuration import Configuration
from webrtc.connection_state import (
    GatheringState,
    connection_state,
    ice_connection_state,
)
from webrtc.data_channel import DataChannel
from webrtc.descriptions import PeerDescriptions
from webrtc.dtls import Certificate
from webrtc.encoding import EncodingParameters, simulcast
from webrtc.media_stats import Report
from webrtc.peer_states import ConnectionClosedError
from webrtc.receiver import Queue
from webrtc.sctp import ChannelOptions
from webrtc.sdp import (
    DataChanged,
    DataParameters,
    Direction,
    Event,
    JsepSettings,
    MediaKind,
    ParametersChanged,
    RemoteCandidateAdded,
    RemoteTrackAdded,
    SignalingStateChanged,
    TransceiverAdded,
    TransceiverRemoved,
    TransceiverStopped,
    Transport,
    TransportChanged,
    TransportRemoved,
)
from webrtc.sender import Source
from webrtc.source_reader import check_source
from webrtc.stats import get_stats
from webrtc.transceiver import RtpTransceiver, TrackEvent
from webrtc.transceiver_table import TransceiverTable
from webrtc.transport import (
    CandidateGathered,
    ChannelsChanged,
    DtlsChanged,
    IceChanged,
    PeerTransport,
    RtpChanged,
    TransportEvent,
    TransportSettings,
)


class PeerConnection(PeerDescriptions):
    """A connection with one peer, for the length of an ``async with`` block.

    Its names and rules are the W3C's, its shape trio's: what is an event there is an async
    iterator here, and what is a promise there is awaited here. Leaving the block closes it.

    Args:
        configuration: how to make it; the keywords of `Configuration` may be given instead.

    """

    def __init__(self, configuration: Configuration | None = None, **keywords: Any) -> None:
        self.configuration = attrs.evolve(configuration or Configuration(), **keywords)
        self.certificate = self.configuration.certificate or Certificate.generate()
        # RFC 7022 §4.2: 96 random bits at least, and others in each connection.
        cname = secrets.token_urlsafe(16)
        sctp, mtu = self.configuration.sctp, self.configuration.dtls.mtu
        if mtu < sctp.path_mtu:
            sctp = attrs.evolve(sctp, path_mtu=mtu)  # DTLS splits no messages
        super().__init__(
            JsepSettings(
                fingerprints=(self.certificate.fingerprint(),),
                codecs=self.configuration.codecs,
                bundle_policy=self.configuration.bundle_policy,
                preferred_role=self.configuration.preferred_dtls_role,
                is_lite=self.configuration.ice.settings.lite,
                sctp_port=sctp.local_port,
                max_message_size=sctp.max_message_size,
                cname=cname,
            )
        )
        self._transport_settings = TransportSettings(
            ice=self.configuration.agent_options,
            certificate=self.certificate,
            dtls=self.configuration.dtls,
            cname=cname,
        )
        self._transports: dict[int, PeerTransport] = {}
        self._channels = ChannelTable(sctp)
        self._transceivers = TransceiverTable(self._jsep, cname, self._look_for_need)
        self._nursery: trio.Nursery | None = None
        self._block: contextlib.AbstractAsyncContextManager[None] | None = None

    # The block

    async def __aenter__(self) -> Self:
        if self._block is not None:
            raise ConnectionClosedError("a peer connection is opened once")
        self._block = self._run()
        await self._block.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        assert self._block is not None  # noqa: S101 - it was entered
        return await self._block.__aexit__(kind, error, traceback)

    @contextlib.asynccontextmanager
    async def _run(self) -> AsyncIterator[None]:
        failure: BaseException | None = None
        async with trio.open_nursery() as self._nursery:
            try:
                yield
            except BaseException as error:
                failure = error  # raised as it is: the tasks are no business of the caller's
            self.close()
            self._nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    def close(self) -> None:
        """End it, and tell the peer; leaving the block does that too. Idempotent."""
        if self.is_closed:
            return
        self._jsep.close()
        for transport in self._transports.values():
            transport.close()
        self._transceivers.close()
        self._channels.close()
        self._candidates.close()
        self._end_states()

    def _check_open(self) -> trio.Nursery:
        if self.is_closed:
            raise ConnectionClosedError("the peer connection is closed")
        if self._nursery is None:
            raise ConnectionClosedError("the peer connection's block was not entered")
        return self._nursery

    # What follows from descriptions

    async def _follow(self, events: list[Event]) -> None:
        for event in events:
            self._check_open()
            match event:
                case TransportChanged(transport):
                    await self._change_transport(transport)
                case TransportRemoved(number):
                    self._remove_transport(number)
                case RemoteCandidateAdded(number, candidate):
                    await self._transports[number].add_remote_candidate(candidate)
                case DataChanged(data):
                    self._change_data(data)
                case TransceiverAdded(core):
                    self._transceivers.adopt(core, self._check_open())
                case TransceiverRemoved(core) | TransceiverStopped(core):
                    self._transceivers.remove(core)
                case ParametersChanged(core):
                    self._transceivers.configure(core, self._transport_of)
                case RemoteTrackAdded(core, stream_ids):
                    self._transceivers.track_added(core, stream_ids)
                case SignalingStateChanged(state):
                    self._signaling.set(state)
        self._candidates.keep(self._fragments)
        self._look_at_transports()

    async def _change_transport(self, parameters: Transport) -> None:
        transport = self._transports.get(parameters.id)
        if transport is None:
            transport = PeerTransport(parameters, self._transport_settings, self._take)
            self._transports[parameters.id] = transport
            await self._check_open().start(transport.run)
            self._check_open()
        await transport.apply(parameters)

    def _remove_transport(self, number: int) -> None:
        transport = self._transports.pop(number, None)
        if transport is not None:
            transport.drop_channels()
            transport.close()

    def _change_data(self, data: DataParameters | None) -> None:
        if data is None:
            self._channels.refuse()
            return
        transport = self._transport_of(data.mid)
        if transport is not None:
            self._channels.use(transport)
            transport.carry_channels(self._channels.core, data)

    def _transport_of(self, mid: str) -> PeerTransport | None:
        """Return the transport of a section."""
        for transport in self._transports.values():
            if mid in transport.parameters.mids:
                return transport
        return None

    @property
    def _fragments(self) -> set[str]:
        """The ICE generations in use."""
        return {
            transport.parameters.local_credentials.username_fragment
            for transport in self._transports.values()
        }

    # What follows from packets

    def _take(self, transport: PeerTransport, event: TransportEvent) -> None:
        """Pass on what a transport tells. Hot."""
        match event:
            case ChannelsChanged(channel_event):
                self._channels.take(channel_event)
            case RtpChanged(rtp_event):
                self._transceivers.take(transport, rtp_event)
            case CandidateGathered(candidate):
                self._gathered(transport.id, candidate)
                self._look_at_transports()
            case IceChanged():
                self._look_at_transports()
            case DtlsChanged(_, detail):
                self._detail = detail or self._detail
                self._transceivers.look()
                self._look_at_transports()

    def _look_at_transports(self) -> None:
        if self.is_closed:
            return
        transports = self._transports.values()
        self._ice.set(ice_connection_state([each.ice_state for each in transports]))
        states = [(each.ice_state, each.dtls.state) for each in transports]
        self._connection.set(connection_state(states))
        if not transports:
            self._gathering.set(GatheringState.NEW)
        elif self._candidates.is_complete(self._fragments):
            self._gathering.set(GatheringState.COMPLETE)
        else:
            self._gathering.set(GatheringState.GATHERING)

    def get_stats(self) -> dict[str, Report]:
        """Return what was counted, report by report: see `webrtc.stats`."""
        return get_stats(
            self._transports.values(),
            self._transceivers.transceivers,
            self._channels,
            self.certificate,
        )

    @property
    def server_failures(self) -> tuple[ServerFailure, ...]:
        """The ICE servers that gave nothing, and why (W3C: the icecandidateerror event)."""
        agents = [transport.agent for transport in self._transports.values()]
        return tuple(
            failure for agent in agents if agent is not None for failure in agent.server_failures
        )

    # Media

    def add_transceiver(
        self,
        kind: MediaKind | str,
        source: Source | None = None,
        *,
        direction: Direction | str = Direction.SENDRECV,
        stream_ids: Iterable[str] = (),
        encodings: Iterable[EncodingParameters] = (),
    ) -> RtpTransceiver:
        """Make a transceiver; an exchange of descriptions gives it a media section.

        Args:
            kind: ``"audio"`` or ``"video"``.
            source: what its sender sends; see `RtpSender.replace_track`.
            direction: what is wanted.
            stream_ids: the MediaStreams that our track is in: those of one are played in step.
            encodings: the streams to send our track as; several, each with its rid, are a
                simulcast, of which a peer that takes none gets the first.

        Raises:
            ConnectionClosedError: the connection is closed.
            SimulcastError: encodings of one track that cannot be told apart.
            TypeError: the source is no async iterable.

        """
        nursery = self._check_open()
        check_source(source)
        transceiver = self._transceivers.add(
            MediaKind(kind),
            nursery,
            direction=Direction(direction),
            stream_ids=stream_ids,
            by_track=False,
            encodings=simulcast(encodings),
        )
        transceiver.sender.replace_track(source)
        self._look_for_need()
        return transceiver

    def add_track(
        self, kind: MediaKind | str, source: Source, stream_ids: Iterable[str] = ()
    ) -> RtpTransceiver:
        """Send a track, over a transceiver that has none and never sent, if there is one.

        The peer's offers make such, and `add_transceiver` without a source. See there for the
        arguments.
        """
        nursery = self._check_open()
        check_source(source)
        transceiver = self._transceivers.reusable(MediaKind(kind))
        if transceiver is None:
            transceiver = self._transceivers.add(
                MediaKind(kind),
                nursery,
                direction=Direction.SENDRECV,
                stream_ids=stream_ids,
                by_track=True,
            )
        else:
            self._transceivers.use_for_track(transceiver, stream_ids)
        transceiver.sender.replace_track(source)
        self._look_for_need()
        return transceiver

    @property
    def transceivers(self) -> tuple[RtpTransceiver, ...]:
        """Those that have not stopped, in the order in which they were made."""
        return self._transceivers.transceivers

    def tracks(self) -> Queue[TrackEvent]:
        """Return an async iterator over the tracks that the peer sends; each goes to one reader."""
        return self._transceivers.tracks

    # Data channels

    def create_data_channel(
        self, label: str | None = None, options: ChannelOptions | None = None, **keywords: Any
    ) -> DataChannel:
        """Make a data channel; the first one needs an exchange of descriptions.

        Args:
            label: its name, if not in the options; "" where it has none.
            options: how it is to be.
            **keywords: those of `ChannelOptions`, instead or beside: `ordered`,
                `max_retransmits`, `max_lifetime`, `protocol`, `negotiated`, `id`…

        Raises:
            ConnectionClosedError: the connection is closed.
            NoStreamError: the id is in use, or there is none left.
            SctpStateError: the peer, or an error, has ended all data channels.
            ValueError: the options contradict each other.

        """
        self._check_open()
        if label is not None:
            keywords["label"] = label
        options = attrs.evolve(options or ChannelOptions(), **keywords)
        channel = self._channels.open(options)
        self._jsep.want_data()
        self._look_for_need()
        return channel

    def data_channels(self) -> IncomingChannels:
        """Return an async iterator over the channels that the peer opens."""
        return self._channels.incoming()
