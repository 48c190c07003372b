"""Consent to send on a selected pair, and its keepalives (RFC 7675 §5.1, RFC 8445 §11).

Times only: sending is the selection's. Whatever data flows, nothing but answers to consent
checks keeps consent alive.
"""

from __future__ import annotations

import math

from ice_client.core.context import Context


class Consent:
    """Consent on one pair.

    A full agent asks for it. A lite one sends no requests; it takes the peer's authentic ones
    for consent, which a peer that follows RFC 7675 repeats as often.

    Args:
        context: the agent's.
        answered_at: when the peer last answered a check of the pair.
        now: monotonic seconds.
        is_checked: whether either agent sends checks at all.

    """

    def __init__(self, context: Context, answered_at: float, now: float, is_checked: bool) -> None:
        self._context = context
        self._settings = context.settings
        self._needed = self._settings.consent and is_checked
        self._asks = self._needed and not self._settings.lite
        self._answered_at = answered_at
        self._doubted_at = math.inf
        self._is_told = False
        self._next_request_at = now + context.vary(self._settings.consent_interval)
        self._next_keepalive_at = now + self._settings.keepalive_interval

    def renew(self, now: float) -> None:
        """Note an answer, or for a lite agent a request."""
        self._answered_at = max(self._answered_at, now)
        self._doubted_at = math.inf
        self._is_told = False

    def doubt(self, now: float) -> None:
        """Note that nothing can be sent: answers will be missing, which need not be awaited."""
        self._doubted_at = min(self._doubted_at, now)

    def is_disconnected(self, now: float) -> bool:
        """Whether answers have been missing for some seconds, or cannot come."""
        return self._needed and now >= self._disconnected_at

    def take_disconnection(self, now: float) -> bool:
        """Whether it is disconnected, and this has not been told since the last answer."""
        if self._is_told or not self.is_disconnected(now):
            return False
        self._is_told = True
        return True

    def is_expired(self, now: float) -> bool:
        """Whether nothing may be sent any more."""
        return self._needed and now >= self._expires_at

    def take_request(self, now: float) -> bool:
        """Whether a consent check is to be sent now; if so, the next is scheduled."""
        if not self._asks or now < self._next_request_at:
            return False
        self._next_request_at = now + self._context.vary(self._settings.consent_interval)
        return True

    def take_keepalive(self, now: float) -> bool:
        """Whether a Binding indication is to be sent now: only where no consent is asked for."""
        if self._asks or now < self._next_keepalive_at:
            return False
        self._next_keepalive_at = now + self._settings.keepalive_interval
        return True

    def next_deadline(self) -> float:
        """Return when one of the above changes."""
        deadlines = [self._next_request_at if self._asks else self._next_keepalive_at]
        if self._needed:
            deadlines.append(self._expires_at)
            if not self._is_told:
                deadlines.append(self._disconnected_at)
        return min(deadlines)

    @property
    def _disconnected_at(self) -> float:
        return min(self._answered_at + self._settings.disconnected_after, self._doubted_at)

    @property
    def _expires_at(self) -> float:
        return self._answered_at + self._settings.consent_timeout
