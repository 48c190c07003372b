"""What the parts of one agent share: role, settings, randomness, the queue of outputs."""

from __future__ import annotations

from ice_client.core.candidate import Base
from ice_client.core.credentials import RandomBytes
from ice_client.core.events import (
    Event,
    Output,
    PairSelected,
    Role,
    RoleChanged,
    SelectedPair,
    Transmit,
)
from ice_client.core.settings import Settings
from ice_client.core.statistics import AgentCounters
from stun import Address
from stun.constants import TRANSACTION_ID_SIZE

ComponentKey = tuple[int, int]
"""A stream, from 0, and a component of it, from 1."""


class Context:
    """Shared by an agent's generations; see `IceAgent` for the arguments.

    Attributes:
        role: ours now.
        tie_breaker: ours now; changed when we lose a role conflict.
        selected: per component, the pair that was announced as selected and not lost since.

    """

    def __init__(
        self,
        role: Role,
        random_bytes: RandomBytes,
        settings: Settings,
        tie_breaker: int | None,
    ) -> None:
        self.role = role
        self.random_bytes = random_bytes
        self.settings = settings
        self.tie_breaker = self._draw_tie_breaker() if tie_breaker is None else tie_breaker
        self.counters = AgentCounters()
        self.selected: dict[ComponentKey, SelectedPair] = {}
        self._outputs: list[Output] = []

    @property
    def is_controlling(self) -> bool:
        """Whether we are the controlling agent."""
        return self.role is Role.CONTROLLING

    @property
    def component_keys(self) -> list[ComponentKey]:
        """Every component of every stream."""
        return [
            (stream, component)
            for stream, count in enumerate(self.settings.components)
            for component in range(1, count + 1)
        ]

    def emit(self, event: Event) -> None:
        """Queue an event."""
        self._outputs.append(event)

    def transmit(self, data: bytes, base: Base, destination: Address) -> None:
        """Queue a datagram."""
        self._outputs.append(Transmit(data, base, destination))

    def take_outputs(self) -> list[Output]:
        """Return what is queued, and queue it no more."""
        outputs, self._outputs = self._outputs, []
        return outputs

    def announce_selected(self, key: ComponentKey, pair: SelectedPair) -> None:
        """Say that data goes over `pair`, if that is news."""
        previous = self.selected.get(key)
        if pair != previous:
            self.selected[key] = pair
            self.emit(PairSelected(*key, pair, previous))

    def new_transaction_id(self) -> bytes:
        """Draw a transaction id."""
        return self.random_bytes(TRANSACTION_ID_SIZE)

    def switch_role(self, *, new_tie_breaker: bool = False) -> None:
        """Take the other role (RFC 8445 §7.3.1.1; §7.2.5.1 wants a new tie-breaker too)."""
        self.role = self.role.opposite
        if new_tie_breaker:
            self.tie_breaker = self._draw_tie_breaker()
        self.emit(RoleChanged(self.role))

    def vary(self, interval: float) -> float:
        """Return the interval, varied by 0.8 to 1.2 (RFC 7675 §5.1)."""
        return interval * (0.8 + 0.4 * int.from_bytes(self.random_bytes(4), "big") / 0xFFFFFFFF)

    def _draw_tie_breaker(self) -> int:
        return int.from_bytes(self.random_bytes(8), "big")
