"""Who nominates what, when, and what is selected (RFC 8445 §8.1)."""

import pytest

from ice_client.core import (
    AgentState,
    Base,
    ConsentLost,
    IceAgent,
    PairSelected,
    Role,
    Settings,
)
from ice_client.core.check_client import NOMINATION
from stun import Address, Message, attributes
from tests.ice_client.core.foreign import (
    HOST,
    OTHER_PEER,
    PEER,
    THEIRS,
    TIE_BREAKER,
    agent,
    answer,
    connect,
    events,
    host,
    is_request,
    nominates,
    request,
    run,
    sent,
    state,
)

BASE = Base(HOST)
BEST = Address.parse("192.0.2.9", 7000)


def selected(one: IceAgent) -> Address | None:
    pair = one.selected_pair()
    return pair.destination if pair else None


def with_two_remotes(role: Role, settings: Settings | None = None) -> IceAgent:
    one = agent(role, settings)
    one.add_remote_candidate(host(BEST, preference=200, foundation="a"), 0.0)
    one.add_remote_candidate(host(PEER, preference=100, foundation="b"), 0.0)
    return one


def test_the_best_valid_pair_is_nominated_at_once_if_nothing_better_is_under_way() -> None:
    one = with_two_remotes(Role.CONTROLLING)
    one.on_deadline(0.0)
    (check,) = sent(one)
    assert check.destination == BEST
    one.receive(answer(check), BASE, BEST, 0.01)
    one.on_deadline(0.01)
    (nomination,) = sent(one)
    assert nomination.destination == BEST
    assert nominates(nomination)
    assert selected(one) is None
    one.receive(answer(nomination), BASE, BEST, 0.02)
    assert selected(one) == BEST


@pytest.mark.parametrize(("round_trip_time", "wait"), [(0.01, 0.04), (0.04, 0.16), (0.4, 0.2)])
def test_a_better_pair_under_way_is_waited_for_but_not_long(
    round_trip_time: float, wait: float
) -> None:
    one = with_two_remotes(Role.CONTROLLING)
    checks = {check.destination: check for _, check in run(one, 0.06)}
    assert set(checks) == {BEST, PEER}
    valid_at = 0.05 + round_trip_time
    one.receive(answer(checks[PEER]), BASE, PEER, valid_at)
    done = [(at, check) for at, check in run(one, 1.0) if nominates(check)]
    assert [check.destination for _, check in done[:1]] == [PEER]
    assert done[0][0] == pytest.approx(valid_at + wait)


def test_the_better_pair_wins_if_it_answers_in_time() -> None:
    one = with_two_remotes(Role.CONTROLLING)
    checks = {check.destination: check for _, check in run(one, 0.06)}
    one.receive(answer(checks[PEER]), BASE, PEER, 0.1)
    one.receive(answer(checks[BEST]), BASE, BEST, 0.2)
    assert [each.destination for _, each in run(one, 0.25) if nominates(each)] == [BEST]


def test_only_one_pair_is_ever_nominated() -> None:
    one = with_two_remotes(Role.CONTROLLING)
    checks = {check.destination: check for _, check in run(one, 0.06)}
    one.receive(answer(checks[PEER]), BASE, PEER, 0.06)
    (nomination,) = [each for _, each in run(one, 0.3) if nominates(each)]
    one.receive(answer(nomination), BASE, PEER, 0.31)
    one.receive(answer(checks[BEST]), BASE, BEST, 0.32)
    assert {each.destination for _, each in run(one, 20.0) if nominates(each)} == {PEER}
    # RFC 8445 §8.1.2: the other pairs of the component are off the list.
    assert [pair.remote.address for pair in one.pair_statistics()] == [PEER]


