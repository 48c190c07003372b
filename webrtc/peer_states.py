"""How a peer connection is doing: W3C's four states, each to ask for and to watch."""

from __future__ import annotations

from ice_client import AgentState
from webrtc.connection_state import ConnectionState, GatheringState
from webrtc.errors import WebRtcError
from webrtc.observable import Changes, Observable
from webrtc.sdp import SignalingState
from webrtc.sdp.session import JsepSession


class ConnectionClosedError(WebRtcError):
    """The peer connection is closed."""


class ConnectionFailedError(WebRtcError):
    """The peer connection failed; the message says what did."""


class NeededOffers:
    """An async iterator over the moments when an offer is due."""

    def __init__(self, changes: Changes[bool], jsep: JsepSession) -> None:
        self._changes = changes
        self._jsep = jsep

    def __aiter__(self) -> NeededOffers:
        return self

    async def __anext__(self) -> None:
        async for is_needed in self._changes:
            if is_needed and self._jsep.is_negotiation_needed:
                return
        raise StopAsyncIteration


class PeerStates:
    """The part of a peer connection that tells its states."""

    def __init__(self) -> None:
        self._connection = Observable(ConnectionState.NEW)
        self._ice = Observable(AgentState.NEW)
        self._signaling = Observable(SignalingState.STABLE)
        self._gathering = Observable(GatheringState.NEW)
        self._needed = Observable(False)
        self._detail = ""

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._connection.value is ConnectionState.CLOSED

    @property
    def connection_state(self) -> ConnectionState:
        """How the connection is doing."""
        return self._connection.value

    def connection_states(self) -> Changes[ConnectionState]:
        """Return an async iterator: the state as it is, then each change, to the end."""
        return self._connection.changes()

    @property
    def ice_connection_state(self) -> AgentState:
        """How ICE is doing, DTLS aside."""
        return self._ice.value

    def ice_connection_states(self) -> Changes[AgentState]:
        """Return an async iterator over `ice_connection_state`."""
        return self._ice.changes()

    @property
    def signaling_state(self) -> SignalingState:
        """Where the exchange of descriptions stands."""
        return self._signaling.value

    def signaling_states(self) -> Changes[SignalingState]:
        """Return an async iterator over `signaling_state`."""
        return self._signaling.changes()

    @property
    def ice_gathering_state(self) -> GatheringState:
        """Whether candidates are still being found."""
        return self._gathering.value

    def ice_gathering_states(self) -> Changes[GatheringState]:
        """Return an async iterator over `ice_gathering_state`."""
        return self._gathering.changes()

    async def connected(self) -> None:
        """Return once the connection is up.

        Raises:
            ConnectionFailedError: it failed instead.
            ConnectionClosedError: it was closed.

        """
        async for state in self.connection_states():
            if state is ConnectionState.CONNECTED:
                return
            if state is ConnectionState.FAILED:
                reason = self._detail or "no candidate pair works, or consent was lost"
                raise ConnectionFailedError(reason)
            if state is ConnectionState.CLOSED:
                break
        raise ConnectionClosedError("the peer connection is closed")

    async def gathered(self) -> None:
        """Return once all candidates are found, and in `local_description`.

        For signalling that cannot trickle. Raises ConnectionClosedError.
        """
        async for state in self.ice_gathering_states():
            if state is GatheringState.COMPLETE:
                return
        raise ConnectionClosedError("the peer connection is closed")

    def _end_states(self) -> None:
        """Close every state, and end every iterator over them."""
        self._connection.set(ConnectionState.CLOSED)
        self._ice.set(AgentState.CLOSED)
        self._signaling.set(SignalingState.CLOSED)
        for each in (self._connection, self._ice, self._signaling, self._gathering, self._needed):
            each.close()
