"""One generation of a session: what lives from one ICE restart to the next (RFC 8445 §9).

It owns candidates, check lists, checks, nomination and selection, and holds the procedures that
touch several of them: forming pairs (§6.1.2), what a check's end means (§7.2.5) and what a request
of the peer's means (§7.3.1).
"""

from __future__ import annotations

from collections.abc import Iterator

from ice_client.core.candidate import Base, Candidate, CandidateType, Transport
from ice_client.core.candidate_table import CandidateTable
from ice_client.core.check_client import Check, CheckClient, Outcome, Result
from ice_client.core.check_list_set import CheckListSet
from ice_client.core.context import Context
from ice_client.core.credentials import Credentials
from ice_client.core.events import PairValidated, PeerReflexiveDiscovered
from ice_client.core.nomination import Nominator
from ice_client.core.pacing import Pacing
from ice_client.core.pair import CandidatePair
from ice_client.core.pairing import can_pair
from ice_client.core.peer_request import PeerRequest
from ice_client.core.selection import Selection
from ice_client.core.statistics import PairState
from stun import Address, Message

MAX_EARLY_REQUESTS = 32
"""Requests that are answered, and kept to act on once the peer's credentials are known."""


class Generation:
    """One generation.

    Args:
        context: the agent's.
        credentials: ours.

    """

    def __init__(self, context: Context, credentials: Credentials) -> None:
        settings = context.settings
        self._context = context
        self.local_credentials = credentials
        self.remote_credentials: Credentials | None = None
        self.table = CandidateTable(len(settings.components), settings.max_remote_candidates)
        self.lists = CheckListSet(len(settings.components), settings.max_pairs)
        self.selection = Selection(context, self.lists)
        self.started_at: float | None = None
        self.last_candidate_at = 0.0
        self._nominator = Nominator(context, self.lists, self.selection)
        self._client: CheckClient | None = None
        self._early: list[PeerRequest] = []
        self._is_retired = False
        self._pacing = Pacing(self.lists, settings.ta)

    @property
    def candidates_ended(self) -> bool:
        """Whether neither side has more candidates."""
        return self.table.local_ended and self.table.remote_ended

    # Candidates and credentials

    def set_remote_credentials(
        self, credentials: Credentials, now: float, *, lite: bool, renomination: bool
    ) -> None:
        """Learn the peer's credentials: checks may start, and early requests count."""
        context = self._context
        self.remote_credentials = credentials
        self.started_at = self.last_candidate_at = now
        if context.settings.lite:
            self.selection.is_unchecked = lite
            self._form_unchecked()
        else:
            self._client = CheckClient(context, self.local_credentials, credentials)
            self.selection.client = self._client
            self.selection.keeps_checking = renomination and context.settings.renomination
        self._replay_early(now)

    def add_local(self, stream: int, candidate: Candidate, now: float) -> bool:
        """Take a candidate of ours and pair it."""
        if not self.table.add_local(stream, candidate):
            return False
        self.last_candidate_at = now
        for remote in list(self.table.remote(stream)):
            self._form_pair(stream, candidate, remote)
        self._replay_early(now)
        return True

    def add_remote(self, stream: int, candidate: Candidate, now: float) -> bool:
        """Take a candidate of the peer's and pair it."""
        known = self.table.find_remote(stream, candidate)
        if known is not None:
            if known.type is not CandidateType.PEER_REFLEXIVE:
                return False
            # RFC 8445 §7.3.1.3: signalling tells the actual foundation, type and priority.
            self.table.replace_remote(stream, known, candidate)
            self.lists.replace_remote(known, candidate, self._context.role)
        elif not self.table.add_remote(stream, candidate):
            self._context.counters.excess += 1
            return False
        self.last_candidate_at = now
        for local in list(self.table.local(stream)):
            self._form_pair(stream, local, candidate)
        return True

    def remove_base(self, base: Base, now: float) -> None:
        """Forget candidates and pairs of a base."""
        self.table.remove_base(base)
        gone = [pair for pair in self.lists if pair.local.base == base]
        for pair in gone:
            self._forget(pair)
        # Only then: losing the selected one has others chosen, and what is left over forgotten.
        for pair in gone:
            self.selection.remove(pair, now)

    def retire(self) -> None:
        """Stop checks, there being a newer generation; the selected pairs carry on."""
        self._is_retired = True
        for pair in list(self.lists):
            if self.selection.get(pair.component_key) is not pair:
                self._forget(pair)
        self._early.clear()

    def change_role(self) -> None:
        """Recompute what depends on our role, which has changed; drop what the old one began."""
        self.lists.compute_priorities(self._context.role)
        for pair in self.lists:
            pair.is_nominating = pair.nominate_when_valid = False

    def _form_pair(self, stream: int, local: Candidate, remote: Candidate) -> None:
        if not can_pair(local, remote) or local.type is CandidateType.PEER_REFLEXIVE:
            return
        if self._context.settings.lite and not self.selection.is_unchecked:
            return  # a lite agent's pairs are those that the peer checks (RFC 8445 §7.3.2)
        if self.selection.get((stream, local.component)) and not self.selection.keeps_checking:
            return  # concluded (RFC 8445 §8.1.2)
        self.lists.add(stream, local, remote, self._context.role)

    def _form_unchecked(self) -> None:
        """Pair what two lite agents had of candidates before they knew that both are lite."""
        for stream in range(len(self._context.settings.components)):
            for local in self.table.local(stream):
                for remote in self.table.remote(stream):
                    self._form_pair(stream, local, remote)

    def _forget(self, pair: CandidatePair) -> None:
        self.lists.remove(pair)
        if self._client is not None:
            self._client.forget(pair)

    # Time

    def next_deadline(self, now: float) -> float | None:
        """Return when `on_deadline` has something to do."""
        deadlines = [self.selection.next_deadline()]
        if self._client is not None:
            deadlines.append(self._client.next_deadline())
        if not self._is_retired:
            deadlines += self._next_checks(now)
        return min((one for one in deadlines if one is not None), default=None)

    def _next_checks(self, now: float) -> Iterator[float | None]:
        yield self._nominator.next_deadline(now, candidates_ended=self.candidates_ended)
        if self._client is not None:
            yield from self._pacing.deadlines()
        if self._unchecked_choices():
            yield now

    def on_deadline(self, now: float) -> None:
        """Do what is due."""
        if self._client is not None:
            for check in self._client.on_deadline(now):
                self._on_failure(check)
        self.selection.on_deadline(now)
        if self._is_retired:
            return
        self._nominator.on_deadline(now, candidates_ended=self.candidates_ended)
        if self._client is not None:
            self._pacing.on_deadline(self._client, now)
        for pair in self._unchecked_choices():
            self._validate(pair, pair.local, now)
            self.selection.nominate(pair, now)

    def _unchecked_choices(self) -> list[CandidatePair]:
        """Return what is to be selected between two lite agents: nothing is checked (§8.2)."""
        if not self.selection.is_unchecked or not self.candidates_ended:
            return []
        keys = (key for key in self._context.component_keys if self.selection.get(key) is None)
        best = (next(self.lists.of_component(*key), None) for key in keys)
        return [pair for pair in best if pair is not None]

    # What a check's end means (RFC 8445 §7.2.5)

    def on_response(self, message: Message, base: Base, source: Address, now: float) -> bool:
        """Take a response; return whether it was to a check of this generation."""
        result = None
        if self._client is not None:
            result = self._client.receive(message, base, source, now)
        if result is None:
            return False
        self._on_result(result, now)
        return True

    def _on_result(self, result: Result, now: float) -> None:
        pair = result.check.pair
        if self.lists.find(*pair.key) is not pair:
            return  # it was dropped meanwhile
        if result.outcome is Outcome.ROLE_CONFLICT:
            self._on_role_conflict(result.check)
        elif result.outcome is Outcome.FAILURE or result.mapped is None:
            if not result.check.is_consent:
                self._on_failure(result.check)
        elif result.check.is_consent:
            pair.last_response_at = now
            # A NAT may have given us another address; both ends go on, and should say the same.
            self._validate(pair, self._local_of(pair, result.mapped), now)
            self.selection.renew(pair, now)
        else:
            self._on_success(result.check, result.mapped, now)

    def on_transport_failure(self, base: Base, destination: Address, now: float) -> None:
        """Fail the pair of a 5-tuple where sending cannot work.

        Of the selected pair consent is the judge, as a route may come back; a TCP connection that
        broke is gone. Nor can a pair be nominated that cannot be sent on: another one must be,
        now and not when the check that nominates has timed out.
        """
        pair = self.lists.find(base, destination)
        if pair is None:
            return
        if self.selection.get(pair.component_key) is pair and not base.transport.is_tcp:
            self.selection.doubt(pair, now)
            return
        if self._client is not None:
            self._client.forget(pair)
        self.lists.discard_triggered(pair)
        self.selection.remove(pair, now)

    def _on_success(self, check: Check, mapped: Address, now: float) -> None:
        pair = check.pair
        pair.last_response_at = now
        self._validate(pair, self._local_of(pair, mapped), now)
        self.lists.unfreeze_foundation(pair.foundation)
        nominated = pair.is_nominating and check.use_candidate
        if nominated or pair.nominate_when_valid:
            self.selection.nominate(pair, now)
        self.selection.renew(pair, now)
        if pair.is_nominating:
            return  # the check that nominates is still to be sent, or to be answered
        pair.state = PairState.SUCCEEDED
        self.lists.discard_triggered(pair)

    def _on_failure(self, check: Check) -> None:
        pair = check.pair
        if check.cancelled_until is not None or self.lists.find(*pair.key) is not pair:
            return
        if self.selection.get(pair.component_key) is pair:
            # Consent decides, and its checks nominate too.
            pair.is_nominating = False
            pair.state = PairState.SUCCEEDED
            return
        nominated = pair.is_nominating and check.use_candidate
        if nominated or pair.nominate_when_valid:
            # RFC 8445 §7.2.5.3.4 fails the whole check list with it. But where another pair is
            # valid, nominating that one is all that the peer needs to go on.
            pair.invalidate()
        elif pair.state is PairState.IN_PROGRESS:
            pair.invalidate()

    def _on_role_conflict(self, check: Check) -> None:
        # RFC 8445 §7.2.5.1. Of several checks sent in the old role the first answer switches;
        # what the peer says to consent checks of a generation that is past does not.
        if check.role is self._context.role and not self._is_retired:
            self._context.switch_role(new_tie_breaker=True)
            self.change_role()
        if not check.is_consent and not check.pair.is_valid:
            self.lists.trigger(check.pair)
        elif not check.is_consent:
            check.pair.state = PairState.SUCCEEDED

    def _local_of(self, pair: CandidatePair, mapped: Address) -> Candidate:
        """Return the local candidate of the valid pair (RFC 8445 §7.2.5.3.1 and .2)."""
        base = pair.local.base
        sender = self.table.sender(pair.stream, base) or pair.local
        if base.transport is Transport.TCP_ACTIVE:
            # RFC 6544 §7.2: the connection's own port is all that is new.
            return sender
        known = self.table.find_local(pair.stream, base, mapped)
        if known is not None:
            return known
        candidate = self.table.learn_local(pair.stream, sender, mapped)
        self._context.emit(PeerReflexiveDiscovered(pair.stream, candidate, is_local=True))
        return candidate

    def _validate(self, pair: CandidatePair, local: Candidate, now: float) -> None:
        is_new = not pair.is_valid
        pair.valid_local = local
        pair.state = PairState.SUCCEEDED
        pair.compute_priority(self._context.role)
        if is_new:
            pair.validated_at = now
            self._context.emit(PairValidated(*pair.component_key, pair.selected))

    # What a request of the peer's means (RFC 8445 §7.3.1.3 to §7.3.2)

    def is_foreign(self, username_fragment: str, base: Base, source: Address) -> bool:
        """Whether a request is of another session of the peer's, or another generation of this one.

        Nothing can come of it, as we do not know that one's password. Not where there is a pair:
        peers may check the consent to an old path with what is new. Nor before we know the peer's
        credentials, when RFC 8445 §7.3 has every request answered. Later, too, its words call our
        half of the name enough; but a peer that has told us its own (§7.2.2 has it in each name)
        and goes by it is never meant by this, and one that does not is not helped by an answer.
        """
        remote = self.remote_credentials
        return (
            remote is not None
            and remote.username_fragment != username_fragment
            and self.lists.find(base, source) is None
        )

    def on_request(self, request: PeerRequest, now: float) -> None:
        """Act on a request that was answered with success."""
        stream = self.table.stream_of(request.base)
        if self.remote_credentials is None or stream is None:
            if len(self._early) < MAX_EARLY_REQUESTS:
                self._early.append(request)
            else:
                self._context.counters.excess += 1
            return
        if request.username_fragment != self.remote_credentials.username_fragment:
            return  # of another session of the peer's: see `is_foreign`
        # The peer may be on the old path for a while, and nominate it with each consent check:
        # once there is a newer generation that is answered, and means nothing.
        if self._is_retired:
            old = self.lists.find(request.base, request.source)
            if old is not None and self._context.settings.lite:
                self.selection.renew(old, now)
            return
        pair = self._pair_of(stream, request)
        if pair is None:
            self._context.counters.excess += 1
            return
        pair.last_request_at = now
        pair.requests_received += 1
        pair.responses_sent += 1
        lite = self._context.settings.lite
        nominates = request.use_candidate and (lite or not self._context.is_controlling)
        if nominates and self._context.settings.renomination:
            pair.nomination = max(pair.nomination, request.nomination)
        if lite:
            self._on_request_to_lite(pair, nominates, now)
        elif pair.is_valid and not nominates:
            # In-Progress means that our nomination has had no answer yet, while the peer is
            # there: a new check may have more luck than the rest of the old one's (§7.3.1.4).
            if pair.state is PairState.IN_PROGRESS:
                self._trigger(pair, now)
        elif self.selection.is_fresh(pair, now) or self.selection.get(pair.component_key) is pair:
            self.selection.nominate(pair, now)
        else:
            pair.nominate_when_valid |= nominates
            self._trigger(pair, now)

    def _on_request_to_lite(self, pair: CandidatePair, nominates: bool, now: float) -> None:
        pair.last_response_at = now
        pair.state = PairState.SUCCEEDED  # there is no check of ours to come
        if nominates:
            self._validate(pair, pair.local, now)
            self.selection.nominate(pair, now)
        self.selection.renew(pair, now)

    def _trigger(self, pair: CandidatePair, now: float) -> None:
        """Enqueue a triggered check (RFC 8445 §7.3.1.4)."""
        if pair.state is PairState.IN_PROGRESS and self._client is not None:
            self._client.cancel(pair, now)
        self.lists.trigger(pair)

    def _pair_of(self, stream: int, request: PeerRequest) -> CandidatePair | None:
        """Find or make the pair that a request came over; None if there are too many."""
        pair = self.lists.find(request.base, request.source)
        local = self.table.sender(stream, request.base)
        if pair is not None or local is None:
            return pair
        learned = Candidate(
            foundation=self.table.unused_foundation(stream),
            component=local.component,
            transport=local.transport.counterpart,
            priority=request.priority,
            address=request.source,
            type=CandidateType.PEER_REFLEXIVE,
        )
        remote = self.table.find_remote(stream, learned)
        if remote is None:
            if not self.table.add_remote(stream, learned):
                return None
            remote = learned
            self._context.emit(PeerReflexiveDiscovered(stream, remote, is_local=False))
        return self.lists.add(stream, local, remote, self._context.role)

    def _replay_early(self, now: float) -> None:
        if self.remote_credentials is None:
            return
        early, self._early = self._early, []
        for request in early:
            self.on_request(request, now)
