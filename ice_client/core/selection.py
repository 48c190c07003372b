"""Nominated pairs, the selected pair of each component, and consent on it.

RFC 8445 §8.1 (concluding), §12.1 (sending), RFC 7675 (consent). A generation owns one.
"""

from __future__ import annotations

from ice_client.core.check_client import CheckClient
from ice_client.core.check_list_set import CheckListSet
from ice_client.core.consent import Consent
from ice_client.core.context import ComponentKey, Context
from ice_client.core.events import ConsentLost
from ice_client.core.pair import CandidatePair, PairKey
from ice_client.core.statistics import PairState
from stun import Message, MessageClass, Method


class Selection:
    """The selected pairs of one generation.

    Args:
        context: the agent's.
        lists: the generation's pairs.

    Attributes:
        client: sends consent checks; None before the peer's credentials are known, and always
            in a lite agent.
        keeps_checking: another pair may be nominated later, so pairs stay on the check list
            once one is selected (renomination); RFC 8445 §8.1.2 takes them off.
        revoked: 5-tuples on which consent was lost: these credentials serve there no more.
        is_unchecked: both agents are lite: nobody sends checks, so nobody consents.

    """

    def __init__(self, context: Context, lists: CheckListSet) -> None:
        self._context = context
        self._lists = lists
        self._pairs: dict[ComponentKey, CandidatePair] = {}
        self._consents: dict[ComponentKey, Consent] = {}
        self._lost_at: dict[ComponentKey, float] = {}
        self.revoked: set[PairKey] = set()
        self.client: CheckClient | None = None
        self.keeps_checking = False
        self.is_unchecked = False

    @property
    def keys(self) -> list[ComponentKey]:
        """The components that have a selected pair."""
        return list(self._pairs)

    def get(self, key: ComponentKey) -> CandidatePair | None:
        """Return the selected pair of a component."""
        return self._pairs.get(key)

    def lost_at(self, key: ComponentKey) -> float | None:
        """Return when the selected pair was lost without another to take its place."""
        return self._lost_at.get(key)

    def is_disconnected(self, key: ComponentKey, now: float) -> bool:
        """Whether the selected pair has had no answer for some seconds, or cannot be sent on."""
        consent = self._consents.get(key)
        return consent is not None and consent.is_disconnected(now)

    def nominate(self, pair: CandidatePair, now: float) -> None:
        """Note that a valid pair's nomination is complete, and select."""
        pair.is_nominated = True
        pair.is_nominating = pair.nominate_when_valid = False
        key = pair.component_key
        if self.is_disconnected(key, now):
            # The peer has nominated anew because the old path is dead; priority is no reason
            # to stay on it until consent runs out.
            self._select(key, pair, now)
        else:
            self._choose(key, now)

    def is_fresh(self, pair: CandidatePair, now: float) -> bool:
        """Whether a valid pair may be used as it is: the peer has consented to it just now.

        Consent is kept up on selected pairs alone; another one has to be checked again first.
        """
        settings = self._context.settings
        if self.is_unchecked or not settings.consent:
            return pair.is_valid
        return pair.is_valid and now - pair.last_response_at <= settings.consent_interval

    def renew(self, pair: CandidatePair, now: float) -> None:
        """Note that the peer consents to what comes over that pair, as it stands now."""
        key = pair.component_key
        if self._pairs.get(key) is pair:
            self._consents[key].renew(now)
            self._context.announce_selected(key, pair.selected)

    def doubt(self, pair: CandidatePair, now: float) -> None:
        """Note that a selected pair cannot be sent on as things are.

        A route may come back, so it stays selected until consent ends (RFC 7675), unless another
        pair is seen to work first and may be nominated in its place (renomination).
        """
        if self.keeps_checking:
            self._consents[pair.component_key].doubt(now)

    def remove(self, pair: CandidatePair, now: float) -> None:
        """Note that a pair is no more; if it was selected, nothing is sent on it again."""
        pair.invalidate()
        if self._pairs.get(pair.component_key) is pair:
            self._lose(pair, now)

    def drop(self, key: ComponentKey) -> None:
        """Stop using the selected pair, in silence: a newer generation has its own."""
        self._pairs.pop(key, None)
        self._consents.pop(key, None)

    def next_deadline(self) -> float | None:
        """Return when `on_deadline` has something to do, or a pair counts as disconnected."""
        return min((one.next_deadline() for one in self._consents.values()), default=None)

    def on_deadline(self, now: float) -> None:
        """Let consent expire; send consent checks and keepalives; look for substitutes."""
        for key, consent in list(self._consents.items()):
            pair = self._pairs[key]
            if consent.take_disconnection(now):
                # Its nomination goes on with each consent check, and must not hold another up.
                pair.is_nominating = False
                self._check_substitutes(key, now)
            if consent.is_expired(now):
                # RFC 7675 §5.1: only a restart can obtain consent there again. Answers go with
                # requests: so the peer notices too, and does not wait for us for ever.
                self.revoked.add(pair.key)
                pair.invalidate()
                self._lose(pair, now)
            elif consent.take_request(now) and self.client is not None:
                self.client.start_consent(pair, now)
            elif consent.take_keepalive(now):
                self._context.transmit(self._indication(), *pair.key)

    def _choose(self, key: ComponentKey, now: float) -> None:
        """Select the nominated pair that counts most (RFC 8445 §8.1.1), if there is one."""
        selected = self._pairs.get(key)
        nominated = [
            pair
            for pair in self._lists.of_component(*key)
            if pair.is_nominated and (pair is selected or self.is_fresh(pair, now))
        ]
        if nominated:
            best = max(nominated, key=lambda pair: (pair.nomination, pair.valid_priority))
            self._select(key, best, now)

    def _select(self, key: ComponentKey, pair: CandidatePair, now: float) -> None:
        old = self._pairs.get(key)
        if old is not pair:
            if old is not None and self.keeps_checking and self.is_disconnected(key, now):
                self._doom(old)
            self._pairs[key] = pair
            checks = not self.is_unchecked
            self._consents[key] = Consent(self._context, pair.last_response_at, now, checks)
            self._lost_at.pop(key, None)
            if not self.keeps_checking:
                self._conclude(key)
        self._context.announce_selected(key, pair.selected)

    def _conclude(self, key: ComponentKey) -> None:
        # RFC 8445 §8.1.2. What the peer has nominated and is not valid yet stays: it may be
        # what the peer, if it nominates aggressively, will use (§8.1.1).
        for pair in list(self._lists.of_component(*key)):
            if not pair.is_valid and not pair.nominate_when_valid:
                self._lists.remove(pair)
                if self.client is not None:
                    self.client.forget(pair)

    def _lose(self, pair: CandidatePair, now: float) -> None:
        key = pair.component_key
        del self._pairs[key], self._consents[key]
        if self.client is not None:
            self.client.forget(pair)
        announced = self._context.selected.get(key)
        if announced is not None and (announced.base, announced.destination) == pair.key:
            del self._context.selected[key]
            self._context.emit(ConsentLost(*key, announced))
        self._choose(key, now)
        if key not in self._pairs:
            self._lost_at[key] = now
            self._check_substitutes(key, now)

    def _check_substitutes(self, key: ComponentKey, now: float) -> None:
        """Check at once which of the pairs that were valid still are: one may be nominated."""
        if self.keeps_checking and self.client is not None:
            for pair in self._lists.of_component(*key):
                if pair.is_valid and pair is not self._pairs.get(key):
                    if pair.state is PairState.IN_PROGRESS:
                        self.client.cancel(pair, now)
                    self._lists.trigger(pair)

    def _doom(self, pair: CandidatePair) -> None:
        """Take a dead pair, the best there is, from the valid list; a check may bring it back."""
        pair.invalidate()
        if self.client is not None:
            self.client.forget(pair)
        self._lists.trigger(pair)

    def _indication(self) -> bytes:
        # RFC 8445 §11: FINGERPRINT, and nothing else.
        transaction_id = self._context.new_transaction_id()
        message = Message.build(Method.BINDING, MessageClass.INDICATION, transaction_id)
        return message.encode(fingerprint=True)
