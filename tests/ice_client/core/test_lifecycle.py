"""Trickling, giving up, restarting, lite agents, TCP."""

from collections.abc import Callable

import attrs
import pytest

from ice_client.core import (
    AgentState,
    Base,
    Candidate,
    CandidateType,
    Credentials,
    IceAgent,
    Role,
    Settings,
    Transport,
)
from stun import Address, ErrorCode, Message, MessageClass, attributes
from tests.ice_client.core.foreign import (
    HOST,
    OTHER_PEER,
    OURS,
    PEER,
    THEIRS,
    agent,
    answer,
    connect,
    counting_bytes,
    host,
    is_request,
    request,
    run,
    sent,
    state,
)

BASE = Base(HOST)
NEW = Credentials("new0", "new0" * 6)
THEIR_NEW = Credentials("newt", "newt" * 6)


def end_both(one: IceAgent) -> None:
    one.end_of_local_candidates(0.0)
    one.end_of_remote_candidates(0.0)


def end_ours(one: IceAgent) -> None:
    one.end_of_local_candidates(0.0)


@pytest.mark.parametrize(
    ("end", "remotes", "fails_at"),
    [
        # RFC 8863 §4: not before 39.5 s, even with nothing to try.
        (end_both, 0, 39.5),
        (end_both, 1, 39.5),
        # RFC 8838 §8: nor while candidates may come, 60 s after the last.
        (end_ours, 0, 60.0),
        (end_ours, 1, 60.0),
    ],
)
def test_it_fails_when_nothing_is_left_to_try_or_to_wait_for(
    end: Callable[[IceAgent], None], remotes: int, fails_at: float
) -> None:
    one = agent(Role.CONTROLLED)
    for _ in range(remotes):
        one.add_remote_candidate(host(PEER), 0.0)
    end(one)
    run(one, fails_at - 0.1)
    assert state(one) is AgentState.CHECKING
    run(one, fails_at)
    assert state(one) is AgentState.FAILED
    assert one.next_deadline() is None


def test_a_controlled_agent_waits_for_a_nomination_but_not_for_ever() -> None:
    one = agent(Role.CONTROLLED)
    one.add_remote_candidate(host(PEER), 0.0)
    end_both(one)
    one.on_deadline(0.0)
    one.receive(answer(sent(one)[0]), BASE, PEER, 1.0)
    run(one, 40.4)
    assert state(one) is AgentState.CHECKING
    run(one, 40.6)
    assert state(one) is AgentState.FAILED
    assert one.send_pair() is None


def test_candidates_may_come_before_the_credentials_that_they_belong_to() -> None:
    one = agent(started=False)
    for address, fragment in ((PEER, "them"), (OTHER_PEER, "past")):
        assert one.add_remote_candidate(
            attrs.evolve(host(address), username_fragment=fragment), 0.0
        )
    assert not one.remote_candidates()
    one.set_remote_credentials(THEIRS, 1.0)
    assert [each.address for each in one.remote_candidates()] == [PEER]


def test_candidates_for_credentials_that_never_come_are_bounded() -> None:
    one = agent()
    for number in range(110):
        one.add_remote_candidate(
            attrs.evolve(host(PEER.with_port(1 + number)), username_fragment="next"), 0.0
        )
    assert one.counters.excess == 10
    assert not one.remote_candidates()


def test_a_redundant_candidate_is_not_told() -> None:
    # RFC 8445 §5.1.3
    one = agent(started=False)
    reflexive = attrs.evolve(host(), type=CandidateType.SERVER_REFLEXIVE, base_address=HOST)
    assert not one.add_local_candidate(reflexive, 0.0)
    mapped = attrs.evolve(reflexive, address=PEER)
    assert one.add_local_candidate(mapped, 0.0)
    one.end_of_local_candidates(0.0)
    assert not one.add_local_candidate(host(HOST.with_port(9)), 0.0)


