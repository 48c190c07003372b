"""What an agent puts out: datagrams to send, and what happened; the whole vocabulary."""

from __future__ import annotations

import enum

import attrs

from ice_client.core.candidate import Base, Candidate
from stun import Address


class Role(enum.Enum):
    """Who nominates (RFC 8445 §6.1.1)."""

    CONTROLLING = "controlling"
    CONTROLLED = "controlled"

    @property
    def opposite(self) -> Role:
        """The other one."""
        return Role.CONTROLLED if self is Role.CONTROLLING else Role.CONTROLLING


class AgentState(enum.Enum):
    """Where an agent, or one component, is; the names and meanings are WebRTC's.

    `NEW`: checks cannot start yet. `CHECKING`: no pair is selected. `CONNECTED`: every
    component has a selected pair. `COMPLETED`: connected, and no check is left to do.
    `DISCONNECTED`: a selected pair has had no answer for some seconds; it may come back.
    `FAILED`: nothing left to try, or consent is lost; only a restart helps.
    `CLOSED`: `close` was called.
    """

    NEW = "new"
    CHECKING = "checking"
    CONNECTED = "connected"
    COMPLETED = "completed"
    DISCONNECTED = "disconnected"
    FAILED = "failed"
    CLOSED = "closed"


@attrs.frozen(slots=True)
class SelectedPair:
    """Two candidates between which data flows.

    Attributes:
        local: ours, as the peer sees it: reflexive where a NAT is between.
        remote: the peer's.

    """

    local: Candidate
    remote: Candidate

    @property
    def base(self) -> Base:
        """What to send from."""
        return self.local.base

    @property
    def destination(self) -> Address:
        """Where to send to."""
        return self.remote.address


@attrs.frozen(slots=True)
class Transmit:
    """Send `data` from `base` to `destination`.

    On a TCP base: over the connection with `destination`, opened now if there is none
    (an active or simultaneous-open candidate), framed as RFC 4571 has it. From a relayed
    base: through the relay, with a permission for `destination`.
    """

    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")
    base: Base
    destination: Address


@attrs.frozen(slots=True)
class StateChanged:
    """The agent's state is another one now."""

    state: AgentState


@attrs.frozen(slots=True)
class ComponentStateChanged:
    """One component's state is another one now; streams count from 0, components from 1."""

    stream: int
    component: int
    state: AgentState


@attrs.frozen(slots=True)
class PairValidated:
    """A check succeeded on a pair that was not valid before.

    Data may be sent on it until a pair is selected (RFC 8445 §12.1).
    """

    stream: int
    component: int
    pair: SelectedPair


@attrs.frozen(slots=True)
class PairSelected:
    """Data goes over this pair from now on; `previous` is None for the first."""

    stream: int
    component: int
    pair: SelectedPair
    previous: SelectedPair | None


@attrs.frozen(slots=True)
class PeerReflexiveDiscovered:
    """A check brought a candidate to light, ours (`is_local`) or the peer's."""

    stream: int
    candidate: Candidate
    is_local: bool


@attrs.frozen(slots=True)
class ConsentLost:
    """Nothing may be sent on this pair any more (RFC 7675 §5.1)."""

    stream: int
    component: int
    pair: SelectedPair


@attrs.frozen(slots=True)
class RoleChanged:
    """A role conflict was settled by our taking the other role (RFC 8445 §7.3.1.1)."""

    role: Role


Event = (
    StateChanged
    | ComponentStateChanged
    | PairValidated
    | PairSelected
    | PeerReflexiveDiscovered
    | ConsentLost
    | RoleChanged
)
Output = Transmit | Event