def test_where_a_nomination_fails_the_next_best_pair_is_nominated() -> None:
    one = with_two_remotes(Role.CONTROLLING)
    for check in [check for _, check in run(one, 0.06)]:
        one.receive(answer(check), BASE, check.destination, 0.06)
    (first,) = [each for _, each in run(one, 0.1) if nominates(each)]
    assert first.destination == BEST
    one.receive(answer(first, error=403), BASE, BEST, 0.1)
    (second,) = [each for _, each in run(one, 0.2) if nominates(each)]
    assert second.destination == PEER


def test_a_nomination_that_the_role_has_overtaken_neither_counts_nor_harms() -> None:
    one = agent(Role.CONTROLLING)
    one.add_remote_candidate(host(PEER), 0.0)
    one.on_deadline(0.0)
    one.receive(answer(sent(one)[0]), BASE, PEER, 0.0)
    one.on_deadline(0.01)
    (nomination,) = [each for each in sent(one) if nominates(each)]
    winner = attributes.ICE_CONTROLLING.of(TIE_BREAKER + 1)
    one.receive(request(role=winner), BASE, PEER, 0.02)
    assert one.role is Role.CONTROLLED
    one.receive(answer(nomination), BASE, PEER, 0.03)
    assert selected(one) is None
    one.receive(request(role=winner, use_candidate=True), BASE, PEER, 0.04)
    assert selected(one) == PEER


def test_a_nomination_without_answer_is_sent_anew_whenever_the_peer_is_heard() -> None:
    one = agent(Role.CONTROLLING)
    one.add_remote_candidate(host(PEER), 0.0)
    one.on_deadline(0.0)
    one.receive(answer(sent(one)[0]), BASE, PEER, 0.0)
    first, *_ = [each for _, each in run(one, 15.0) if nominates(each)]
    one.receive(request(), BASE, PEER, 15.0)
    one.on_deadline(15.0)
    (again,) = [each for each in sent(one) if is_request(each)]
    assert nominates(again)
    assert again.data != first.data
    one.receive(answer(again), BASE, PEER, 15.1)
    assert selected(one) == PEER


@pytest.mark.parametrize("is_valid", [True, False])
def test_the_controlled_agent_selects_what_was_nominated_once_it_is_valid(is_valid: bool) -> None:
    # RFC 8445 §7.3.1.5
    one = agent(Role.CONTROLLED)
    one.receive(request(use_candidate=not is_valid), BASE, PEER, 0.0)
    one.on_deadline(0.0)
    _, check = sent(one)
    assert not nominates(check)
    assert selected(one) is None
    one.receive(answer(check), BASE, PEER, 0.1)
    if is_valid:
        assert selected(one) is None
        one.receive(request(use_candidate=True), BASE, PEER, 0.2)
    assert selected(one) == PEER


def test_the_controlling_agent_is_nominated_nothing() -> None:
    one = agent(Role.CONTROLLING)
    one.receive(request(use_candidate=True), BASE, PEER, 0.0)
    one.on_deadline(0.0)
    one.receive(answer(sent(one)[-1]), BASE, PEER, 0.0)
    assert selected(one) is None


@pytest.mark.parametrize("order", [[BEST, PEER], [PEER, BEST]])
def test_of_pairs_nominated_aggressively_the_highest_priority_counts(order: list[Address]) -> None:
    # RFC 8445 §8.1.1
    one = with_two_remotes(Role.CONTROLLED)
    run(one, 0.06)
    for peer in order:  # both before either of our checks is answered
        one.receive(request(use_candidate=True), BASE, peer, 0.1)
    checks = [check for _, check in run(one, 0.2)]
    for check in checks:
        one.receive(answer(check), BASE, check.destination, 0.2)
    assert selected(one) == BEST


def test_an_aggressive_nomination_of_a_better_pair_moves_the_selection() -> None:
    one = agent(Role.CONTROLLED)
    connect(one, 0.0)
    one.receive(request(use_candidate=True, priority=2130706431), BASE, BEST, 0.1)
    one.on_deadline(0.1)
    (check,) = [each for each in sent(one) if each.destination == BEST][-1:]
    one.receive(answer(check), BASE, BEST, 0.2)
    moved = events(one)[-1]
    assert isinstance(moved, PairSelected)
    assert moved.previous is not None
    assert (moved.previous.destination, moved.pair.destination) == (PEER, BEST)
    one.receive(request(use_candidate=True), BASE, PEER, 0.3)
    assert selected(one) == BEST


