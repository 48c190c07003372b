"""Where a component, and with it the agent, is: a function of what the parts know.

RFC 8445 §6.1.2.1 and §8.1.2, RFC 8838 §8 and RFC 8863 (when to give up), by WebRTC's names.
"""

from __future__ import annotations

from collections.abc import Iterable

from ice_client.core.context import ComponentKey, Context
from ice_client.core.events import AgentState, ComponentStateChanged, StateChanged
from ice_client.core.generation import Generation
from ice_client.core.settings import Settings


class Progress:
    """The states of an agent and its components, as they were last told.

    Args:
        context: the agent's.

    Attributes:
        state: the agent's.

    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._components = dict.fromkeys(context.component_keys, AgentState.NEW)
        self.state = AgentState.NEW

    def has(self, key: ComponentKey) -> bool:
        """Whether there is such a component."""
        return key in self._components

    def of(self, key: ComponentKey) -> AgentState:
        """Return the state of a component."""
        return self._components[key]

    def update(self, current: Generation, previous: Generation | None, now: float) -> None:
        """Tell of what has changed."""
        settings = self._context.settings
        for key in self._components:
            self._set_component(key, component_state(key, current, previous, settings, now))
        self._set(agent_state(self._components.values()))

    def close(self) -> None:
        """Tell of the end."""
        for key in self._components:
            self._set_component(key, AgentState.CLOSED)
        self._set(AgentState.CLOSED)

    def next_deadline(self, current: Generation) -> float | None:
        """Return when a component fails if nothing comes."""
        failing = (
            failing_at(key, current, self._context.settings)
            for key, state in self._components.items()
            if state in {AgentState.NEW, AgentState.CHECKING}
        )
        return min((at for at in failing if at is not None), default=None)

    def _set_component(self, key: ComponentKey, state: AgentState) -> None:
        if self._components[key] is not state:
            self._components[key] = state
            self._context.emit(ComponentStateChanged(*key, state))

    def _set(self, state: AgentState) -> None:
        if self.state is not state:
            self.state = state
            self._context.emit(StateChanged(state))


def component_state(
    key: ComponentKey,
    current: Generation,
    previous: Generation | None,
    settings: Settings,
    now: float,
) -> AgentState:
    """Return the state of a component.

    Args:
        key: which.
        current: the current generation.
        previous: the one before a restart, while its selected pairs carry on.
        settings: the agent's.
        now: monotonic seconds.

    """
    for generation in (current, previous):
        if generation is not None and generation.selection.get(key) is not None:
            if generation.selection.is_disconnected(key, now):
                return AgentState.DISCONNECTED
            if generation is current and current.candidates_ended and not _is_busy(key, current):
                return AgentState.COMPLETED
            return AgentState.CONNECTED
    fails_at = failing_at(key, current, settings)
    if fails_at is not None and fails_at <= now:
        return AgentState.FAILED
    return AgentState.NEW if current.started_at is None else AgentState.CHECKING


def failing_at(key: ComponentKey, generation: Generation, settings: Settings) -> float | None:
    """Return when a component fails if nothing comes; None while a check may yet succeed."""
    if generation.selection.get(key) is not None or _is_busy(key, generation):
        return None
    lost_at = generation.selection.lost_at(key)
    if lost_at is not None:
        return lost_at
    if generation.started_at is None:
        return None
    # RFC 8863 §4: the peer's checks may still bring a path that ours could not find.
    at = generation.started_at + settings.patience
    # The controlled agent waits as long for a valid pair to be nominated, but not for ever.
    validated = [pair.validated_at for pair in generation.lists.of_component(*key) if pair.is_valid]
    if validated:
        at = max(at, max(validated) + settings.patience)
    # RFC 8838 §8: while candidates may come, there is no failing; but the end may be forgotten.
    if not generation.candidates_ended:
        at = max(at, generation.last_candidate_at + settings.trickle_timeout)
    return at


def agent_state(states: Iterable[AgentState]) -> AgentState:
    """Return the state of an agent whose components have these."""
    present = set(states)
    for state in (AgentState.FAILED, AgentState.DISCONNECTED):
        if state in present:
            return state
    if len(present) == 1:
        return present.pop()
    if present == {AgentState.CONNECTED, AgentState.COMPLETED}:
        return AgentState.CONNECTED
    return AgentState.CHECKING


def _is_busy(key: ComponentKey, generation: Generation) -> bool:
    """Whether a check of that component is to be sent or answered."""
    return any(
        pair.is_unfinished or pair.is_nominating for pair in generation.lists.of_component(*key)
    )
