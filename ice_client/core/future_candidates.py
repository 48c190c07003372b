"""Candidates that were trickled before the credentials that they belong to (RFC 8838 §11).

Signalling may overtake itself around a restart: the username fragment in a candidate tells
which generation of the peer's it is of.
"""

from __future__ import annotations

from ice_client.core.candidate import Candidate

MAX_HELD = 100


class FutureCandidates:
    """Holds candidates by the peer's username fragment, `MAX_HELD` in all."""

    def __init__(self) -> None:
        self._held: list[tuple[str, int, Candidate]] = []

    def add(self, username_fragment: str, stream: int, candidate: Candidate) -> bool:
        """Hold one; return False if there are too many."""
        if len(self._held) >= MAX_HELD:
            return False
        self._held.append((username_fragment, stream, candidate))
        return True

    def take(self, username_fragment: str) -> list[tuple[int, Candidate]]:
        """Return those of that username fragment, and forget all others: theirs never came."""
        held, self._held = self._held, []
        return [(stream, one) for fragment, stream, one in held if fragment == username_fragment]
