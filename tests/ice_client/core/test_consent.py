"""Consent, keepalives and what an agent says of a path that is silent (RFC 7675, RFC 8445 §11)."""

import itertools

import pytest

from ice_client.core import AgentState, Base, ConsentLost, IceAgent, Role, Settings, StateChanged
from stun import Message, MessageClass, attributes
from tests.ice_client.core.foreign import (
    HOST,
    PEER,
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


def connected(role: Role = Role.CONTROLLED, settings: Settings | None = None) -> IceAgent:
    one = agent(role, settings)
    if role is Role.CONTROLLING:
        one.add_remote_candidate(host(PEER), 0.0)
    one.end_of_local_candidates(0.0)
    one.end_of_remote_candidates(0.0)
    connect(one, 0.0)
    one.take_outputs()
    return one


def live(one: IceAgent, until: float, start: float = 0.0) -> list[float]:
    """Answer every check up to a time; return when they came."""
    now, times = start, []
    while (deadline := one.next_deadline()) is not None and deadline <= until:
        now = max(now, deadline)
        one.on_deadline(now)
        for check in sent(one):
            times.append(now)
            one.receive(answer(check), BASE, PEER, now)
    return times


@pytest.mark.parametrize("role", list(Role))
def test_consent_is_asked_for_every_five_seconds_more_or_less_and_lasts(role: Role) -> None:
    one = connected(role)
    times = live(one, 300.0)
    gaps = [after - before for before, after in itertools.pairwise(times)]
    # RFC 7675 §5.1: 5 s, varied by 0.8 to 1.2.
    assert all(4.0 <= gap <= 6.0 for gap in gaps)
    assert 50 <= len(times) <= 75
    assert state(one) is AgentState.COMPLETED
    (pair,) = one.pair_statistics()
    assert pair.consent_requests_sent == len(times)


@pytest.mark.parametrize("role", list(Role))
def test_a_consent_check_is_authentic_and_nominates_if_we_are_controlling(role: Role) -> None:
    one = connected(role)
    (_, check), *_ = run(one, 7.0)
    assert is_request(check)
    assert Message.decode(check.data).get(attributes.USERNAME) == "them:ours"
    assert nominates(check) is (role is Role.CONTROLLING)


def test_without_answers_it_is_disconnected_then_consent_is_lost_and_nothing_is_sent() -> None:
    one = connected()
    silent_since = live(one, 20.0)[-1]
    changes: list[tuple[float, AgentState]] = []
    lost = []
    sent_at = []
    now = silent_since
    while (deadline := one.next_deadline()) is not None:
        now = max(now, deadline)
        one.on_deadline(now)
        for output in one.take_outputs():
            if isinstance(output, StateChanged):
                changes.append((now, output.state))
            elif isinstance(output, ConsentLost):
                lost.append(now)
            elif hasattr(output, "data"):
                sent_at.append(now)
    assert [each for _, each in changes] == [AgentState.DISCONNECTED, AgentState.FAILED]
    assert [at - silent_since for at, _ in changes] == pytest.approx([12.0, 30.0])
    assert lost == [pytest.approx(silent_since + 30.0)]
    assert max(sent_at) < lost[0]
    # Each consent check is sent once.
    assert all(after - before >= 4.0 for before, after in itertools.pairwise(sent_at))
    assert one.send_pair() is None


def test_the_peers_requests_do_not_renew_our_consent() -> None:
    one = connected()
    now = 0.0
    while (deadline := one.next_deadline()) is not None and deadline <= 35.0:
        now = max(now, deadline)
        one.receive(request(use_candidate=True), BASE, PEER, now)
        one.on_deadline(now)
    assert any(isinstance(event, ConsentLost) for event in events(one))
    assert one.selected_pair() is None


def test_after_consent_was_lost_the_credentials_serve_no_more_on_that_path() -> None:
    # RFC 7675 §5.1: "the same ICE credentials MUST NOT be used on the affected 5-tuple again".
    one = connected()
    run(one, 60.0)
    assert state(one) is AgentState.FAILED
    one.receive(request(use_candidate=True), BASE, PEER, 61.0)
    one.on_deadline(61.0)
    assert not sent(one)
    assert one.counters.revoked == 1


def test_an_answer_brings_a_disconnected_pair_back() -> None:
    one = connected()
    checks = [check for _, check in run(one, 12.5)]
    assert state(one) is AgentState.DISCONNECTED
    assert one.send_pair() is not None
    one.receive(answer(checks[-1]), BASE, PEER, 12.6)
    assert state(one) is AgentState.COMPLETED


def test_without_consent_binding_indications_keep_the_path_open() -> None:
    one = connected(settings=Settings(consent=False))
    keepalives = run(one, 61.0)
    assert [at for at, _ in keepalives] == [15.0, 30.0, 45.0, 60.0]
    for _, keepalive in keepalives:
        message = Message.decode(keepalive.data)
        assert message.message_class is MessageClass.INDICATION
        # RFC 8445 §11: FINGERPRINT and nothing else.
        assert message.has(attributes.FINGERPRINT)
        assert len(message.attributes) == 1
        assert (keepalive.base, keepalive.destination) == (BASE, PEER)
    assert state(one) is AgentState.COMPLETED


def test_a_new_mapping_of_ours_is_noticed() -> None:
    one = connected()
    mapped = PEER.with_port(1)
    (_, check), *_ = run(one, 7.0)
    one.receive(answer(check, mapped=mapped), BASE, PEER, 7.0)
    pair = one.selected_pair()
    assert pair is not None
    assert (pair.local.address, pair.base) == (mapped, BASE)


def test_where_the_peers_nat_gives_it_a_new_address_the_pair_it_uses_is_nominated() -> None:
    one = connected(Role.CONTROLLING)
    moved = PEER.with_port(1)
    now = 0.0
    while (deadline := one.next_deadline()) is not None and deadline <= 40.0:
        now = max(now, deadline)
        one.receive(request(), BASE, moved, now)
        one.on_deadline(now)
        for check in sent(one):
            if check.destination == moved and is_request(check):
                one.receive(answer(check), BASE, moved, now)
    pair = one.selected_pair()
    assert pair is not None
    assert pair.destination == moved


def test_a_closed_agent_is_silent() -> None:
    one = connected()
    one.close()
    assert StateChanged(AgentState.CLOSED) in events(one)
    assert one.next_deadline() is None
    assert one.receive(request(), BASE, PEER, 1.0)
    one.on_deadline(10.0)
    assert not one.take_outputs()
    assert one.send_pair() is None
    assert not one.is_valid_source(BASE, PEER)
