import pytest

from webrtc.sdp import (
    Decision,
    DescriptionType,
    MediaKind,
    PerfectNegotiation,
    SignalingState,
)

A, V = MediaKind.AUDIO, MediaKind.VIDEO
S, T = SignalingState, DescriptionType


@pytest.mark.parametrize(
    ("is_polite", "is_making", "state", "kind", "decision"),
    [
        (True, False, S.STABLE, T.OFFER, Decision.APPLY),
        (False, False, S.STABLE, T.OFFER, Decision.APPLY),
        (True, True, S.STABLE, T.OFFER, Decision.ROLL_BACK_AND_APPLY),
        (False, True, S.STABLE, T.OFFER, Decision.IGNORE),
        (True, False, S.HAVE_LOCAL_OFFER, T.OFFER, Decision.ROLL_BACK_AND_APPLY),
        (False, False, S.HAVE_LOCAL_OFFER, T.OFFER, Decision.IGNORE),
        (False, True, S.HAVE_LOCAL_OFFER, T.ANSWER, Decision.APPLY),
    ],
)
def test_the_polite_one_gives_way(
    is_polite: bool,
    is_making: bool,
    state: SignalingState,
    kind: DescriptionType,
    decision: Decision,
) -> None:
    # W3C webrtc-pc §10.7
    negotiation = PerfectNegotiation(is_polite=is_polite)
    if is_making:
        negotiation.begin_offer()
    assert negotiation.receive(kind, state) is decision
    assert negotiation.ignores_candidates is (decision is Decision.IGNORE)


def test_an_offer_after_an_answer_that_is_being_set_does_not_collide() -> None:
    negotiation = PerfectNegotiation(is_polite=False)
    negotiation.begin_offer()
    negotiation.end_offer()
    assert negotiation.receive(T.ANSWER, S.HAVE_LOCAL_OFFER) is Decision.APPLY
    assert negotiation.receive(T.OFFER, S.HAVE_LOCAL_OFFER) is Decision.APPLY
    negotiation.applied()
    assert negotiation.receive(T.OFFER, S.HAVE_LOCAL_OFFER) is Decision.IGNORE
