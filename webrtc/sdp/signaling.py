"""Which description may be set in which signaling state, and the state it leads to."""

from __future__ import annotations

from webrtc.sdp.description import DescriptionType
from webrtc.sdp.errors import SignalingStateError
from webrtc.sdp.events import SignalingState

_S, _T = SignalingState, DescriptionType
_LOCAL = {
    (_S.STABLE, _T.OFFER): _S.HAVE_LOCAL_OFFER,
    (_S.HAVE_LOCAL_OFFER, _T.OFFER): _S.HAVE_LOCAL_OFFER,
    (_S.HAVE_REMOTE_OFFER, _T.PRANSWER): _S.HAVE_LOCAL_PRANSWER,
    (_S.HAVE_LOCAL_PRANSWER, _T.PRANSWER): _S.HAVE_LOCAL_PRANSWER,
    (_S.HAVE_REMOTE_OFFER, _T.ANSWER): _S.STABLE,
    (_S.HAVE_LOCAL_PRANSWER, _T.ANSWER): _S.STABLE,
}
_REMOTE = {
    (_S.STABLE, _T.OFFER): _S.HAVE_REMOTE_OFFER,
    (_S.HAVE_REMOTE_OFFER, _T.OFFER): _S.HAVE_REMOTE_OFFER,
    # After the rollback that is implied (RFC 9429 §4.1.10.2).
    (_S.HAVE_LOCAL_OFFER, _T.OFFER): _S.HAVE_REMOTE_OFFER,
    (_S.HAVE_LOCAL_OFFER, _T.PRANSWER): _S.HAVE_REMOTE_PRANSWER,
    (_S.HAVE_REMOTE_PRANSWER, _T.PRANSWER): _S.HAVE_REMOTE_PRANSWER,
    (_S.HAVE_LOCAL_OFFER, _T.ANSWER): _S.STABLE,
    (_S.HAVE_REMOTE_PRANSWER, _T.ANSWER): _S.STABLE,
}
"""RFC 9429 §3.2's figure; what is not here is refused."""


def next_state(state: SignalingState, kind: DescriptionType, *, is_local: bool) -> SignalingState:
    """Return the state after a description was set; rollbacks are not asked of this.

    Raises:
        SignalingStateError: it may not be set.

    """
    found = (_LOCAL if is_local else _REMOTE).get((state, kind))
    if found is None:
        whose = "our" if is_local else "the peer's"
        raise SignalingStateError(f"{whose} {kind.value} in {state.value}")
    return found
