"""One transport of a peer connection: packets to and from DTLS, SRTP, RTP and SCTP.

`ice_client` lets in what came from validated sources alone (RFC 8445 §12.2), so that nobody who
has not shown the ICE password reaches the layers here.
"""

from __future__ import annotations

import contextlib
import logging
import math
import secrets
from collections.abc import Callable
from typing import Any

import attrs
import trio

from ice_client import Agent, AgentState, Candidate, Credentials, open_ice_agent
from webrtc.dtls import (
    Closed,
    Connected,
    DataReceived,
    DtlsEndpoint,
    DtlsRole,
    DtlsState,
    Failed,
    MediaPacketKind,
    SrtpError,
    SrtpKeys,
    SrtpSession,
    media_packet_kind,
)
from webrtc.dtls.events import Event as DtlsEvent
from webrtc.rtp import RtpSession, SessionConfig
from webrtc.sctp import ChannelClosed, ChannelState, DataChannels
from webrtc.sdp import DataParameters, Transport
from webrtc.transport.clock import ntp_offset
from webrtc.transport.counters import TransportCounters
from webrtc.transport.events import (
    CandidateGathered,
    ChannelsChanged,
    DtlsChanged,
    IceChanged,
    RtpChanged,
    TransportEvent,
)
from webrtc.transport.settings import TransportSettings

MAX_EARLY = 32
"""SCTP packets that wait for the description that says there are data channels."""

_log = logging.getLogger(__name__)
_SENDS = {AgentState.CONNECTED, AgentState.COMPLETED, AgentState.DISCONNECTED}

MAX_LOGGED_FAULTS = 10
_FAILED_HERE = "an error of this program's"
CLOSED_HERE = "the peer connection is closed"
"""Why channels end; the peer is told."""

Tell = Callable[["PeerTransport", TransportEvent], None]


