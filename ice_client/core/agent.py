"""The ICE agent: what a shell talks to (RFC 8445). No sockets, no clock, no randomness of its own.

The shell gathers candidates and owns their sockets, hands in what arrives and what time it is,
sends what `take_outputs` returns, and calls `on_deadline` at `next_deadline`. After *every* call
that takes `now` it drains `take_outputs` and asks `next_deadline` anew.
"""

from __future__ import annotations

from collections.abc import Sequence

from ice_client.core.candidate import Base, Candidate
from ice_client.core.credentials import Credentials, RandomBytes
from ice_client.core.events import AgentState, Output, Role, SelectedPair
from ice_client.core.settings import DEFAULT_SETTINGS, Settings
from ice_client.core.statistics import AgentCounters, PairStatistics
from stun import Address


class IceAgent:
    """One ICE session: its streams, components and, one after another, its generations.

    Times are monotonic seconds, and never go back from one call to the next.

    Args:
        role: controlling, usually, who sent the offer; always if only the peer is lite.
        credentials: ours, see `Credentials.generate`.
        random_bytes: `secrets.token_bytes`; transaction ids, the tie-breaker and jitter
            come from it.
        settings: timers, limits and the number of streams and components.
        tie_breaker: 64 bits for role conflicts; drawn if None.

    """

    def __init__(
        self,
        role: Role,
        credentials: Credentials,
        random_bytes: RandomBytes,
        settings: Settings = DEFAULT_SETTINGS,
        *,
        tie_breaker: int | None = None,
    ) -> None:
        raise NotImplementedError

    @property
    def role(self) -> Role:
        """Controlling or controlled; a conflict may change it."""
        raise NotImplementedError

    @property
    def state(self) -> AgentState:
        """Where the agent is."""
        raise NotImplementedError

    @property
    def local_credentials(self) -> Credentials:
        """Ours, of the current generation."""
        raise NotImplementedError

    @property
    def counters(self) -> AgentCounters:
        """What was dropped, and why."""
        raise NotImplementedError

    # Signalling in, signalling out

    def add_local_candidate(self, candidate: Candidate, now: float, stream: int = 0) -> bool:
        """Take a candidate that was gathered; return whether to tell the peer of it.

        False: one with the same base and address is there already (RFC 8445 §5.1.3), local
        candidates have ended, or there are too many.

        Raises:
            ValueError: there is no such stream or component.

        """
        raise NotImplementedError

    def end_of_local_candidates(self, now: float) -> None:
        """Note that no more are gathered in this generation (RFC 8838 §13)."""
        raise NotImplementedError

    def set_remote_credentials(
        self,
        credentials: Credentials,
        now: float,
        *,
        lite: bool = False,
        renomination: bool = False,
    ) -> None:
        """Start checks: the peer's credentials came. The same ones again change nothing.

        After `restart` these must be the peer's new ones.

        Args:
            credentials: the peer's.
            now: monotonic seconds.
            lite: the peer is an ICE-lite implementation; we are controlling then, unless lite
                too.
            renomination: the peer told ``a=ice-options:renomination``.

        """
        raise NotImplementedError

    def add_remote_candidate(self, candidate: Candidate, now: float, stream: int = 0) -> bool:
        """Take one of the peer's candidates, host name resolved; return whether it is of use.

        One whose `username_fragment` is not the peer's current one is kept for credentials yet
        to come (bounded), and forgotten if they never do. May come before the credentials.

        Raises:
            ValueError: there is no such stream or component, or it `needs_resolution`.

        """
        raise NotImplementedError

    def end_of_remote_candidates(self, now: float) -> None:
        """Note that the peer has no more in this generation (RFC 8838 §14)."""
        raise NotImplementedError

    def restart(self, credentials: Credentials, now: float) -> None:
        """Begin a new generation with new credentials of ours (RFC 8445 §9).

        Local candidates are given anew (sockets may stay). The selected pairs stay in use, and
        their consent is checked, until the new generation selects pairs.

        Raises:
            ValueError: the credentials are those in use.

        """
        raise NotImplementedError

    def close(self) -> None:
        """End it: nothing is sent or answered from now on."""
        raise NotImplementedError

    # The network

    def receive(self, data: bytes, base: Base, source: Address, now: float) -> bool:
        """Take a datagram, or a frame of a TCP connection; return whether it was STUN.

        What is not STUN is the shell's: application data, to be dropped unless
        `is_valid_source`. On TCP `base` is the candidate's the connection was opened from or
        accepted on, and `source` the connection's remote address.
        """
        raise NotImplementedError

    def transport_failed(self, base: Base, destination: Address, now: float) -> None:
        """Note that sending to `destination` cannot work.

        A TCP connection that could not be opened or broke, a hard ICMP error (the shell
        judges whether to believe it, RFC 8445 §7.2.5.2.2), a refused TURN permission.
        """
        raise NotImplementedError

    def remove_local_base(self, base: Base, now: float) -> None:
        """Forget every candidate and pair of `base`: its interface or allocation is gone."""
        raise NotImplementedError

    def is_valid_source(self, base: Base, source: Address) -> bool:
        """Whether data from there may be given to the application. Runs per packet.

        True once a check of the pair has succeeded, in either direction (RFC 8445 §12.2).
        """
        raise NotImplementedError

    # Time

    def next_deadline(self) -> float | None:
        """Return when to call `on_deadline`, monotonic seconds; it may have passed already."""
        raise NotImplementedError

    def on_deadline(self, now: float) -> None:
        """Do what is due: checks, retransmissions, nomination, consent, keepalives, failing."""
        raise NotImplementedError

    def take_outputs(self) -> Sequence[Output]:
        """Return what is to be sent and what happened since the last call, in order."""
        raise NotImplementedError

    # Results

    def selected_pair(self, component: int = 1, stream: int = 0) -> SelectedPair | None:
        """Return the pair that data goes over, or None."""
        raise NotImplementedError

    def send_pair(self, component: int = 1, stream: int = 0) -> SelectedPair | None:
        """Return the selected pair, or the best valid one while none is selected.

        RFC 8445 §12.1: data may be sent on any valid pair before. None: nothing may be sent,
        as there is none yet or consent is lost.
        """
        raise NotImplementedError

    def component_state(self, component: int = 1, stream: int = 0) -> AgentState:
        """Return where one component is."""
        raise NotImplementedError

    def local_candidates(self, stream: int = 0) -> Sequence[Candidate]:
        """Return ours of the current generation, peer-reflexive ones last."""
        raise NotImplementedError

    def remote_candidates(self, stream: int = 0) -> Sequence[Candidate]:
        """Return the peer's of the current generation, peer-reflexive ones included."""
        raise NotImplementedError

    def pair_statistics(self) -> Sequence[PairStatistics]:
        """Return a snapshot of every pair's, in order of priority, of all streams."""
        raise NotImplementedError
