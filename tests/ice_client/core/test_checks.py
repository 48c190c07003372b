"""Checks that we send and what their answers do (RFC 8445 §6.1.4, §7.2)."""

from collections.abc import Callable
from typing import Any

import pytest

from ice_client.core import (
    AgentState,
    Base,
    CandidateType,
    IceAgent,
    PairState,
    PairValidated,
    PeerReflexiveDiscovered,
    Role,
    RoleChanged,
    Settings,
    Transmit,
)
from stun import Address, IntegrityAlgorithm, Message, attributes
from tests.ice_client.core.foreign import (
    HOST,
    OTHER_PEER,
    OURS,
    PEER,
    THEIRS,
    TIE_BREAKER,
    agent,
    answer,
    events,
    host,
    request,
    run,
    sent,
    state,
)

BASE = Base(HOST)
MAPPED = Address.parse("203.0.113.7", 41000)


def states(one: IceAgent) -> list[PairState]:
    return [pair.state for pair in one.pair_statistics()]


@pytest.mark.parametrize("role", list(Role))
def test_a_check_has_what_rfc_8445_7_2_2_asks_for(role: Role) -> None:
    one = agent(role)
    one.add_remote_candidate(host(PEER), 0.0)
    one.on_deadline(0.0)
    (check,) = sent(one)
    assert (check.base, check.destination) == (BASE, PEER)
    message = Message.decode(check.data)
    assert message.get(attributes.USERNAME) == "them:ours"
    # The priority that a peer-reflexive candidate of that base would have.
    assert message.get(attributes.PRIORITY) == 110 << 24 | 65535 << 8 | 255
    assert message.verify(IntegrityAlgorithm.SHA1, THEIRS.key)
    assert message.has(attributes.FINGERPRINT)
    assert not message.has(attributes.USE_CANDIDATE)
    ours, others = attributes.ICE_CONTROLLING, attributes.ICE_CONTROLLED
    if role is Role.CONTROLLED:
        ours, others = others, ours
    assert message.get(ours) == TIE_BREAKER
    assert not message.has(others)


def test_checks_are_ta_apart_and_retransmissions_double() -> None:
    one = agent(Role.CONTROLLED)
    for number in range(3):
        peer = PEER.with_port(6000 + number)
        one.add_remote_candidate(host(peer, preference=9 - number, foundation=f"{number}"), 0.0)
    times: dict[int, list[float]] = {}
    for at, check in run(one, 4.0):
        times.setdefault(check.destination.port, []).append(round(at, 6))
    # RFC 8445 §14.2: one new check every 50 ms. §14.3: 0.5 s, then as RFC 8489 §6.2.1.
    assert times == {
        6000 + number: [pytest.approx(number * 0.05 + after) for after in (0, 0.5, 1.5, 3.5)]
        for number in range(3)
    }


@pytest.mark.parametrize(("checks", "rto"), [(10, 0.5), (16, 0.8), (20, 1.0), (60, 1.0)])
def test_rto_grows_with_the_number_of_checks_under_way_to_a_limit(checks: int, rto: float) -> None:
    one = agent(Role.CONTROLLED)
    for number in range(checks):
        peer = PEER.with_port(6000 + number)
        one.add_remote_candidate(host(peer, foundation=f"{number}"), 0.0)
    first = [at for at, check in run(one, 1.2) if check.destination.port == 6000]
    assert first == [0.0, pytest.approx(rto)]


def test_a_check_without_answer_fails_after_39_5_seconds() -> None:
    one = agent(Role.CONTROLLED)
    one.add_remote_candidate(host(PEER), 0.0)
    assert len(run(one, 39.4)) == 7
    assert states(one) == [PairState.IN_PROGRESS]
    run(one, 39.5)
    assert states(one) == [PairState.FAILED]


def test_success_makes_the_pair_valid_and_tells_the_round_trip_time() -> None:
    one = agent(Role.CONTROLLED)
    one.add_remote_candidate(host(PEER), 0.0)
    one.on_deadline(0.0)
    (check,) = sent(one)
    assert not one.is_valid_source(BASE, PEER)
    assert one.send_pair() is None
    assert one.receive(answer(check), BASE, PEER, 0.03)
    (pair,) = one.pair_statistics()
    assert pair.state is PairState.SUCCEEDED
    assert pair.is_valid
    assert not pair.is_nominated
    assert pair.current_round_trip_time == pytest.approx(0.03)
    assert (pair.requests_sent, pair.responses_received) == (1, 1)
    assert one.is_valid_source(BASE, PEER)
    found = one.send_pair()
    assert found is not None
    assert (found.base, found.destination) == (BASE, PEER)
    assert one.selected_pair() is None


def test_a_mapped_address_that_is_new_is_a_peer_reflexive_candidate_of_ours() -> None:
    one = agent(Role.CONTROLLED)
    one.add_remote_candidate(host(PEER), 0.0)
    one.on_deadline(0.0)
    (check,) = sent(one)
    one.receive(answer(check, mapped=MAPPED), BASE, PEER, 0.03)
    discovered, validated = events(one)
    assert isinstance(discovered, PeerReflexiveDiscovered)
    assert discovered.is_local
    candidate = discovered.candidate
    assert candidate.type is CandidateType.PEER_REFLEXIVE
    assert (candidate.address, candidate.base) == (MAPPED, BASE)
    assert candidate.priority == 110 << 24 | 65535 << 8 | 255
    assert isinstance(validated, PairValidated)
    assert validated.pair.local == candidate
    assert candidate in one.local_candidates()


def deny(check: Transmit, one: IceAgent) -> None:
    one.receive(answer(check, error=403), BASE, PEER, 0.1)


