"""How a peer connection as a whole is doing, from its transports (W3C webrtc-pc §5.6)."""

from __future__ import annotations

import enum
from collections.abc import Collection

from ice_client import AgentState
from webrtc.dtls import DtlsState


class ConnectionState(enum.Enum):
    """RTCPeerConnectionState. `DISCONNECTED` may come back by itself; `FAILED` wants a restart."""

    NEW = "new"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    FAILED = "failed"
    CLOSED = "closed"


class GatheringState(enum.Enum):
    """RTCIceGatheringState."""

    NEW = "new"
    GATHERING = "gathering"
    COMPLETE = "complete"


_READY = {AgentState.CONNECTED, AgentState.COMPLETED}


def connection_state(transports: Collection[tuple[AgentState, DtlsState]]) -> ConnectionState:
    """Return the state of a connection that is not closed, from ICE and DTLS of each transport."""
    ice = {state for state, _ in transports}
    dtls = {state for _, state in transports}
    if AgentState.FAILED in ice or DtlsState.FAILED in dtls:
        return ConnectionState.FAILED
    if AgentState.DISCONNECTED in ice:
        return ConnectionState.DISCONNECTED
    if ice <= {AgentState.NEW, AgentState.CLOSED} and dtls <= {DtlsState.NEW, DtlsState.CLOSED}:
        return ConnectionState.NEW
    if ice <= _READY | {AgentState.CLOSED} and dtls <= {DtlsState.CONNECTED, DtlsState.CLOSED}:
        return ConnectionState.CONNECTED
    return ConnectionState.CONNECTING


def ice_connection_state(states: Collection[AgentState]) -> AgentState:
    """Return the state of ICE as a whole (RTCIceConnectionState), of a connection not closed."""
    for one in (AgentState.FAILED, AgentState.DISCONNECTED):
        if one in states:
            return one
    found = set(states) - {AgentState.CLOSED}
    if not found or found == {AgentState.NEW}:
        return AgentState.NEW
    if found & {AgentState.NEW, AgentState.CHECKING}:
        return AgentState.CHECKING
    return AgentState.COMPLETED if found == {AgentState.COMPLETED} else AgentState.CONNECTED
