"""What an agent shows of itself: its states one after another, and its statistics."""

from __future__ import annotations

import attrs
import trio

from ice_client.broadcast import Subscription
from ice_client.core import AgentCounters, AgentState, Event, PairStatistics, StateChanged
from ice_client.session import Traffic


@attrs.frozen(slots=True)
class PairStats:
    """A pair's checks, and the application's traffic on it."""

    checks: PairStatistics
    traffic: Traffic


@attrs.frozen(slots=True)
class AgentStats:
    """An agent at a moment.

    Attributes:
        pairs: in order of priority, of all streams.
        counters: input that was dropped.
        packets_dropped: by (stream, component), what `receive` was called too late for.

    """

    pairs: tuple[PairStats, ...]
    counters: AgentCounters
    packets_dropped: dict[tuple[int, int], int]


class States:
    """An async iterator over states; made by `Agent.states`."""

    def __init__(self, first: AgentState, events: Subscription[Event]) -> None:
        self._first: AgentState | None = first
        self._events = events

    def __aiter__(self) -> States:
        return self

    async def __anext__(self) -> AgentState:
        if self._first is not None:
            await trio.lowlevel.checkpoint()
            state, self._first = self._first, None
            return state
        async for event in self._events:
            if isinstance(event, StateChanged):
                return event.state
        raise StopAsyncIteration
