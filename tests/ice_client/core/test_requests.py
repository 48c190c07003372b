"""Checks that the peer sends (RFC 8445 §7.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ice_client.core import (
    Base,
    CandidateType,
    Credentials,
    IceAgent,
    PairState,
    PeerReflexiveDiscovered,
    Role,
    RoleChanged,
    Settings,
    Transmit,
)
from ice_client.core.generation import MAX_EARLY_REQUESTS
from stun import (
    Address,
    IntegrityAlgorithm,
    Message,
    MessageClass,
    Method,
    RawAttribute,
    attributes,
)
from tests.ice_client.core.foreign import (
    HOST,
    OTHER_PEER,
    OURS,
    PEER,
    PRIORITY,
    THEIRS,
    TIE_BREAKER,
    agent,
    answer,
    counting_bytes,
    events,
    host,
    nominates,
    request,
    sent,
)

BASE = Base(HOST)
CONTROLLING, CONTROLLED = attributes.ICE_CONTROLLING, attributes.ICE_CONTROLLED


def answered(one: IceAgent, data: bytes, source: Address = PEER, now: float = 0.0) -> Message:
    assert one.receive(data, BASE, source, now)
    response = sent(one)[0]
    assert (response.base, response.destination) == (BASE, source)
    return Message.decode(response.data)


@pytest.mark.parametrize("started", [True, False])
def test_a_request_is_answered_with_where_it_came_from(started: bool) -> None:
    data = request()
    response = answered(agent(started=started), data)
    assert response.message_class is MessageClass.SUCCESS_RESPONSE
    assert response.transaction_id == Message.decode(data).transaction_id
    assert response.get(attributes.XOR_MAPPED_ADDRESS) == PEER
    assert response.verify(IntegrityAlgorithm.SHA1, OURS.key)
    assert response.has(attributes.FINGERPRINT)


def test_an_unknown_source_is_a_peer_reflexive_candidate_and_is_checked() -> None:
    # RFC 8445 §7.3.1.3, §7.3.1.4
    one = agent(Role.CONTROLLED)
    one.add_remote_candidate(host(OTHER_PEER, foundation="p1"), 0.0)
    one.receive(request(), BASE, PEER, 0.0)
    (discovered,) = [each for each in events(one) if isinstance(each, PeerReflexiveDiscovered)]
    candidate = discovered.candidate
    assert not discovered.is_local
    assert candidate.type is CandidateType.PEER_REFLEXIVE
    assert (candidate.address, candidate.priority, candidate.component) == (PEER, PRIORITY, 1)
    assert candidate.foundation != "p1"
    one.on_deadline(0.0)
    assert [check.destination for check in sent(one)] == [PEER]  # before the ordinary one
    assert one.is_valid_source(BASE, PEER)


def test_a_candidate_that_is_signalled_later_takes_the_peer_reflexive_ones_place() -> None:
    one = agent(Role.CONTROLLED)
    one.receive(request(), BASE, PEER, 0.0)
    one.on_deadline(0.0)
    signalled = host(PEER, foundation="7")
    assert one.add_remote_candidate(signalled, 0.1)
    assert one.remote_candidates() == (signalled,)
    (pair,) = one.pair_statistics()
    assert pair.remote == signalled
    assert pair.state is PairState.IN_PROGRESS
    assert not one.add_remote_candidate(signalled, 0.2)


@pytest.mark.parametrize(
    "data",
    [
        request(username="nobody:them"),
        request(username="ours"[:3] + ":them"),
        request(password=THEIRS.password),
        Message.build(
            Method.BINDING,
            MessageClass.REQUEST,
            counting_bytes(12),
            [attributes.USERNAME.of("ours:them"), attributes.PRIORITY.of(1)],
        ).encode(fingerprint=True),
        Message.build(Method.BINDING, MessageClass.REQUEST, counting_bytes(12)).encode(),
        Message.build(
            Method.BINDING, MessageClass.REQUEST, counting_bytes(12), [(0x0006, b"\xff\xfe")]
        ).encode(),
    ],
)
def test_what_is_not_authentic_is_counted_and_dropped(data: bytes) -> None:
    one = agent()
    assert one.receive(data, BASE, PEER, 0.0)
    assert not one.take_outputs()
    assert one.counters.unauthenticated == 1
    assert not one.is_valid_source(BASE, PEER)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (request(priority=None), 400),
        (request(priority=None, extra=((0x0024, b"\1"),)), 400),
        (request(extra=((0x0024, b"\1"),)), 400),
        (request(role=(CONTROLLING.code, b"\1")), 400),
        (request(extra=((0x7777, b""),)), 420),
        (request(extra=((0x8777, b""),)), None),
        (request(fingerprint=False), None),
    ],
)
def test_authentic_nonsense_is_answered_with_an_error(data: bytes, code: int | None) -> None:
    one = agent()
    response = answered(one, data)
    error = response.get(attributes.ERROR_CODE)
    assert (error.code if error else None) == code
    assert response.verify(IntegrityAlgorithm.SHA1, OURS.key)
    if code == 420:
        assert response.get(attributes.UNKNOWN_ATTRIBUTES) == (0x7777,)
    assert len(one.pair_statistics()) == (code is None)


@pytest.mark.parametrize(
    ("role", "theirs", "refused", "role_after"),
    [
        # RFC 8445 §7.3.1.1
        (Role.CONTROLLING, CONTROLLING.of(TIE_BREAKER - 1), True, Role.CONTROLLING),
        (Role.CONTROLLING, CONTROLLING.of(TIE_BREAKER), True, Role.CONTROLLING),
        (Role.CONTROLLING, CONTROLLING.of(TIE_BREAKER + 1), False, Role.CONTROLLED),
        (Role.CONTROLLED, CONTROLLED.of(TIE_BREAKER - 1), False, Role.CONTROLLING),
        (Role.CONTROLLED, CONTROLLED.of(TIE_BREAKER), False, Role.CONTROLLING),
        (Role.CONTROLLED, CONTROLLED.of(TIE_BREAKER + 1), True, Role.CONTROLLED),
        (Role.CONTROLLING, CONTROLLED.of(0), False, Role.CONTROLLING),
        (Role.CONTROLLED, CONTROLLING.of(2**64 - 1), False, Role.CONTROLLED),
        (Role.CONTROLLED, None, False, Role.CONTROLLED),
    ],
)
def test_role_conflicts_are_settled_by_tie_breaker(
    role: Role, theirs: RawAttribute | None, refused: bool, role_after: Role
) -> None:
    one = agent(role)
    one.receive(request(role=theirs), BASE, PEER, 0.0)
    outputs = one.take_outputs()
    response = next(Message.decode(each.data) for each in outputs if isinstance(each, Transmit))
    error = response.get(attributes.ERROR_CODE)
    assert (error.code if error else None) == (487 if refused else None)
    assert one.role is role_after
    assert (RoleChanged(role_after) in outputs) is (role_after is not role)
    assert len(one.pair_statistics()) == (not refused)


def test_requests_before_the_peers_credentials_are_acted_on_when_they_come() -> None:
    # RFC 8445 §7.3: answered at once, the rest once the password is known.
    one = agent(Role.CONTROLLED, started=False)
    one.receive(request(use_candidate=True), BASE, PEER, 0.0)
    assert not one.pair_statistics()
    one.set_remote_credentials(THEIRS, 1.0)
    one.on_deadline(1.0)
    _, check = sent(one)
    assert check.destination == PEER
    one.receive(answer(check), BASE, PEER, 1.1)
    assert one.selected_pair() is not None


def test_early_requests_are_bounded_though_each_is_answered() -> None:
    one = agent(Role.CONTROLLED, started=False)
    for number in range(MAX_EARLY_REQUESTS + 5):
        answered(one, request(), PEER.with_port(1 + number))
    assert one.counters.excess == 5
    one.set_remote_credentials(THEIRS, 1.0)
    assert len(one.pair_statistics()) == MAX_EARLY_REQUESTS


def test_a_request_of_another_session_of_the_peers_is_not_answered() -> None:
    one = agent(Role.CONTROLLED)
    assert one.receive(request(username="ours:fork", use_candidate=True), BASE, PEER, 0.0)
    assert not sent(one)
    assert not one.pair_statistics()
    assert one.counters.foreign == 1


def test_in_the_peers_restart_its_new_candidates_do_not_get_to_our_old_ones() -> None:
    # Chromium does this before it hears our answer, and would stay there if it got one.
    one = agent(Role.CONTROLLED)
    one.receive(request(use_candidate=True), BASE, PEER, 0.0)
    one.on_deadline(0.0)
    check = sent(one)[-1]
    one.receive(answer(check), BASE, PEER, 0.0)
    assert one.selected_pair() is not None
    ahead = request(username="ours:next", use_candidate=True)
    one.receive(ahead, BASE, OTHER_PEER, 1.0)
    one.restart(Credentials("mine", "mine" * 6), 1.0)
    one.receive(ahead, BASE, OTHER_PEER, 1.1)
    one.set_remote_credentials(Credentials("next", "next" * 6), 1.2)
    one.receive(ahead, BASE, OTHER_PEER, 1.3)
    assert not [each for each in sent(one) if each.destination == OTHER_PEER]
    # The old path goes on being answered, whichever name the peer has there.
    for name in ("ours:them", "ours:next"):
        response = answered(one, request(username=name), now=1.4)
        assert response.message_class is MessageClass.SUCCESS_RESPONSE


def test_a_flood_of_sources_is_bounded() -> None:
    one = agent(Role.CONTROLLED, Settings(max_pairs=10, max_remote_candidates=20))
    for number in range(50):
        answered(one, request(), PEER.with_port(1 + number))
    assert len(one.pair_statistics()) <= 10
    assert len(one.remote_candidates()) == 20
    assert one.counters.excess >= 30


def test_a_repeated_request_does_not_repeat_a_check_that_succeeded() -> None:
    one = agent(Role.CONTROLLED)
    one.receive(request(), BASE, PEER, 0.0)
    one.on_deadline(0.0)
    _, check = sent(one)
    one.receive(answer(check), BASE, PEER, 0.1)
    answered(one, request(), now=0.2)
    one.on_deadline(0.3)
    assert not sent(one)
    assert one.pair_statistics()[0].requests_received == 2


@pytest.mark.parametrize(
    ("data", "is_stun"),
    [(b"", False), (b"\x80media", False), (b"\0\1\0\0" + bytes(16), False), (b"\x16dtls", False)],
)
def test_what_is_not_stun_is_left_to_the_shell(data: bytes, is_stun: bool) -> None:
    one = agent()
    assert one.receive(data, BASE, PEER, 0.0) is is_stun


def test_other_stun_is_counted() -> None:
    one = agent()
    for method, kind in [
        (Method.ALLOCATE, MessageClass.REQUEST),
        (Method.BINDING, MessageClass.INDICATION),
        (Method.BINDING, MessageClass.SUCCESS_RESPONSE),
    ]:
        data = Message.build(method, kind, counting_bytes(12)).encode(fingerprint=True)
        assert one.receive(data, BASE, PEER, 0.0)
    assert (one.counters.unexpected, one.counters.unmatched_responses) == (1, 1)
    assert one.receive(data[:-1], BASE, PEER, 0.0)
    assert one.counters.malformed == 1
    assert not sent(one)


@given(st.data())
def test_no_bytes_break_an_agent(data: st.DataObject) -> None:
    one = agent(Role.CONTROLLED)
    one.add_remote_candidate(host(PEER), 0.0)
    one.on_deadline(0.0)
    genuine = data.draw(st.sampled_from([request(use_candidate=True), answer(sent(one)[0])]))
    broken = bytearray(genuine)
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(0, len(broken) - 1))] ^= data.draw(st.integers(1, 255))
    one.receive(bytes(broken[: data.draw(st.integers(0, len(broken)))]), BASE, PEER, 0.1)
    assert one.selected_pair() is None
    assert not one.is_valid_source(BASE, PEER)
    assert not any(nominates(each) for each in sent(one))
