"""What follows from the descriptions in force, and how it differs from before, as events.

Nothing here is kept by hand: after each change everything is derived anew and compared, so that a
rollback tells its consequences by itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from webrtc.dtls.setup import DtlsRole
from webrtc.sdp.attributes import Direction
from webrtc.sdp.description import MediaSection, SessionDescription
from webrtc.sdp.events import (
    DataChanged,
    Event,
    ParametersChanged,
    RemoteTrackAdded,
    RemoteTrackRemoved,
    TransportChanged,
    TransportRemoved,
)
from webrtc.sdp.media_parameters import (
    agreed_direction,
    data_parameters,
    receive_parameters,
    remote_streams,
    send_parameters,
)
from webrtc.sdp.parameters import DataParameters, RemoteTransport, Transport
from webrtc.sdp.remote import agreed_role, remote_transport
from webrtc.sdp.state import LocalEnd, State, TransportMap
from webrtc.sdp.transceiver import Transceiver


@attrs.frozen
class Exchange:
    """An offer and its answer, or its provisional one."""

    local: SessionDescription
    remote: SessionDescription
    answer_is_local: bool


def agreed_exchange(state: State) -> Exchange | None:
    """Return what is in force: the exchange with a provisional answer, or the last whole one."""
    if state.pending_local is not None and state.pending_remote is not None:
        # Both are there at once only after a provisional answer, which is the newer.
        return Exchange(state.pending_local, state.pending_remote, state.pranswer_is_local)
    if state.current_local is not None and state.current_remote is not None:
        return Exchange(state.current_local, state.current_remote, state.answer_is_local)
    return None


class Derived:
    """What was derived last: transports, data, and what the peer sends."""

    def __init__(self) -> None:
        self.transports: tuple[Transport, ...] = ()
        self.data: DataParameters | None = None
        self._tracks: dict[Transceiver, tuple[bool, tuple[str, ...]]] = {}

    def update(self, state: State, settled: TransportMap) -> Iterator[Event]:
        """Derive all anew; yield what is other than before.

        Args:
            state: of the session.
            settled: the transports of the last whole exchange.

        """
        exchange = agreed_exchange(state)
        yield from self._update_transports(_transports(state, exchange, settled))
        data = data_parameters(exchange.local, exchange.remote) if exchange else None
        if data != self.data:
            self.data = data
            yield DataChanged(data)
        for transceiver in state.transceivers:
            if _update_parameters(transceiver, state, exchange):
                yield ParametersChanged(transceiver)
        for transceiver in state.transceivers:
            yield from self._update_track(transceiver, state)
        for transceiver in [known for known in self._tracks if known not in state.transceivers]:
            yield from self._drop_track(transceiver)

    def _update_transports(self, transports: tuple[Transport, ...]) -> Iterator[Event]:
        before = {transport.id: transport for transport in self.transports}
        self.transports = transports
        for transport in transports:
            if before.pop(transport.id, None) != transport:
                yield TransportChanged(transport)
        for number in before:
            yield TransportRemoved(number)

    def _update_track(self, transceiver: Transceiver, state: State) -> Iterator[Event]:
        section = _remote_section(transceiver, state)
        sends = section is not None and section.direction.sends and not section.is_rejected
        streams, track_id = remote_streams(section) if section else ((), None)
        before = self._tracks.get(transceiver, (False, ()))
        if before == (sends, streams):
            return
        self._tracks[transceiver] = (sends, streams)
        transceiver.remote_stream_ids = streams
        if sends:
            transceiver.remote_track_id = track_id
            yield RemoteTrackAdded(transceiver, streams)
        elif before[0]:
            yield RemoteTrackRemoved(transceiver, before[1])

    def _drop_track(self, transceiver: Transceiver) -> Iterator[Event]:
        sends, streams = self._tracks.pop(transceiver)
        transceiver.remote_stream_ids = ()
        if sends:
            yield RemoteTrackRemoved(transceiver, streams)


def _remote_section(transceiver: Transceiver, state: State) -> MediaSection | None:
    if transceiver.mid is None or state.remote is None:
        return None
    return state.remote.section(transceiver.mid)


def _update_parameters(transceiver: Transceiver, state: State, exchange: Exchange | None) -> bool:
    """Set what a transceiver got; tell whether it is other than before."""
    before = (transceiver.send, transceiver.receive, transceiver.current_direction)
    transceiver.send = transceiver.receive = transceiver.current_direction = None
    mid = transceiver.mid
    if mid is not None and exchange is not None:
        ours, theirs = exchange.local.section(mid), exchange.remote.section(mid)
        if ours is not None and theirs is not None:
            local, remote = (exchange.local, ours), (exchange.remote, theirs)
            by = exchange.answer_is_local
            transceiver.send = send_parameters(local, remote, answer_is_local=by)
            transceiver.receive = receive_parameters(local, remote, answer_is_local=by)
    if mid is not None:
        direction = transceiver.current_direction = _current_direction(mid, state)
        transceiver.has_sent |= direction is not None and direction.sends
    return before != (transceiver.send, transceiver.receive, transceiver.current_direction)


def _current_direction(mid: str, state: State) -> Direction | None:
    # Not of a provisional answer: W3C §4.4.1.5 sets it by answers alone.
    if state.current_local is None or state.current_remote is None:
        return None
    ours, theirs = state.current_local.section(mid), state.current_remote.section(mid)
    if ours is None or theirs is None:
        return None
    return agreed_direction(ours, theirs, answer_is_local=state.answer_is_local)


def _transports(
    state: State, exchange: Exchange | None, settled: TransportMap
) -> tuple[Transport, ...]:
    # In have-remote-offer ours is the last description still, and so are the transports.
    found = _used_by(state, state.local, exchange, state.transports, settled)
    if state.pending_local is not None:
        # What our offer takes away is used until the answer: a rollback may bring it back.
        found |= {
            number: transport
            for number, transport in _used_by(
                state, state.current_local, exchange, settled, settled
            ).items()
            if number not in found
        }
    return tuple(found.values())


def _used_by(
    state: State,
    local: SessionDescription | None,
    exchange: Exchange | None,
    transports: TransportMap,
    settled: TransportMap,
) -> dict[int, Transport]:
    users: dict[int, list[str]] = {}
    for section in local.media if local else ():
        mid = section.mid or ""
        if mid in transports.ids and not section.is_rejected:
            users.setdefault(transports.ids[mid], []).append(mid)
    found = {}
    for number, mids in users.items():
        group = local.bundle_of(mids[0]) if local else ()
        ordered = [mid for mid in group if mid in mids] or mids  # the tag first
        known = settled.ends.get(number)
        # RFC 9429 §4.1.9: while our restart waits for its answer, the peer's credentials are
        # those of the session that ends.
        restarts = known is not None and known.credentials != transports.ends[number].credentials
        waits = restarts and state.pending_remote is None
        found[number] = _transport(state, exchange, number, ordered, transports.ends[number], waits)
    return found


def _transport(
    state: State,
    exchange: Exchange | None,
    number: int,
    mids: list[str],
    end: LocalEnd,
    waits: bool,
) -> Transport:
    remote = None if exchange is None or waits else _remote_end(exchange, mids)
    role = None if exchange is None else _role(exchange, mids)
    is_controlling = end.is_initiator
    is_lite = state.settings.is_lite
    if remote is not None and remote.is_lite is not is_lite:
        is_controlling = remote.is_lite  # RFC 8445 §6.1.1: the full one of the two controls
    return Transport(
        id=number,
        mids=tuple(mids),
        local_credentials=end.credentials,
        remote=remote,
        dtls_role=role,
        is_controlling=is_controlling,
    )


def _remote_end(exchange: Exchange, mids: list[str]) -> RemoteTransport | None:
    for mid in mids:
        section = exchange.remote.section(mid)
        if section is not None and not section.is_rejected:
            return remote_transport(exchange.remote, mid)
    return None


def _role(exchange: Exchange, mids: list[str]) -> DtlsRole | None:
    for mid in mids:
        section = exchange.remote.section(mid)
        ours = exchange.local.section(mid)
        if section is None or ours is None or section.is_rejected or ours.is_rejected:
            continue
        return agreed_role(exchange.local, exchange.remote, mid)
    return None
