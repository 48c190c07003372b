import attrs
import pytest

from tests.webrtc.sdp.pair import answer, exchange, offer, session, told
from webrtc.sdp import (
    DescriptionType,
    JsepSession,
    MediaKind,
    ModifiedDescriptionError,
    SignalingState,
    SignalingStateError,
)

A, V = MediaKind.AUDIO, MediaKind.VIDEO
S, T = SignalingState, DescriptionType


def in_state(state: SignalingState) -> tuple[JsepSession, JsepSession]:
    """A session in that state, and its peer."""
    one, other = session(1), session(2)
    one.add_transceiver(A, track_id="a")
    other.add_transceiver(A, track_id="b", added_by_track=True)
    if state is S.CLOSED:
        one.close()
    if state in (S.HAVE_LOCAL_OFFER, S.HAVE_REMOTE_PRANSWER):
        offer(one, other)
    if state is S.HAVE_REMOTE_PRANSWER:
        other.create_answer()
        other.set_local_description(T.PRANSWER)
        one.set_remote_description(T.PRANSWER, told(other.local_description))
    if state in (S.HAVE_REMOTE_OFFER, S.HAVE_LOCAL_PRANSWER):
        offer(other, one)
    if state is S.HAVE_LOCAL_PRANSWER:
        one.set_local_description(T.PRANSWER)
    assert one.state is state
    return one, other


LOCAL = {
    # RFC 9429 §3.2's figure
    (S.STABLE, T.OFFER): S.HAVE_LOCAL_OFFER,
    (S.HAVE_LOCAL_OFFER, T.OFFER): S.HAVE_LOCAL_OFFER,
    (S.HAVE_LOCAL_OFFER, T.ROLLBACK): S.STABLE,
    (S.HAVE_REMOTE_OFFER, T.ROLLBACK): S.STABLE,
    (S.HAVE_REMOTE_OFFER, T.PRANSWER): S.HAVE_LOCAL_PRANSWER,
    (S.HAVE_REMOTE_OFFER, T.ANSWER): S.STABLE,
    (S.HAVE_LOCAL_PRANSWER, T.PRANSWER): S.HAVE_LOCAL_PRANSWER,
    (S.HAVE_LOCAL_PRANSWER, T.ANSWER): S.STABLE,
}


@pytest.mark.parametrize("kind", T)
@pytest.mark.parametrize("state", S)
def test_our_descriptions_move_the_state_as_the_figure_says(
    state: SignalingState, kind: DescriptionType
) -> None:
    one, _ = in_state(state)
    if (state, kind) in LOCAL:
        one.set_local_description(kind)
        assert one.state is LOCAL[state, kind]
    else:
        with pytest.raises(SignalingStateError):
            one.set_local_description(kind)
        assert one.state is state


REMOTE = {
    (S.STABLE, T.OFFER): S.HAVE_REMOTE_OFFER,
    (S.HAVE_LOCAL_OFFER, T.OFFER): S.HAVE_REMOTE_OFFER,  # RFC 9429 §4.1.10.2: rolls back
    (S.HAVE_LOCAL_OFFER, T.PRANSWER): S.HAVE_REMOTE_PRANSWER,
    (S.HAVE_LOCAL_OFFER, T.ANSWER): S.STABLE,
    (S.HAVE_LOCAL_OFFER, T.ROLLBACK): S.STABLE,
    (S.HAVE_REMOTE_OFFER, T.OFFER): S.HAVE_REMOTE_OFFER,
    (S.HAVE_REMOTE_OFFER, T.ROLLBACK): S.STABLE,
    (S.HAVE_REMOTE_PRANSWER, T.PRANSWER): S.HAVE_REMOTE_PRANSWER,
    (S.HAVE_REMOTE_PRANSWER, T.ANSWER): S.STABLE,
}


@pytest.mark.parametrize("kind", T)
@pytest.mark.parametrize("state", S)
def test_the_peers_descriptions_move_the_state_as_the_figure_says(
    state: SignalingState, kind: DescriptionType
) -> None:
    one, other = in_state(state)
    fresh, answering = session(3), session(4)
    fresh.add_transceiver(A, track_id="x")
    fresh.set_local_description()
    description = told(fresh.local_description)
    if kind in (T.ANSWER, T.PRANSWER) and one.local_description is not None:
        # A description of the other kind fits where the state lets it be.
        source = other if other.local_description is not None else answering
        if source is answering or other.state is S.HAVE_REMOTE_OFFER:
            source = answering
            source.set_remote_description(T.OFFER, told(one.local_description))
            source.set_local_description()
        description = told(source.local_description)
    elif kind in (T.ANSWER, T.PRANSWER) and state is S.HAVE_LOCAL_OFFER:
        raise AssertionError
    elif state is S.HAVE_REMOTE_OFFER and one.remote_description is not None:
        description = one.remote_description
    if (state, kind) in REMOTE:
        one.set_remote_description(kind, description)
        assert one.state is REMOTE[state, kind]
    else:
        with pytest.raises(SignalingStateError):
            one.set_remote_description(kind, description)
        assert one.state is state


@pytest.mark.parametrize("state", S)
def test_offers_and_answers_are_made_only_when_due(state: SignalingState) -> None:
    one, _ = in_state(state)
    offers = state in (S.STABLE, S.HAVE_LOCAL_OFFER)
    answers = state in (S.HAVE_REMOTE_OFFER, S.HAVE_LOCAL_PRANSWER)
    for is_due, create in ((offers, one.create_offer), (answers, one.create_answer)):
        if is_due:
            assert create().media
        else:
            with pytest.raises(SignalingStateError):
                create()


def test_what_was_not_created_last_is_not_set() -> None:
    # RFC 9429 §5.4
    one = session(1)
    one.add_transceiver(A, track_id="a")
    first = one.create_offer()
    one.set_local_description(T.OFFER, first)
    with pytest.raises(ModifiedDescriptionError):
        one.set_local_description(T.OFFER, attrs.evolve(one.create_offer(), name="other"))
    with pytest.raises(ModifiedDescriptionError):
        one.set_local_description(T.OFFER, first)


def test_types_of_descriptions_are_told() -> None:
    one, other = in_state(S.HAVE_REMOTE_PRANSWER)
    assert (one.local_type, one.remote_type) == (T.OFFER, T.PRANSWER)
    assert (other.local_type, other.remote_type) == (T.PRANSWER, T.OFFER)
    answer(other, one)
    assert (one.local_type, one.remote_type) == (T.OFFER, T.ANSWER)
    assert one.pending_local_description is None
    assert one.current_local_description == one.local_description


def test_a_provisional_answer_is_in_force_but_settles_nothing() -> None:
    one, _ = in_state(S.HAVE_REMOTE_PRANSWER)
    assert one.transports[0].remote is not None
    assert one.transceivers[0].send is not None
    assert one.transceivers[0].current_direction is None
    assert one.current_remote_description is None


def test_the_origin_keeps_its_number_and_counts_versions() -> None:
    # RFC 9429 §5.2.2
    one, other = session(1), session(2)
    one.add_transceiver(A, track_id="a")
    origins = []
    for _ in range(2):
        exchange(one, other)
        origins.append(told(one.local_description).origin)
    assert origins[0].session_id == origins[1].session_id < 1 << 62
    assert origins[0].session_version + 1 == origins[1].session_version
