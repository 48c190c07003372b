"""Relayed transport addresses that wait for who shows their token (RFC 8656 §7.2, EVEN-PORT)."""

from __future__ import annotations

import attrs

from turnd.core.tables import RelayedAddress


@attrs.frozen(slots=True)
class Reservation:
    """A port held for a later Allocate.

    Attributes:
        relayed: the address.
        realm: where it was asked for.
        owner: by whom, as quotas count; empty for nobody in particular.

    """

    relayed: RelayedAddress
    realm: str
    owner: str


class Reservations:
    """Every reservation by its token.

    Each counts for its owner's quota: who allocates, reserves and lets go of the allocation
    again would otherwise hold ever more ports.
    """

    def __init__(self) -> None:
        self._by_token: dict[bytes, Reservation] = {}
        self._per_user: dict[tuple[str, str], int] = {}

    def __len__(self) -> int:
        return len(self._by_token)

    def count_of_user(self, realm: str, owner: str) -> int:
        """Reservations that user has."""
        return self._per_user.get((realm, owner), 0)

    def add(self, token: bytes, reservation: Reservation) -> None:
        """Hold a reservation."""
        self._by_token[token] = reservation
        user = reservation.realm, reservation.owner
        self._per_user[user] = self._per_user.get(user, 0) + 1

    def take(self, token: bytes) -> RelayedAddress | None:
        """Let go of a reservation and return its address; None if no such token is held."""
        reservation = self._by_token.pop(token, None)
        if reservation is None:
            return None
        user = reservation.realm, reservation.owner
        self._per_user[user] -= 1
        if not self._per_user[user]:
            del self._per_user[user]
        return reservation.relayed
