"""The ICE agent: what a shell talks to (RFC 8445). No sockets, no clock, no randomness of its own.

The shell gathers candidates and owns their sockets, hands in what arrives and what time it is,
sends what `take_outputs` returns, and calls `on_deadline` at `next_deadline`. After *every* call
that takes `now` it drains `take_outputs` and asks `next_deadline` anew.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ice_client.core.candidate import Base, Candidate
from ice_client.core.check_server import CheckServer
from ice_client.core.context import Context
from ice_client.core.credentials import Credentials, RandomBytes
from ice_client.core.events import (
    AgentState,
    Output,
    Role,
    SelectedPair,
)
from ice_client.core.future_candidates import FutureCandidates
from ice_client.core.generation import Generation
from ice_client.core.progress import Progress
from ice_client.core.settings import DEFAULT_SETTINGS, Settings
from ice_client.core.statistics import AgentCounters, PairStatistics
from stun import Address, DecodeError, Message, MessageClass, Method
from stun.constants import MAGIC_COOKIE_BYTES

MAX_STUN_FIRST_BYTE = 3
"""RFC 7983 §7: what starts with 0 to 3 may be STUN."""

PREVIOUS_GRACE = 30.0
"""Seconds that checks of a generation are answered for once a newer one has taken over."""


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
        self._context = Context(role, random_bytes, settings, tie_breaker)
        self._server = CheckServer(self._context)
        self._current = Generation(self._context, credentials)
        self._previous: Generation | None = None
        self._previous_until = math.inf
        self._future = FutureCandidates()
        self._progress = Progress(self._context)
        self._now = 0.0
        self._deadline: float | None = None
        self._deadline_is_known = False

    @property
    def role(self) -> Role:
        """Controlling or controlled; a conflict may change it."""
        return self._context.role

    @property
    def state(self) -> AgentState:
        """Where the agent is."""
        return self._progress.state

    @property
    def local_credentials(self) -> Credentials:
        """Ours, of the current generation."""
        return self._current.local_credentials

    @property
    def counters(self) -> AgentCounters:
        """What was dropped, and why."""
        return self._context.counters

    # Signalling in, signalling out

    def add_local_candidate(self, candidate: Candidate, now: float, stream: int = 0) -> bool:
        """Take a candidate that was gathered; return whether to tell the peer of it.

        False: one with the same base and address is there already (RFC 8445 §5.1.3), local
        candidates have ended, or there are too many.

        Raises:
            ValueError: there is no such stream or component, or its base is another's.

        """
        self._check_component(stream, candidate.component)
        sender = self._current.table.sender_of(candidate.base)
        if sender is not None and sender != (stream, candidate.component):
            raise ValueError(f"base {candidate.base} is of another component")
        taken = self._current.add_local(stream, candidate, now)
        self._update(now)
        return taken

    def end_of_local_candidates(self, now: float) -> None:
        """Note that no more are gathered in this generation (RFC 8838 §13)."""
        self._current.table.local_ended = True
        self._update(now)

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

        Raises:
            ValueError: this generation has other ones of the peer's already, or they are
                those of the generation before.

        """
        current, previous = self._current, self._previous
        if current.remote_credentials == credentials:
            return
        if current.remote_credentials is not None:
            raise ValueError("the peer's credentials change with a restart only (RFC 8445 §9)")
        if previous is not None and previous.remote_credentials == credentials:
            raise ValueError("a restart needs new credentials of the peer too (RFC 8445 §9)")
        # RFC 8445 §6.1.1: of a full and a lite agent the full one is controlling.
        ours = self._context.settings.lite
        if lite != ours and self._context.is_controlling == ours:
            self._context.switch_role()
            current.change_role()
        current.set_remote_credentials(credentials, now, lite=lite, renomination=renomination)
        for stream, candidate in self._future.take(credentials.username_fragment):
            current.add_remote(stream, candidate, now)
        self._update(now)

    def add_remote_candidate(self, candidate: Candidate, now: float, stream: int = 0) -> bool:
        """Take one of the peer's candidates, host name resolved; return whether it is of use.

        One whose `username_fragment` is not the peer's current one is kept for credentials yet
        to come (bounded), and forgotten if they never do. May come before the credentials.

        Raises:
            ValueError: there is no such stream or component, or it `needs_resolution`.

        """
        self._check_component(stream, candidate.component)
        if candidate.needs_resolution:
            raise ValueError(f"{candidate.host_name} has yet to be resolved")
        current = self._current
        credentials = current.remote_credentials
        fragment = candidate.username_fragment
        if fragment is not None and (
            credentials is None or credentials.username_fragment != fragment
        ):
            previous = self._previous.remote_credentials if self._previous else None
            if previous is not None and previous.username_fragment == fragment:
                return False  # trickled late, for the generation before
            if not self._future.add(fragment, stream, candidate):
                self.counters.excess += 1
                return False
            return True
        if current.table.remote_ended:
            return False
        taken = current.add_remote(stream, candidate, now)
        self._update(now)
        return taken

    def end_of_remote_candidates(self, now: float) -> None:
        """Note that the peer has no more in this generation (RFC 8838 §14)."""
        self._current.table.remote_ended = True
        self._update(now)

    def restart(self, credentials: Credentials, now: float) -> None:
        """Begin a new generation with new credentials of ours (RFC 8445 §9).

        Local candidates are given anew (sockets may stay). The selected pairs stay in use, and
        their consent is checked, until the new generation selects pairs.

        Raises:
            ValueError: username fragment or password are those in use.

        """
        for used in self._generations:
            mine = used.local_credentials
            if (
                mine.username_fragment == credentials.username_fragment
                or mine.password == credentials.password
            ):
                raise ValueError("a restart needs new credentials (RFC 8445 §9)")
        # A restart amid a restart: what carries the data is still the generation before.
        if self._current.selection.keys or self._previous is None:
            self._previous = self._current
        self._previous.retire()
        self._previous_until = math.inf
        self._current = Generation(self._context, credentials)
        self._update(now)

    def close(self) -> None:
        """End it: nothing is sent or answered from now on."""
        self._context.take_outputs()
        self._context.selected.clear()
        self._progress.close()

    # The network

    def receive(self, data: bytes, base: Base, source: Address, now: float) -> bool:
        """Take a datagram, or a frame of a TCP connection; return whether it was STUN.

        What is not STUN is the shell's: application data, to be dropped unless
        `is_valid_source`. On TCP `base` is the candidate's the connection was opened from or
        accepted on, and `source` the connection's remote address.
        """
        if not data or data[0] > MAX_STUN_FIRST_BYTE or data[4:8] != MAGIC_COOKIE_BYTES:
            return False
        if self._is_closed:
            return True
        try:
            message = Message.decode(data)
        except DecodeError:
            self.counters.malformed += 1
            return True
        self._receive_message(message, base, source, now)
        self._update(now)
        return True

    def _receive_message(self, message: Message, base: Base, source: Address, now: float) -> None:
        counters = self.counters
        if message.method != Method.BINDING:
            counters.unexpected += 1
        elif message.message_class is MessageClass.REQUEST:
            self._server.receive(message, base, source, self._generations, now)
        elif message.message_class is not MessageClass.INDICATION:  # a keepalive has served
            for generation in self._generations:
                if generation.on_response(message, base, source, now):
                    return
            counters.unmatched_responses += 1

    def transport_failed(self, base: Base, destination: Address, now: float) -> None:
        """Note that sending to `destination` cannot work.

        A TCP connection that could not be opened or broke, a hard ICMP error (the shell
        judges whether to believe it, RFC 8445 §7.2.5.2.2), a refused TURN permission.
        """
        for generation in self._generations:
            generation.on_transport_failure(base, destination, now)
        self._update(now)

    def remove_local_base(self, base: Base, now: float) -> None:
        """Forget every candidate and pair of `base`: its interface or allocation is gone."""
        for generation in self._generations:
            generation.remove_base(base, now)
        self._update(now)

    def is_valid_source(self, base: Base, source: Address) -> bool:
        """Whether data from there may be given to the application. Runs per packet.

        True once a check of the pair was authenticated, in either direction (RFC 8445 §12.2).
        """
        if self._is_closed:
            return False
        for generation in self._generations:
            pair = generation.lists.find(base, source)
            if pair is not None and (pair.valid_local is not None or pair.requests_received):
                return True
        return False

    # Time

    def next_deadline(self) -> float | None:
        """Return when to call `on_deadline`, monotonic seconds; it may have passed already."""
        if self._is_closed:
            return None
        if not self._deadline_is_known:
            self._deadline = self._find_deadline()
            self._deadline_is_known = True
        return self._deadline

    def on_deadline(self, now: float) -> None:
        """Do what is due: checks, retransmissions, nomination, consent, keepalives, failing."""
        if self._is_closed:
            return
        for generation in self._generations:
            generation.on_deadline(now)
        if now >= self._previous_until:
            self._previous = None
            self._previous_until = math.inf
        self._update(now)

    def take_outputs(self) -> Sequence[Output]:
        """Return what is to be sent and what happened since the last call, in order."""
        return self._context.take_outputs()

    # Results

    def selected_pair(self, component: int = 1, stream: int = 0) -> SelectedPair | None:
        """Return the pair that data goes over, or None."""
        return self._context.selected.get((stream, component))

    def send_pair(self, component: int = 1, stream: int = 0) -> SelectedPair | None:
        """Return the selected pair, or the best valid one while none is selected.

        RFC 8445 §12.1: data may be sent on any valid pair before. None: nothing may be sent,
        as there is none yet or consent is lost.
        """
        selected = self._context.selected.get((stream, component))
        if selected is not None or self._context.settings.lite:
            return selected
        if self._is_closed:
            return None
        if self._current.selection.lost_at((stream, component)) is not None:
            return None
        newest = self._now - self._context.settings.consent_timeout
        valid = [
            pair
            for pair in self._current.lists.of_component(stream, component)
            if pair.is_valid and pair.last_response_at > newest
        ]
        return max(valid, key=lambda pair: pair.valid_priority).selected if valid else None

    def component_state(self, component: int = 1, stream: int = 0) -> AgentState:
        """Return where one component is.

        Raises:
            ValueError: there is no such stream or component.

        """
        self._check_component(stream, component)
        return self._progress.of((stream, component))

    def local_candidates(self, stream: int = 0) -> Sequence[Candidate]:
        """Return ours of the current generation, peer-reflexive ones included."""
        return tuple(self._current.table.local(stream))

    def remote_candidates(self, stream: int = 0) -> Sequence[Candidate]:
        """Return the peer's of the current generation, peer-reflexive ones included."""
        return tuple(self._current.table.remote(stream))

    def pair_statistics(self) -> Sequence[PairStatistics]:
        """Return a snapshot of every pair's of the current generation, stream after stream."""
        selected = self._context.selected
        return [pair.statistics(selected.get(pair.component_key)) for pair in self._current.lists]

    @property
    def _is_closed(self) -> bool:
        return self._progress.state is AgentState.CLOSED

    @property
    def _generations(self) -> tuple[Generation, ...]:
        return (self._current,) if self._previous is None else (self._current, self._previous)

    def _find_deadline(self) -> float | None:
        deadlines = [one.next_deadline(self._now) for one in self._generations]
        if self._previous is not None and self._previous_until != math.inf:
            deadlines.append(self._previous_until)
        deadlines.append(self._progress.next_deadline(self._current))
        return min((one for one in deadlines if one is not None), default=None)

    def _check_component(self, stream: int, component: int) -> None:
        if not self._progress.has((stream, component)):
            raise ValueError(f"there is no component {component} of stream {stream}")

    def _update(self, now: float) -> None:
        """Let the old generation go where the new one has taken over; tell of new states."""
        self._now = now
        self._deadline_is_known = False
        if self._is_closed:
            return
        previous, selection = self._previous, self._current.selection
        if previous is not None:
            for key in selection.keys:
                previous.selection.drop(key)
            if not previous.selection.keys:
                # The peer may still be on the old pair: its checks there are answered a while.
                self._previous_until = min(self._previous_until, now + PREVIOUS_GRACE)
        self._progress.update(self._current, previous, now)
