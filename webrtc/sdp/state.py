"""What a `JsepSession` knows: descriptions, transceivers, transports, numbers that are taken.

One value holds all that a rollback restores (RFC 9429 §5.7); offers, answers and the checks are
functions of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import attrs

from ice_client.core import Credentials
from webrtc.dtls.setup import DtlsRole
from webrtc.sdp.attributes import Direction, ExtMap
from webrtc.sdp.codec import Codec, MediaKind
from webrtc.sdp.description import MediaSection, SessionDescription
from webrtc.sdp.payload_types import ExtensionIds, PayloadTypes
from webrtc.sdp.remote import agreed_role
from webrtc.sdp.settings import JsepSettings
from webrtc.sdp.transceiver import Transceiver

RandomBytes = Callable[[int], bytes]


@attrs.frozen
class LocalEnd:
    """Our end of a transport: its ICE credentials, and whether we offered it first."""

    credentials: Credentials
    is_initiator: bool


@attrs.frozen
class TransportMap:
    """Which section uses which transport, and our ends of these."""

    ids: Mapping[str, int] = attrs.field(factory=dict)
    ends: Mapping[int, LocalEnd] = attrs.field(factory=dict)

    def next_id(self) -> int:
        """Return an identifier that none has."""
        return max(self.ends, default=-1) + 1


@attrs.define
class State:
    """Everything that exchanges change, and what they are made with.

    Attributes:
        settings: of the session.
        random_bytes: draws unpredictable bytes, for ICE credentials.
        transceivers: in the order in which they were made.
        current_local: our description of the last whole exchange.
        current_remote: the peer's.
        pending_local: ours of the exchange under way.
        pending_remote: the peer's.
        answer_is_local: whether the last whole exchange's answer was ours.
        pranswer_is_local: whether the provisional answer, if there is one, is ours.
        transports: of the sections of the descriptions.
        payload_types: meanings of payload types.
        extension_ids: meanings of header extension identifiers.
        wants_data: whether a data channel was made.
        used_mids: every name that a section has had; none is given twice.

    """

    settings: JsepSettings
    random_bytes: RandomBytes
    transceivers: list[Transceiver] = attrs.field(factory=list)
    current_local: SessionDescription | None = None
    current_remote: SessionDescription | None = None
    pending_local: SessionDescription | None = None
    pending_remote: SessionDescription | None = None
    answer_is_local: bool = False
    pranswer_is_local: bool = False
    transports: TransportMap = attrs.field(factory=TransportMap)
    payload_types: PayloadTypes = attrs.field(factory=PayloadTypes)
    extension_ids: ExtensionIds = attrs.field(factory=ExtensionIds)
    wants_data: bool = False
    used_mids: set[str] = attrs.field(factory=set)

    @property
    def local(self) -> SessionDescription | None:
        """Our newest description that is in force or may be."""
        return self.pending_local or self.current_local

    @property
    def remote(self) -> SessionDescription | None:
        """The peer's newest description."""
        return self.pending_remote or self.current_remote

    @property
    def has_data(self) -> bool:
        """Whether the last whole exchange agreed on data channels."""
        return any(not refused for refused in self._data_refusals())

    @property
    def is_data_refused(self) -> bool:
        """Whether the last whole exchange had a section for data channels, and agreed on none."""
        refusals = list(self._data_refusals())
        return bool(refusals) and all(refusals)

    def _data_refusals(self) -> Iterator[bool]:
        """Tell of each data section whether an end refused it."""
        if self.current_local is not None and self.current_remote is not None:
            for ours, theirs in zip(
                self.current_local.media, self.current_remote.media, strict=False
            ):
                if ours.is_data:
                    yield ours.is_rejected or theirs.is_rejected

    def transceiver_of(self, mid: str | None) -> Transceiver | None:
        """Return the transceiver of that section."""
        return next((t for t in self.transceivers if mid is not None and t.mid == mid), None)

    def codecs_of(self, transceiver: Transceiver) -> tuple[Codec, ...]:
        """Return what may be negotiated for a transceiver, by its preferences."""
        table = [codec for codec in self.settings.codecs if codec.kind is transceiver.kind]
        if transceiver.codecs is None:
            return tuple(table)
        return tuple(codec for codec in transceiver.codecs if codec in table)

    def extensions_of(self, kind: MediaKind) -> tuple[ExtMap, ...]:
        """Return the header extensions that may be negotiated."""
        audio, video = self.settings.audio_extensions, self.settings.video_extensions
        return audio if kind is MediaKind.AUDIO else video

    def dtls_role_of(self, mid: str) -> DtlsRole | None:
        """Return our role in the DTLS association that a section has already."""
        if self.current_local is None or self.current_remote is None:
            return None
        return agreed_role(self.current_local, self.current_remote, mid)

    def new_credentials(self) -> Credentials:
        """Draw ICE credentials."""
        return Credentials.generate(self.random_bytes)

    def section_pair(self, index: int) -> tuple[MediaSection | None, MediaSection | None]:
        """Return our and the peer's section of the last whole exchange."""
        if self.current_local is None or self.current_remote is None:
            return None, None
        if index >= min(len(self.current_local.media), len(self.current_remote.media)):
            return None, None
        return self.current_local.media[index], self.current_remote.media[index]

    def agreed_transports(self) -> TransportMap:
        """Return what the last exchange leaves of the transports.

        Rejected sections have none; those that the answer bundles have that of the first
        (RFC 9143 §7.3).
        """
        local, remote = self.current_local, self.current_remote
        if local is None or remote is None:
            return self.transports
        answer = local if self.answer_is_local else remote
        ids: dict[str, int] = {}
        for ours, theirs in zip(local.media, remote.media, strict=False):
            mid = ours.mid or ""
            if mid in self.transports.ids and not ours.is_rejected and not theirs.is_rejected:
                tag = next((m for m in answer.bundle_of(mid) if m in self.transports.ids), mid)
                ids[mid] = self.transports.ids[tag]
        ends = {n: end for n, end in self.transports.ends.items() if n in ids.values()}
        return TransportMap(ids, ends)

    def stop_rejected(self) -> list[Transceiver]:
        """Stop the transceivers whose sections the last exchange rejected; return them."""
        stopped = []
        for transceiver in list(self.transceivers):
            if transceiver.index is None:
                if transceiver.stopping:
                    stopped.append(transceiver)
                continue
            ours, theirs = self.section_pair(transceiver.index)
            if ours and theirs and (ours.is_rejected or theirs.is_rejected):
                stopped.append(transceiver)
        for transceiver in stopped:
            # W3C §4.4.1.5: it leaves the set, and its section is free for another.
            self.transceivers.remove(transceiver)
            transceiver.direction = Direction.INACTIVE
            transceiver.stopped, transceiver.stopping = True, False
            transceiver.leave()
        return stopped


class Snapshot:
    """A state to go back to."""

    def __init__(self, state: State) -> None:
        self._transceivers = list(state.transceivers)
        self._places = [(t, t.mid, t.index) for t in state.transceivers]
        self._transports = state.transports
        self._payload_types = state.payload_types.copy()
        self._extension_ids = state.extension_ids.copy()

    def restore(self, state: State) -> list[Transceiver]:
        """Go back; return the transceivers that the peer's offer had made and that went.

        One that was made since by the program stays, and so does one that a track was added
        to (RFC 9429 §4.1.10.2), both without a section.
        """
        state.pending_local = state.pending_remote = None
        state.transports = self._transports
        state.payload_types = self._payload_types
        state.extension_ids = self._extension_ids
        gone = []
        for transceiver in list(state.transceivers):
            if transceiver in self._transceivers:
                continue
            if transceiver.is_from_peer and not transceiver.added_by_track:
                state.transceivers.remove(transceiver)
                gone.append(transceiver)
            transceiver.leave()
        for transceiver, mid, index in self._places:
            transceiver.mid, transceiver.index = mid, index
        return gone
