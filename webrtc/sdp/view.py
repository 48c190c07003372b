"""What a `JsepSession` shows of itself: its descriptions, transceivers and transports."""

from __future__ import annotations

from webrtc.sdp.codec import Codec, MediaKind
from webrtc.sdp.derivation import Derived
from webrtc.sdp.description import DescriptionType, SessionDescription
from webrtc.sdp.events import SignalingState
from webrtc.sdp.negotiation_needed import is_negotiation_needed
from webrtc.sdp.parameters import DataParameters, Transport
from webrtc.sdp.settings import JsepSettings
from webrtc.sdp.state import RandomBytes, State, TransportMap
from webrtc.sdp.transceiver import Transceiver
from webrtc.sdp.trickle import LocalCandidates

_PRANSWERS = (SignalingState.HAVE_LOCAL_PRANSWER, SignalingState.HAVE_REMOTE_PRANSWER)


class SessionView:
    """The part of a `JsepSession` that changes nothing.

    Args:
        settings: how it describes itself.
        random_bytes: draws unpredictable bytes.

    """

    def __init__(self, settings: JsepSettings, *, random_bytes: RandomBytes) -> None:
        self._data = State(settings, random_bytes)
        self._state = SignalingState.STABLE
        self._replaced_ufrags: frozenset[str] = frozenset()
        self._candidates = LocalCandidates()
        self._derived = Derived()
        self._settled = TransportMap()

    @property
    def state(self) -> SignalingState:
        """Where the exchange stands."""
        return self._state

    def codecs_of(self, kind: MediaKind) -> tuple[Codec, ...]:
        """Return what may be negotiated of a kind, the most wanted first."""
        return tuple(codec for codec in self._data.settings.codecs if codec.kind is kind)

    @property
    def transceivers(self) -> tuple[Transceiver, ...]:
        """Those that have not stopped, in the order in which they were made."""
        return tuple(self._data.transceivers)

    @property
    def transports(self) -> tuple[Transport, ...]:
        """The transports of the sections that live."""
        return self._derived.transports

    @property
    def data(self) -> DataParameters | None:
        """What was agreed on for data channels."""
        return self._derived.data

    @property
    def local_description(self) -> SessionDescription | None:
        """Ours, pending or current, with the candidates so far."""
        local = self._data.local
        return None if local is None else self._candidates.write_into(local)

    @property
    def current_local_description(self) -> SessionDescription | None:
        """Ours of the last whole exchange, with candidates."""
        local = self._data.current_local
        return None if local is None else self._candidates.write_into(local)

    @property
    def pending_local_description(self) -> SessionDescription | None:
        """Ours of the exchange under way, with candidates."""
        local = self._data.pending_local
        return None if local is None else self._candidates.write_into(local)

    @property
    def remote_description(self) -> SessionDescription | None:
        """The peer's, pending or current, with the candidates so far."""
        return self._data.remote

    @property
    def current_remote_description(self) -> SessionDescription | None:
        """The peer's of the last whole exchange."""
        return self._data.current_remote

    @property
    def pending_remote_description(self) -> SessionDescription | None:
        """The peer's of the exchange under way."""
        return self._data.pending_remote

    @property
    def local_type(self) -> DescriptionType | None:
        """What `local_description` is."""
        return self._type(is_local=True)

    @property
    def remote_type(self) -> DescriptionType | None:
        """What `remote_description` is."""
        return self._type(is_local=False)

    def _type(self, *, is_local: bool) -> DescriptionType | None:
        data = self._data
        if (data.pending_local if is_local else data.pending_remote) is not None:
            pranswer = (
                SignalingState.HAVE_LOCAL_PRANSWER
                if is_local
                else SignalingState.HAVE_REMOTE_PRANSWER
            )
            return DescriptionType.PRANSWER if self._state is pranswer else DescriptionType.OFFER
        if (data.current_local if is_local else data.current_remote) is None:
            return None
        return DescriptionType.ANSWER if data.answer_is_local is is_local else DescriptionType.OFFER

    @property
    def is_negotiation_needed(self) -> bool:
        """Whether what was agreed on is other than what is wanted; False unless stable."""
        if self._state is not SignalingState.STABLE:
            return False
        return is_negotiation_needed(self._data, self._replaced_ufrags)
