import random

import attrs
import pytest

from ice_client.core import Candidate, CandidateType, Credentials, parse_candidate
from stun import Address
from tests.webrtc.sdp.pair import answer, exchange, offer, session, told
from webrtc.sdp import (
    CandidateTargetError,
    DescriptionType,
    MediaKind,
    RemoteCandidateAdded,
    SignalingState,
    SignalingStateError,
)
from webrtc.sdp.attributes import CandidateLine, Flag
from webrtc.sdp.trickle import MAX_CANDIDATES

A, V = MediaKind.AUDIO, MediaKind.VIDEO
S, T = SignalingState, DescriptionType


HOST = Candidate(
    foundation="1",
    component=1,
    priority=2130706431,
    address=Address.parse("192.0.2.1", 1000),
    type=CandidateType.HOST,
)
RELAY = attrs.evolve(
    HOST, type=CandidateType.RELAYED, address=Address.parse("2001:db8::1", 2000), priority=1
)


def test_our_candidates_are_in_the_description_and_trickled() -> None:
    one, other = session(1), session(2)
    one.add_transceiver(A, track_id="a")
    one.want_data()
    one.set_local_description()
    (transport,) = one.transports
    trickled = one.add_local_candidate(transport.id, HOST)
    assert trickled is not None
    assert (trickled.sdp_mid, trickled.sdp_m_line_index) == ("0", 0)
    assert parse_candidate(trickled.candidate).address == HOST.address
    assert trickled.username_fragment == transport.local_credentials.username_fragment
    one.add_local_candidate(transport.id, RELAY)
    end = one.add_local_candidate(transport.id, None)
    assert end is not None
    assert end.candidate == ""
    first, second = told(one.local_description).media
    assert len(first.every(CandidateLine)) == 2
    assert first.has(Flag.END_OF_CANDIDATES)
    # RFC 8839 §4.2.1.2: the default is what works most likely.
    assert (first.port, first.connection) == (2000, "IN IP6 2001:db8::1")
    assert second.every(CandidateLine) == ()
    assert one.add_local_candidate(99, HOST) is None
    other.set_remote_description(T.OFFER, told(one.local_description))
    other.set_local_description()
    remote = other.transports[0].remote
    assert remote is not None
    assert [candidate.address for candidate in remote.candidates] == [HOST.address, RELAY.address]
    assert remote.end_of_candidates


def test_a_trickled_candidate_of_the_peer_belongs_to_a_section() -> None:
    one, other = session(1), session(2)
    with pytest.raises(SignalingStateError):
        other.add_remote_candidate("candidate:x", sdp_mid="0")
    one.want_data()
    offer(one, other)
    text = "candidate:1 1 udp 2130706431 192.0.2.1 1000 typ host"
    # Before the answer it waits with the description.
    assert other.add_remote_candidate(text, sdp_mid="0") == []
    answer(other, one)
    (transport,) = other.transports
    assert transport.remote is not None
    assert transport.remote.candidates == (parse_candidate(text),)
    ufrag = transport.remote.credentials.username_fragment
    second = text.replace("1000", "1001")
    assert other.add_remote_candidate(second, sdp_m_line_index=0, username_fragment=ufrag) == [
        RemoteCandidateAdded(transport.id, parse_candidate(second))
    ]
    assert other.add_remote_candidate("", sdp_mid="0") == [RemoteCandidateAdded(transport.id, None)]
    assert len(other.remote_description.media[0].every(CandidateLine)) == 2  # type: ignore[union-attr]
    assert other.add_remote_candidate("candidate:nonsense", sdp_mid="0") == []


@pytest.mark.parametrize(
    ("mid", "index", "ufrag"),
    [("9", None, None), (None, 5, None), (None, -1, None), (None, None, None), ("0", 0, "other")],
)
def test_a_candidate_of_no_section_or_session_is_refused(
    mid: str | None, index: int | None, ufrag: str | None
) -> None:
    one, other = session(1), session(2)
    one.want_data()
    exchange(one, other)
    with pytest.raises(CandidateTargetError):
        other.add_remote_candidate(
            "candidate:1 1 udp 1 192.0.2.1 1000 typ host",
            sdp_mid=mid,
            sdp_m_line_index=index,
            username_fragment=ufrag,
        )


def test_candidates_of_the_session_that_a_restart_ends_are_still_taken() -> None:
    one, other = session(1), session(2)
    one.want_data()
    exchange(one, other)
    ufrag = one.transports[0].local_credentials.username_fragment
    one.restart_ice()
    offer(one, other)
    text = "candidate:1 1 udp 1 192.0.2.1 1000 typ host"
    events = other.add_remote_candidate(text, sdp_mid="0", username_fragment=ufrag)
    assert events == [RemoteCandidateAdded(other.transports[0].id, parse_candidate(text))]


def test_candidates_are_bounded() -> None:
    one, other = session(1), session(2)
    one.want_data()
    exchange(one, other)
    for port in range(1, MAX_CANDIDATES + 50):
        one.add_local_candidate(one.transports[0].id, attrs.evolve(HOST, priority=port))
        other.add_remote_candidate(f"candidate:1 1 udp 1 192.0.2.1 {port} typ host", sdp_mid="0")
    remote = other.transports[0].remote
    assert remote is not None
    assert len(remote.candidates) == MAX_CANDIDATES
    assert len(told(one.local_description).media[0].every(CandidateLine)) == MAX_CANDIDATES


def test_credentials_are_as_random_as_the_bytes_that_are_handed_in() -> None:
    one = session(1)
    one.want_data()
    one.set_local_description()
    source = random.Random(1)
    source.randbytes(8)
    assert one.transports[0].local_credentials == Credentials.generate(source.randbytes)