class PeerTransport:
    """ICE, DTLS and what is above them on one component.

    Whoever calls a core (`rtp`, `channels`) calls `flush` after.

    Args:
        parameters: as negotiated so far.
        settings: of the peer connection.
        tell: is called with everything that happens, within `flush`.

    Attributes:
        parameters: as negotiated.
        agent: the ICE agent, while `run` runs.
        dtls: the DTLS endpoint.
        channels: data channels, if they use this transport.
        peer: who the peer is, once DTLS is connected.
        counters: packets that went no further.
        sent: tasks that wait for packets to leave; all are woken when any did.

    """

    def __init__(self, parameters: Transport, settings: TransportSettings, tell: Tell) -> None:
        self.parameters = parameters
        self.agent: Agent | None = None
        self.dtls = DtlsEndpoint(settings.certificate, settings.dtls)
        # Made when they are asked for: with data channels alone they never are.
        self._srtp: SrtpSession | None = None
        self._rtp: RtpSession | None = None
        self._srtp_keys: SrtpKeys | None = None
        self.channels: DataChannels | None = None
        self.peer: Connected | None = None
        self.counters = TransportCounters()
        self.sent = trio.lowlevel.ParkingLot()
        self.ice_state = AgentState.NEW
        self._settings = settings
        self._tell = tell
        self._data: DataParameters | None = None
        self._early: list[bytes] = []
        self._sctp_has_begun = False
        self._is_flushing = self._flush_again = False
        self._scope = trio.CancelScope(shield=True)
        self._candidates: set[Candidate] = set()
        self._has_all_candidates = False
        self._remote: Credentials | None = None
        self._former: list[Credentials] = []
        self._has_media_ended = False

    @property
    def id(self) -> int:
        """What negotiation calls it."""
        return self.parameters.id

    @property
    def rtp(self) -> RtpSession:
        """All media streams of the transport."""
        if self._rtp is None:
            config = SessionConfig(self._settings.cname, ntp_offset=ntp_offset())
            self._rtp = RtpSession(config, secrets.randbelow)
        return self._rtp

    @property
    def srtp(self) -> SrtpSession | None:
        """What protects packets; None before DTLS is connected, or if it agreed on no profile."""
        if self._srtp is None and self._srtp_keys is not None:
            self._srtp = SrtpSession(self._srtp_keys)
        return self._srtp

    # Its life

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Open the agent and carry packets until closed, which may be before it is open."""
        # Shielded: whoever is cancelled closes us first, and the peer is still told.
        with self._scope:
            async with open_ice_agent(
                controlling=self.parameters.is_controlling,
                options=self._settings.ice,
                credentials=self.parameters.local_credentials,
            ) as self.agent:
                self.agent.watch(self._watch_ice)
                self.agent.hand_to(self._receive)
                self.agent.hand_candidates_to(self._tell_candidate)
                task_status.started()
                await trio.sleep_forever()
        if self.agent is None:
            task_status.started()

    def close(self) -> None:
        """Tell the peer, and end it."""
        if self.channels is not None:
            self._guard(self._end_channels, self.channels.abort, CLOSED_HERE)
        self.flush()
        self._guard(self._end_dtls, self.dtls.close)
        self.flush()
        self._scope.cancel()

    # What is negotiated

    async def apply(self, parameters: Transport) -> None:
        """Follow negotiation: restart ICE, take the peer's credentials and candidates, begin."""
        agent = self._open_agent()
        self.parameters = parameters
        if self._is_taken_back:
            return
        if parameters.local_credentials != agent.local_credentials:
            self._remote, self._candidates = None, set()
            self._has_all_candidates = False
            self._former.append(agent.local_credentials)
            await agent.restart(parameters.local_credentials)
        remote = parameters.remote
        if remote is None:
            return
        if remote.credentials != self._remote:
            agent.set_remote_credentials(remote.credentials, lite=remote.is_lite)
            self._remote = remote.credentials
            self._former.clear()
        for candidate in remote.candidates:
            # pion tells each of its candidates for RTCP as well, with or without a=rtcp-mux.
            if candidate.component == 1 and candidate not in self._candidates:
                self._candidates.add(candidate)
                await agent.add_remote_candidate(candidate)
        if remote.end_of_candidates and not self._has_all_candidates:
            self._has_all_candidates = True
            await agent.add_remote_candidate(None)
        self._begin_dtls()
        self.flush()

    async def add_remote_candidate(self, candidate: Candidate | None) -> None:
        """Take a trickled candidate; None: there will be no more."""
        # Until it knows that we multiplex, Firefox tells candidates for RTCP too.
        is_for_rtcp = candidate is not None and candidate.component != 1
        if self.agent is not None and not is_for_rtcp and not self._is_taken_back:
            await self.agent.add_remote_candidate(candidate)

    @property
    def _is_taken_back(self) -> bool:
        """Whether an offer of ours that restarted ICE was rolled back.

        The agent has gone on to another generation, and no way leads back; but what the one before
        selected carries packets until the next restart, which whoever wanted this one asks for.
        """
        return self.parameters.local_credentials in self._former

    def carry_channels(self, channels: DataChannels, parameters: DataParameters) -> None:
        """Let data channels use this transport from now on."""
        self.channels = channels
        self._data = parameters
        self._begin_sctp()
        self.flush()

    def drop_channels(self) -> None:
        """Let data channels not use this transport any more."""
        self.channels = self._data = None
        self._sctp_has_begun = False

    def _open_agent(self) -> Agent:
        assert self.agent is not None  # noqa: S101 - `run` has opened it before anyone knows us
        return self.agent

    # ICE and DTLS

    def _watch_ice(self, state: AgentState) -> None:
        if state is self.ice_state or state is AgentState.CLOSED:
            return
        self.ice_state = state
        self._tell(self, IceChanged(state))
        if state in _SENDS:
            self._begin_dtls()
            self.flush()

    def _tell_candidate(self, candidate: Candidate | None) -> None:
        if not self._scope.cancel_called and not self._is_taken_back:
            self._tell(self, CandidateGathered(candidate))

    def _begin_dtls(self) -> None:
        """Shake hands once both the peer and a way to it are known."""
        role, remote = self.parameters.dtls_role, self.parameters.remote
        if self.dtls.state is not DtlsState.NEW or role is None or remote is None:
            return
        if self.ice_state in _SENDS:
            self.dtls.start(trio.current_time(), role, remote.fingerprints)
            self._tell(self, DtlsChanged(DtlsState.CONNECTING))

    def _on_dtls_event(self, event: DtlsEvent) -> None:
        match event:
            case DataReceived(data):
                self._take_sctp(data, trio.current_time())
            case Connected(srtp):
                self.peer = attrs.evolve(event, srtp=None)  # keys have no business in statistics
                if not self._has_media_ended:
                    self._srtp_keys = srtp
                self._tell(self, DtlsChanged(DtlsState.CONNECTED))
                self._begin_sctp()
            case Closed():
                self._lose_channels("the peer closed DTLS" if event.by_peer else "")
                self._tell(self, DtlsChanged(DtlsState.CLOSED))
            case Failed(reason, detail):
                self._lose_channels(detail)
                self._tell(self, DtlsChanged(DtlsState.FAILED, f"{reason.value}: {detail}"))

    def _lose_channels(self, reason: str) -> None:
        if self.channels is not None:
            self.channels.abort(reason)

    # SCTP

    def _begin_sctp(self) -> None:
        parameters, channels = self._data, self.channels
        if channels is None or parameters is None or self.dtls.state is not DtlsState.CONNECTED:
            return
        if self._sctp_has_begun:
            return
        self._sctp_has_begun = True
        channels.start(
            is_dtls_client=self.dtls.role is DtlsRole.CLIENT,
            remote_port=parameters.remote_port,
            remote_max_message_size=parameters.max_message_size or 0,
            now=trio.current_time(),
        )
        early, self._early = self._early, []
        for packet in early:
            self._take_sctp(packet, trio.current_time())

    def _take_sctp(self, packet: bytes, now: float) -> None:
        """Take a packet out of DTLS. Hot."""
        if self.channels is None:
            del self._early[: 1 - MAX_EARLY]
            self._early.append(packet)
        else:
            self._guard(None, self.channels.receive, packet, now)

    # Packets

    def _receive(self, packets: list[bytes]) -> None:
        """Give packets to whom they are for (RFC 7983 §7). Hot."""
        now = trio.current_time()
        rest = iter(packets)
        while True:
            try:
                for packet in rest:
                    self._take(packet, now)
                break
            except Exception:  # the packet's fault: others are taken all the same
                self._note_fault()
        self.flush()

    def _take(self, packet: bytes, now: float) -> None:
        kind = media_packet_kind(packet)
        if kind is MediaPacketKind.DTLS:
            message = self.dtls.receive_message(packet)
            if message:
                self._take_sctp(message, now)
            elif message is None:
                self.dtls.receive(packet, now)
                for event in self.dtls.take_events():
                    self._on_dtls_event(event)
            return
        rtp = self._rtp
        srtp = None if rtp is None else self._srtp or self.srtp
        if kind not in (MediaPacketKind.RTP, MediaPacketKind.RTCP):
            self.counters.unknown += 1
        elif rtp is None or srtp is None:
            self.counters.early += 1
        else:
            is_rtp = kind is MediaPacketKind.RTP
            plain = srtp.unprotect_rtp(packet) if is_rtp else srtp.unprotect_rtcp(packet)
            if plain is not None:
                rtp.receive(plain, now)

    def _on_deadline(self) -> None:
        now = trio.current_time()
        self._guard(self._end_dtls, self.dtls.on_deadline, now)
        if self._rtp is not None and not self._has_media_ended:
            self._guard(self._end_media, self._rtp.on_deadline, now)
        if self.channels is not None:
            self._guard(self._end_channels, self.channels.on_deadline, now)
        self.flush()

    def flush(self) -> None:
        """Send what the cores want sent, and tell what happened in them. Hot."""
        # What is told may have its reader call a core, and this again.
        self._flush_again = True
        if self._is_flushing:
            return
        self._is_flushing = True
        try:
            while self._flush_again:
                self._flush_again = False
                self._flush_cores(trio.current_time())
        finally:
            self._is_flushing = False

    def _flush_cores(self, now: float) -> None:
        if self.channels is not None:
            self._guard(self._end_channels, self._flush_channels, self.channels, now)
        self._guard(self._end_dtls, self._flush_dtls)
        rtp = None if self._has_media_ended else self._rtp
        if rtp is not None:
            self._guard(self._end_media, self._flush_media, rtp)
        if self.sent:
            self.sent.unpark_all()
        if self.agent is not None:
            deadline = min(
                _or_never(self.dtls.next_deadline()),
                math.inf if rtp is None else _or_never(rtp.next_deadline()),
                math.inf if self.channels is None else _or_never(self.channels.next_deadline()),
            )
            self.agent.set_alarm(deadline, self._on_deadline)

    def _flush_channels(self, channels: DataChannels, now: float) -> None:
        dtls = self.dtls
        if dtls.state is DtlsState.CONNECTED:
            longest = dtls.max_payload
            for packet in channels.take_datagrams(now):
                if len(packet) <= longest:
                    dtls.send(packet)
                else:  # the answer to a chunk of the peer's that its own path had room for
                    self.counters.unsendable += 1
        for event in channels.take_events():
            self._tell(self, ChannelsChanged(event))

    def _flush_dtls(self) -> None:
        for datagram in self.dtls.take_datagrams():
            self._send(datagram)
        for event in self.dtls.take_events():
            self._on_dtls_event(event)
            self._flush_again = True

    def _flush_media(self, rtp: RtpSession) -> None:
        srtp = self._srtp or self.srtp
        for datagram in rtp.take_datagrams():
            if srtp is None:
                self.counters.unsendable += 1
                continue
            try:
                data = datagram.data
                self._send(srtp.protect_rtcp(data) if datagram.is_rtcp else srtp.protect_rtp(data))
            except SrtpError:
                self.counters.unsendable += 1
        for event in rtp.take_events():
            self._tell(self, RtpChanged(event))

    def _send(self, datagram: bytes) -> None:
        # A packet with no way to go, or no room, is lost as on any network: DTLS and SCTP send
        # again, and media is over before anything could be done about it.
        if self.agent is None or not self.agent.send_now(datagram):
            self.counters.unsendable += 1

    # Errors of ours: each ends the layer it is in, and no other

    def _guard(
        self, end: Callable[[], None] | None, step: Callable[..., None], *arguments: Any
    ) -> None:
        """Let a layer take a step. Hot.

        If it fails, `end` the layer, which would fail for ever; None drops what the step was of.
        """
        try:
            step(*arguments)
        except Exception:
            self._note_fault()
            if end is not None:
                end()

    def _note_fault(self) -> None:
        self.counters.faults += 1
        if self.counters.faults <= MAX_LOGGED_FAULTS:
            _log.exception("a layer of a transport failed")

    def _end_channels(self) -> None:
        channels, self.channels = self.channels, None
        if channels is None:
            return
        with contextlib.suppress(Exception):  # the peer is told, if what failed still can
            channels.abort(_FAILED_HERE)
            self._flush_channels(channels, trio.current_time())
        for channel in channels.channels:
            channel.state = ChannelState.CLOSED
            self._tell(self, ChannelsChanged(ChannelClosed(channel, _FAILED_HERE)))

    def _end_media(self) -> None:
        self._has_media_ended = True
        self._srtp = self._srtp_keys = None

    def _end_dtls(self) -> None:
        self.dtls.abandon(_FAILED_HERE)
        for event in self.dtls.take_events():
            self._on_dtls_event(event)


def _or_never(deadline: float | None) -> float:
    return math.inf if deadline is None else deadline