@pytest.mark.parametrize("renomination", [True, False])
def test_with_renomination_the_last_nomination_counts(renomination: bool) -> None:
    one = with_two_remotes(Role.CONTROLLED, Settings(renomination=renomination))
    for check in [check for _, check in run(one, 0.06)]:
        one.receive(answer(check), BASE, check.destination, 0.06)
    for number, peer in enumerate([BEST, PEER, BEST, PEER], start=1):
        one.receive(request(use_candidate=True, nomination=number), BASE, peer, 0.1)
        assert selected(one) == (peer if renomination else BEST)


def test_with_renomination_a_better_pair_is_nominated_when_it_turns_valid() -> None:
    one = agent(Role.CONTROLLING, Settings(renomination=True), started=False)
    one.set_remote_credentials(THEIRS, 0.0, renomination=True)
    one.add_remote_candidate(host(BEST, preference=200, foundation="a"), 0.0)
    one.add_remote_candidate(host(PEER, preference=100, foundation="b"), 0.0)
    checks = {check.destination: check for _, check in run(one, 0.06)}
    one.receive(answer(checks[PEER]), BASE, PEER, 0.06)
    numbers = []
    for wanted, late in ((PEER, None), (BEST, checks[BEST])):
        if late is not None:
            one.receive(answer(late), BASE, BEST, 0.5)
        (nomination,) = [each for _, each in run(one, 0.55) if nominates(each)]
        assert nomination.destination == wanted
        numbers.append(Message.decode(nomination.data).get(NOMINATION))
        one.receive(answer(nomination), BASE, wanted, 0.4 if late is None else 0.6)
        assert selected(one) == wanted
    assert numbers == [1, 2]


def test_with_renomination_another_valid_pair_takes_the_place_of_one_whose_base_is_gone() -> None:
    one = agent(Role.CONTROLLING, Settings(renomination=True), started=False)
    second = Base(HOST.with_port(5001))
    one.add_local_candidate(host(second.address, preference=1, foundation="2"), 0.0)
    one.set_remote_credentials(THEIRS, 0.0, renomination=True)
    one.add_remote_candidate(host(PEER), 0.0)
    now = 0.0
    for base in (BASE, second):
        while (pair := one.selected_pair()) is None:
            now += 0.05
            one.on_deadline(now)
            for check in sent(one):
                one.receive(answer(check), check.base, PEER, now)
        assert pair.base == base
        while (deadline := one.next_deadline()) is not None and deadline < now + 1.0:
            one.on_deadline(deadline)
            for check in sent(one):
                one.receive(answer(check), check.base, PEER, deadline)
        now += 1.0
        one.remove_local_base(base, now)
    assert now < 4.0


def test_with_renomination_a_pair_returned_to_is_nominated_again() -> None:
    """Else the peer, by whom the last number counts, would stay where nobody is."""
    one = agent(Role.CONTROLLING, Settings(renomination=True), started=False)
    second = Base(HOST.with_port(5001))
    one.add_local_candidate(host(second.address, preference=1, foundation="2"), 0.0)
    one.set_remote_credentials(THEIRS, 0.0, renomination=True)
    one.add_remote_candidate(host(PEER), 0.0)
    numbers: list[tuple[Base, int | None]] = []

    def play(start: float, answered: set[Base]) -> None:
        for step in range(20):
            one.on_deadline(start + 0.05 * step)
            for check in sent(one):
                if check.base in answered:
                    one.receive(answer(check), check.base, PEER, start + 0.05 * step)
                    if nominates(check):
                        numbers.append((check.base, Message.decode(check.data).get(NOMINATION)))

    play(0.0, {second})
    play(1.0, {second, BASE})
    one.remove_local_base(BASE, 2.0)
    play(2.0, {second})
    assert list(dict.fromkeys(numbers)) == [(second, 1), (BASE, 2), (second, 3)]
    pair = one.selected_pair()
    assert pair is not None
    assert pair.base == second