@pytest.mark.parametrize(
    "misuse",
    [
        lambda one: one.add_local_candidate(host(component=2), 0.0),
        lambda one: one.add_local_candidate(host(HOST.with_port(1)), 0.0, stream=1),
        lambda one: one.add_remote_candidate(host(PEER, component=2), 0.0),
        lambda one: one.add_remote_candidate(
            attrs.evolve(host(Address.parse("0.0.0.0", 1)), host_name="a.local"), 0.0
        ),
        lambda one: one.set_remote_credentials(THEIR_NEW, 0.0),
        lambda one: one.restart(OURS, 0.0),
        lambda one: one.restart(attrs.evolve(NEW, password=OURS.password), 0.0),
        lambda one: one.component_state(2),
    ],
)
def test_misuse_is_refused(misuse: Callable[[IceAgent], object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        misuse(agent())


def test_in_a_restart_the_old_pair_carries_on_until_the_new_one_is_selected() -> None:
    # RFC 8445 §9, §12.1
    one = agent(Role.CONTROLLED)
    connect(one, 0.0)
    old = one.selected_pair()
    assert old is not None
    one.restart(NEW, 1.0)
    assert one.local_credentials == NEW
    assert not one.local_candidates()
    assert one.add_local_candidate(host(), 1.0)
    assert one.selected_pair() == one.send_pair() == old
    assert state(one) is AgentState.CONNECTED
    # The old path is still checked, with the old credentials, and answered.
    (_, consent), *_ = [(at, each) for at, each in run(one, 8.0) if is_request(each)]
    assert Message.decode(consent.data).get(attributes.USERNAME) == "them:ours"
    one.receive(answer(consent), BASE, PEER, 8.0)
    one.receive(request(), BASE, PEER, 8.0)
    assert sent(one)[0].destination == PEER

    one.set_remote_credentials(THEIR_NEW, 8.0)
    data = request(username="new0:newt", password=NEW.password, use_candidate=True)
    one.receive(data, BASE, OTHER_PEER, 8.1)
    one.on_deadline(8.1)
    check = sent(one)[-1]
    assert Message.decode(check.data).get(attributes.USERNAME) == "newt:new0"
    one.receive(answer(check, password=THEIR_NEW.password), BASE, OTHER_PEER, 8.2)
    new = one.selected_pair()
    assert new is not None
    assert new.destination == OTHER_PEER
    # No more consent is asked for on the old one, but the peer may still be on it.
    assert {each.destination for _, each in run(one, 20.0)} == {OTHER_PEER}
    one.receive(request(use_candidate=True), BASE, PEER, 20.0)
    assert sent(one)[0].destination == PEER
    assert one.is_valid_source(BASE, PEER)
    assert one.selected_pair() == new
    run(one, 45.0)
    one.receive(request(), BASE, PEER, 45.0)
    assert PEER not in {each.destination for each in sent(one)}


def test_a_controlling_agent_leaves_the_old_path_alone_after_a_restart() -> None:
    one = agent(Role.CONTROLLING)
    one.add_remote_candidate(host(PEER), 0.0)
    connect(one, 0.0)
    one.restart(NEW, 1.0)
    one.add_local_candidate(host(), 1.0)
    one.set_remote_credentials(THEIR_NEW, 1.0)
    one.add_remote_candidate(host(OTHER_PEER), 1.0)
    asked = []
    now = 1.0
    while (deadline := one.next_deadline()) is not None and deadline <= 20.0:
        now = max(now, deadline)
        one.on_deadline(now)
        for check in sent(one):
            asked.append(check.destination)
            password = (THEIRS if check.destination == PEER else THEIR_NEW).password
            one.receive(answer(check, password=password), BASE, check.destination, now)
    pair = one.selected_pair()
    assert pair is not None
    assert pair.destination == OTHER_PEER
    assert PEER not in asked
    assert len(asked) <= 2 + 19 / 4  # check, nomination, consent


def test_a_restart_keeps_the_role_and_wants_new_credentials_of_the_peer() -> None:
    one = agent(Role.CONTROLLED)
    connect(one, 0.0)
    one.restart(NEW, 1.0)
    assert one.role is Role.CONTROLLED
    with pytest.raises(ValueError, match="restart"):
        one.set_remote_credentials(THEIRS, 1.0)


def test_a_role_conflict_on_the_old_path_does_not_change_the_role_of_the_new() -> None:
    one = agent(Role.CONTROLLED)
    connect(one, 0.0)
    one.restart(NEW, 1.0)
    (_, consent), *_ = run(one, 8.0)
    one.receive(answer(consent, error=ErrorCode.ROLE_CONFLICT), BASE, PEER, 8.0)
    assert one.role is Role.CONTROLLED


def test_a_restart_out_of_failure_starts_anew() -> None:
    one = agent(Role.CONTROLLED)
    end_both(one)
    run(one, 40.0)
    assert state(one) is AgentState.FAILED
    one.restart(NEW, 41.0)
    assert state(one) is AgentState.NEW
    one.set_remote_credentials(THEIR_NEW, 41.0)
    assert state(one) is AgentState.CHECKING


# ICE-lite (RFC 8445 §7.3.2, §8.2)


def test_a_lite_agent_answers_and_selects_what_is_nominated_but_checks_nothing() -> None:
    one = agent(Role.CONTROLLED, Settings(lite=True))
    one.add_remote_candidate(host(PEER), 0.0)
    one.receive(request(), BASE, PEER, 0.0)
    (response,) = sent(one)
    assert Message.decode(response.data).message_class is MessageClass.SUCCESS_RESPONSE
    assert one.selected_pair() is None
    one.receive(request(use_candidate=True), BASE, PEER, 0.1)
    pair = one.selected_pair()
    assert pair is not None
    assert pair.destination == PEER
    assert not [each for _, each in run(one, 29.0) if is_request(each)]
    # The peer's checks are what a lite agent has for consent.
    one.receive(request(use_candidate=True), BASE, PEER, 29.0)
    run(one, 58.0)
    assert one.selected_pair() is not None
    run(one, 60.0)
    assert one.selected_pair() is None


def test_in_a_restart_of_a_lite_agent_the_old_path_lasts_while_the_peer_checks_it() -> None:
    one = agent(Role.CONTROLLED, Settings(lite=True))
    one.receive(request(use_candidate=True), BASE, PEER, 0.0)
    old = one.selected_pair()
    assert old is not None
    one.restart(NEW, 1.0)
    for now in (20.0, 40.0):
        one.receive(request(use_candidate=True), BASE, PEER, now)
        run(one, now + 1.0)
    assert one.selected_pair() == old
    run(one, 71.0)
    assert one.selected_pair() is None


@pytest.mark.parametrize("role", list(Role))
def test_between_a_full_and_a_lite_agent_the_full_one_is_controlling(role: Role) -> None:
    full = agent(role, started=False)
    full.set_remote_credentials(THEIRS, 0.0, lite=True)
    assert full.role is Role.CONTROLLING
    lite = agent(role, Settings(lite=True))
    assert lite.role is Role.CONTROLLED
    lite.receive(request(role=attributes.ICE_CONTROLLED.of(1)), BASE, PEER, 0.0)
    error = Message.decode(sent(lite)[0].data).get(attributes.ERROR_CODE)
    assert error is not None
    assert error.code == ErrorCode.ROLE_CONFLICT


def test_two_lite_agents_select_without_checks() -> None:
    one = agent(Role.CONTROLLED, Settings(lite=True), started=False)
    one.add_remote_candidate(host(PEER), 0.0)
    one.set_remote_credentials(THEIRS, 0.0, lite=True)
    one.end_of_local_candidates(0.0)
    one.end_of_remote_candidates(0.0)
    assert not [each for _, each in run(one, 120.0) if is_request(each)]
    pair = one.selected_pair()
    assert pair is not None
    assert pair.destination == PEER
    assert state(one) is AgentState.COMPLETED
    one.restart(NEW, 120.0)
    assert len(run(one, 240.0)) <= 120 / 15
    assert one.selected_pair() == pair


# TCP (RFC 6544)

ACTIVE = host(HOST.with_port(9), transport=Transport.TCP_ACTIVE)
PASSIVE = host(HOST.with_port(7000), transport=Transport.TCP_PASSIVE)


def tcp_agent(role: Role, local: Candidate) -> IceAgent:
    one = IceAgent(role, OURS, counting_bytes)
    one.add_local_candidate(local, 0.0)
    one.set_remote_credentials(THEIRS, 0.0)
    one.take_outputs()
    return one


def test_an_active_candidate_checks_a_passive_one_once_per_connection() -> None:
    one = tcp_agent(Role.CONTROLLED, ACTIVE)
    one.add_remote_candidate(host(PEER, transport=Transport.TCP_PASSIVE), 0.0)
    checks = run(one, 39.4)
    assert [(check.base, check.destination) for _, check in checks] == [(ACTIVE.base, PEER)]
    ephemeral = HOST.with_port(51234)
    one.receive(answer(checks[0][1], mapped=ephemeral), ACTIVE.base, PEER, 39.4)
    found = one.send_pair()
    assert found is not None
    assert (found.base, found.destination) == (ACTIVE.base, PEER)


def test_a_passive_candidate_answers_over_the_connection_that_the_check_came_by() -> None:
    one = tcp_agent(Role.CONTROLLED, PASSIVE)
    one.add_remote_candidate(host(PEER.with_port(9), transport=Transport.TCP_ACTIVE), 0.0)
    assert not run(one, 10.0)  # it opens nothing
    one.receive(request(use_candidate=True), PASSIVE.base, PEER, 10.0)
    one.on_deadline(10.0)
    response, check = sent(one)
    assert {(each.base, each.destination) for each in (response, check)} == {(PASSIVE.base, PEER)}
    one.receive(answer(check, mapped=PASSIVE.address), PASSIVE.base, PEER, 10.1)
    pair = one.selected_pair()
    assert pair is not None
    assert pair.remote.transport is Transport.TCP_ACTIVE
    assert pair.remote.type is CandidateType.PEER_REFLEXIVE


def test_a_broken_connection_ends_its_pair_at_once_but_an_icmp_error_does_not() -> None:
    tcp = tcp_agent(Role.CONTROLLED, PASSIVE)
    tcp.receive(request(use_candidate=True), PASSIVE.base, PEER, 0.0)
    tcp.on_deadline(0.0)
    tcp.receive(answer(sent(tcp)[1], mapped=PASSIVE.address), PASSIVE.base, PEER, 0.1)
    udp = agent(Role.CONTROLLED)
    connect(udp, 0.0)
    for one, base in ((tcp, PASSIVE.base), (udp, BASE)):
        assert one.selected_pair() is not None
        one.transport_failed(base, PEER, 1.0)
    assert tcp.selected_pair() is None
    assert state(tcp) is AgentState.FAILED
    assert udp.selected_pair() is not None


def test_udp_and_tcp_on_one_address_are_two_bases() -> None:
    one = agent(Role.CONTROLLED)
    tcp = host(HOST, transport=Transport.TCP_PASSIVE)
    assert one.add_local_candidate(tcp, 0.0)
    one.receive(request(), tcp.base, PEER, 0.0)
    assert one.is_valid_source(tcp.base, PEER)
    assert not one.is_valid_source(BASE, PEER)
