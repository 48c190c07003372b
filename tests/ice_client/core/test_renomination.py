"""With renomination: what takes the place of a selected pair that is dead, and how soon."""

from __future__ import annotations

import attrs
import pytest

from ice_client.core import AgentState, Base, IceAgent, Role, Settings, Transmit
from ice_client.core.check_client import NOMINATION
from ice_client.core.pair import PairKey
from stun import Message
from tests.ice_client.core.foreign import (
    HOST,
    OTHER_PEER,
    PEER,
    THEIRS,
    agent,
    answer,
    host,
    is_request,
    nominates,
    sent,
    state,
)

FIRST = Base(HOST)
SECOND = Base(HOST.with_port(5001))
BEST, CROSSED, STRAIGHT = (FIRST, PEER), (SECOND, PEER), (SECOND, OTHER_PEER)
AT_ONCE = 1.0
"""Seconds for a few checks; consent lasts thirty."""


@attrs.define
class Paths:
    """What becomes of what an agent sends, as time goes on.

    Attributes:
        one: the agent.
        leading: the 5-tuples that lead to the peer.
        without_route: those on which sending fails, and the shell says so.
        nominations: those that were answered, with their numbers.
        now: seconds.

    """

    one: IceAgent
    leading: set[PairKey]
    without_route: set[PairKey] = attrs.field(factory=set)
    nominations: list[tuple[PairKey, int | None]] = attrs.field(factory=list)
    now: float = 0.0

    def play(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now + seconds
        while self.now < until:
            self.now += 0.05
            self.one.on_deadline(self.now)
            while transmits := sent(self.one):
                for transmit in transmits:
                    self._carry(transmit)

    def _carry(self, transmit: Transmit) -> None:
        way = transmit.base, transmit.destination
        if way in self.without_route:
            self.one.transport_failed(*way, self.now)
        elif way in self.leading and is_request(transmit):
            if nominates(transmit):
                self.nominations.append((way, Message.decode(transmit.data).get(NOMINATION)))
            self.one.receive(answer(transmit), *way, self.now)

    @property
    def selected(self) -> PairKey | None:
        pair = self.one.selected_pair()
        return (pair.base, pair.destination) if pair else None


def paths(*leading: PairKey, renomination: bool = True) -> Paths:
    """Make a controlling agent with two bases, whose peer has two addresses."""
    one = agent(Role.CONTROLLING, Settings(renomination=True), started=False)
    one.add_local_candidate(host(SECOND.address, preference=1, foundation="2"), 0.0)
    one.set_remote_credentials(THEIRS, 0.0, renomination=renomination)
    one.add_remote_candidate(host(PEER, preference=200, foundation="a"), 0.0)
    one.add_remote_candidate(host(OTHER_PEER, preference=100, foundation="b"), 0.0)
    return Paths(one, set(leading))


def test_a_pair_returned_to_that_has_no_route_gives_way_to_one_that_works() -> None:
    """With an own address goes its subnet's route, which the other address had used as well."""
    net = paths(CROSSED)
    net.play(AT_ONCE)
    assert net.selected == CROSSED
    net.leading |= {BEST, STRAIGHT}
    net.play(10.0)
    assert net.selected == BEST
    net.one.remove_local_base(FIRST, net.now)
    assert net.selected in {CROSSED, None}
    net.without_route.add(CROSSED)
    net.play(AT_ONCE)
    assert net.selected == STRAIGHT
    numbers = [number for way, number in net.nominations if way == STRAIGHT]
    assert numbers[-1] == max(number or 0 for _, number in net.nominations)


def test_a_selected_pair_whose_route_goes_gives_way_when_that_is_seen() -> None:
    net = paths(BEST, STRAIGHT)
    net.play(10.0)
    assert net.selected == BEST
    net.without_route.add(BEST)
    net.play(6.5)  # until the next consent check
    assert net.selected == STRAIGHT
    assert state(net.one) is AgentState.CONNECTED


def test_a_selected_pair_without_answers_gives_way_long_before_consent_ends() -> None:
    net = paths(BEST, STRAIGHT)
    net.play(10.0)
    net.leading.remove(BEST)
    net.play(13.0)  # seven seconds at most to the first answer missed, five to be sure
    assert net.selected == STRAIGHT


def test_a_better_pair_that_was_dead_for_a_while_is_returned_to() -> None:
    net = paths(BEST, STRAIGHT)
    net.play(10.0)
    net.leading.remove(BEST)
    net.play(13.0)
    assert net.selected == STRAIGHT
    net.leading.add(BEST)
    net.play(20.0)
    assert net.selected == BEST


@pytest.mark.parametrize("renomination", [True, False])
def test_where_nothing_else_works_a_pair_without_route_is_kept_until_consent_ends(
    renomination: bool,
) -> None:
    net = paths(BEST, renomination=renomination)
    net.play(10.0)
    net.without_route.add(BEST)
    net.play(20.0)
    assert net.selected == BEST
    net.without_route.clear()
    net.play(10.0)
    assert net.selected == BEST
    assert state(net.one) is not AgentState.DISCONNECTED
    net.without_route.add(BEST)
    net.play(40.0)
    assert net.selected is None


def test_without_renomination_a_working_pair_does_not_take_the_place_of_one_without_route() -> None:
    """RFC 8445 §8.1.1 allows no other nomination: the two would not agree."""
    net = paths(BEST, STRAIGHT, renomination=False)
    net.play(10.0)
    net.without_route.add(BEST)
    net.play(20.0)
    assert net.selected == BEST


def test_each_component_counts_its_nominations_by_itself() -> None:
    """Else each component's would make the other's look outdated, without an end."""
    settings = Settings(renomination=True, components=(2,))
    one = agent(Role.CONTROLLING, settings, started=False)
    one.add_local_candidate(host(SECOND.address, component=2), 0.0)
    one.set_remote_credentials(THEIRS, 0.0, renomination=True)
    for component, peer in enumerate((PEER, OTHER_PEER), start=1):
        one.add_remote_candidate(host(peer, component=component), 0.0)
    net = Paths(one, {BEST, STRAIGHT})
    net.play(AT_ONCE)
    assert net.nominations == [(BEST, 1), (STRAIGHT, 1)]
    assert {pair.is_selected for pair in one.pair_statistics()} == {True}