def test_each_component_has_its_pair_and_all_are_needed() -> None:
    one = agent(Role.CONTROLLED, Settings(components=(2,)))
    second = HOST.with_port(5001)
    one.add_local_candidate(host(second, component=2), 0.0)
    for now, base, peer, expected in (
        (0.0, BASE, PEER, AgentState.CHECKING),
        (0.1, Base(second), OTHER_PEER, AgentState.CONNECTED),
    ):
        one.receive(request(use_candidate=True), base, peer, now)
        one.on_deadline(now)
        check = sent(one)[-1]
        one.receive(answer(check), base, peer, now)
        assert state(one) is expected
    pair = one.selected_pair(component=2)
    assert pair is not None
    assert (pair.base, pair.destination) == (Base(second), OTHER_PEER)
    assert one.component_state(2) is AgentState.CONNECTED


@pytest.mark.parametrize("answers", [True, False])
def test_a_pair_that_was_valid_long_ago_is_checked_again_before_it_is_used(answers: bool) -> None:
    one = with_two_remotes(Role.CONTROLLED)
    for check in [check for _, check in run(one, 0.06)]:
        one.receive(answer(check), BASE, check.destination, 0.06)
    one.receive(request(use_candidate=True), BASE, PEER, 0.1)
    now = 0.1
    while (deadline := one.next_deadline()) is not None and deadline <= 50.0:
        now = max(now, deadline)
        one.on_deadline(now)
        for check in sent(one):
            one.receive(answer(check), BASE, check.destination, now)
    one.receive(request(use_candidate=True), BASE, BEST, now)
    assert selected(one) == PEER
    one.on_deadline(now)
    (check,) = [each for each in sent(one) if is_request(each)]
    assert check.destination == BEST
    one.receive(answer(check, error=None if answers else 403), BASE, BEST, now)
    assert selected(one) == (BEST if answers else PEER)
    run(one, now + 1.0)
    assert state(one) is AgentState.CONNECTED


def test_where_the_base_is_gone_so_is_the_pair() -> None:
    one = agent(Role.CONTROLLED)
    connect(one, 0.0)
    one.remove_local_base(BASE, 1.0)
    assert selected(one) is None
    assert any(isinstance(each, ConsentLost) for each in events(one))
    assert not one.local_candidates()
    assert not one.pair_statistics()
    assert not one.is_valid_source(BASE, PEER)
    assert state(one) is AgentState.FAILED


def test_a_base_may_go_with_several_pairs_while_another_takes_the_selected_ones_place() -> None:
    one = agent(Role.CONTROLLED, started=False)
    second = Base(HOST.with_port(5001))
    one.add_local_candidate(host(second.address, preference=1, foundation="2"), 0.0)
    one.set_remote_credentials(THEIRS, 0.0)
    for peer, preference in ((BEST, 200), (PEER, 100)):
        one.add_remote_candidate(host(peer, preference=preference, foundation=peer.host), 0.0)
    # The peer nominates aggressively, so that there is a substitute for what is selected.
    for base in (BASE, second):
        for peer in (PEER, BEST):
            one.receive(request(use_candidate=True), base, peer, 0.0)
    for at, check in run(one, 1.0):
        one.receive(answer(check), check.base, check.destination, at)
    one.transport_failed(BASE, PEER, 2.0)
    assert selected(one) == BEST
    one.remove_local_base(BASE, 2.0)
    pair = one.selected_pair()
    assert pair is not None
    assert pair.base == second
    assert {each.local.base for each in one.pair_statistics()} == {second}