def come_from_elsewhere(check: Transmit, one: IceAgent) -> None:
    one.receive(answer(check), BASE, OTHER_PEER, 0.1)


def come_on_another_base(check: Transmit, one: IceAgent) -> None:
    one.receive(answer(check), Base(HOST.with_port(1)), PEER, 0.1)


def be_unreachable(_check: Transmit, one: IceAgent) -> None:
    one.transport_failed(BASE, PEER, 0.1)


@pytest.mark.parametrize(
    "happen", [deny, come_from_elsewhere, come_on_another_base, be_unreachable]
)
def test_a_check_fails_at_an_error_and_where_addresses_are_not_symmetric(
    happen: Callable[[Transmit, IceAgent], None],
) -> None:
    # RFC 8445 §7.2.5.2
    one = agent(Role.CONTROLLED)
    one.add_remote_candidate(host(PEER), 0.0)
    one.on_deadline(0.0)
    happen(sent(one)[0], one)
    assert states(one) == [PairState.FAILED]


@pytest.mark.parametrize(
    "forged",
    [
        {"password": OURS.password},
        {"password": "x" * 24, "error": 487},
        {"password": "x" * 24, "error": 403},
    ],
)
def test_an_answer_that_is_not_authentic_changes_nothing(forged: dict[str, Any]) -> None:
    one = agent(Role.CONTROLLED)
    one.add_remote_candidate(host(PEER), 0.0)
    one.on_deadline(0.0)
    (check,) = sent(one)
    assert one.receive(answer(check, **forged), BASE, PEER, 0.1)
    assert states(one) == [PairState.IN_PROGRESS]
    assert one.counters.unmatched_responses == 1
    assert not events(one)
    one.receive(answer(check), BASE, PEER, 0.2)
    assert states(one) == [PairState.SUCCEEDED]


def test_the_same_answer_twice_counts_once() -> None:
    one = agent(Role.CONTROLLED)
    one.add_remote_candidate(host(PEER), 0.0)
    one.on_deadline(0.0)
    (check,) = sent(one)
    for _ in range(2):
        one.receive(answer(check), BASE, PEER, 0.1)
    assert one.counters.unmatched_responses == 1
    assert one.pair_statistics()[0].responses_received == 1


@pytest.mark.parametrize("role", list(Role))
def test_a_487_switches_the_role_and_repeats_the_check(role: Role) -> None:
    # RFC 8445 §7.2.5.1
    one = agent(role)
    one.add_remote_candidate(host(PEER), 0.0)
    one.on_deadline(0.0)
    (check,) = sent(one)
    one.receive(answer(check, error=487), BASE, PEER, 0.1)
    assert one.role is role.opposite
    assert RoleChanged(role.opposite) in events(one)
    one.on_deadline(0.11)
    (again,) = sent(one)
    message = Message.decode(again.data)
    now_ours = attributes.ICE_CONTROLLED if role is Role.CONTROLLING else attributes.ICE_CONTROLLING
    tie_breaker = message.get(now_ours)
    assert tie_breaker is not None
    assert tie_breaker != TIE_BREAKER  # "The agent MUST change the tiebreaker value"


def test_a_late_487_to_a_check_in_the_old_role_does_not_switch_again() -> None:
    one = agent(Role.CONTROLLING)
    for peer in (PEER, OTHER_PEER):
        one.add_remote_candidate(host(peer), 0.0)
    checks = [check for _, check in run(one, 0.06)]
    for check in checks:
        one.receive(answer(check, error=487), BASE, check.destination, 0.1)
    assert one.role is Role.CONTROLLED


def test_a_request_during_a_check_repeats_it_at_once_and_the_first_answer_counts_too() -> None:
    # RFC 8445 §7.3.1.4: In-Progress: cancelled, and enqueued again.
    one = agent(Role.CONTROLLED)
    one.add_remote_candidate(host(PEER), 0.0)
    one.on_deadline(0.0)
    (check,) = sent(one)
    one.receive(request(), BASE, PEER, 0.2)
    one.on_deadline(0.2)
    _, again = sent(one)
    assert again.destination == PEER
    assert Message.decode(again.data).transaction_id != Message.decode(check.data).transaction_id
    one.receive(answer(check), BASE, PEER, 0.25)
    assert states(one) == [PairState.SUCCEEDED]


def test_a_request_revives_a_pair_that_failed() -> None:
    one = agent(Role.CONTROLLED)
    one.add_remote_candidate(host(PEER), 0.0)
    one.end_of_local_candidates(0.0)
    one.end_of_remote_candidates(0.0)
    run(one, 40.0)
    assert state(one) is AgentState.FAILED
    one.receive(request(use_candidate=True), BASE, PEER, 41.0)
    assert state(one) is AgentState.CHECKING
    one.on_deadline(41.0)
    one.receive(answer(sent(one)[-1]), BASE, PEER, 41.1)
    assert state(one) is AgentState.COMPLETED


def test_no_check_is_sent_before_the_peers_credentials_are_known() -> None:
    one = agent(started=False)
    one.add_remote_candidate(host(PEER), 0.0)
    assert one.next_deadline() is None
    one.on_deadline(1.0)
    assert not sent(one)
    assert state(one) is AgentState.NEW
    one.set_remote_credentials(THEIRS, 2.0)
    assert state(one) is AgentState.CHECKING
    deadline = one.next_deadline()
    assert deadline is not None
    assert deadline <= 2.0


def test_number_of_pairs_is_bounded() -> None:
    one = agent(Role.CONTROLLED, Settings(max_pairs=10, max_remote_candidates=20))
    for number in range(30):
        one.add_remote_candidate(host(PEER.with_port(6000 + number)), 0.0)
    assert len(one.remote_candidates()) == 20
    assert len(one.pair_statistics()) == 10
    assert one.counters.excess == 10
