"""Our candidates on their way to the peer: none before the description that they belong to."""

from __future__ import annotations

from collections.abc import Collection

from ice_client.broadcast import Broadcast, Subscription
from webrtc.signalling import IceCandidate


class LocalCandidates:
    """The candidates of all transports, for readers who come early or late.

    What is found while a description is being set is kept back until that is done: a program
    tells the peer the description then, and the candidates after it.
    """

    def __init__(self) -> None:
        self._told: list[IceCandidate] = []
        self._held: list[IceCandidate] | None = None
        self._ended: set[str] = set()
        self._news: Broadcast[IceCandidate] = Broadcast()

    def add(self, candidate: IceCandidate) -> None:
        """Take a candidate, or the end of a generation."""
        if not candidate.candidate:
            self._ended.add(candidate.username_fragment or "")
        if self._held is not None:
            self._held.append(candidate)
        else:
            self._told.append(candidate)
            self._news.publish(candidate)

    def hold(self) -> None:
        """Keep back what is found from now on."""
        self._held = self._held or []

    def release(self) -> None:
        """Tell what was kept back."""
        held, self._held = self._held or [], None
        for candidate in held:
            self._told.append(candidate)
            self._news.publish(candidate)

    def keep(self, username_fragments: Collection[str]) -> None:
        """Forget what is not of these generations."""
        self._told = [each for each in self._told if each.username_fragment in username_fragments]
        self._ended &= set(username_fragments)

    def is_complete(self, username_fragments: Collection[str]) -> bool:
        """Whether each of these generations has ended."""
        return self._ended >= set(username_fragments)

    def subscribe(self) -> Subscription[IceCandidate]:
        """Return an async iterator over what was told of the generations in use, and what will."""
        reader = self._news.subscribe()
        for candidate in self._told:
            reader.put(candidate)
        return reader

    def close(self) -> None:
        """End every iterator."""
        self._news.close()
