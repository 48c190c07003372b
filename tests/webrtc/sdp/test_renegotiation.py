import random

import pytest

from tests.webrtc.sdp.pair import answer, exchange, offer, session, told
from webrtc.sdp import (
    DescriptionType,
    Direction,
    InvalidDescriptionError,
    JsepSession,
    MediaKind,
    RemoteTrackAdded,
    RemoteTrackRemoved,
    SignalingState,
    TransceiverAdded,
    TransceiverRemoved,
    TransceiverStopped,
    TransportChanged,
    TransportRemoved,
)
from webrtc.sdp.attributes import Ssrc
from webrtc.sdp.codec import read_codecs
from webrtc.sdp.parameters import Sources

A, V = MediaKind.AUDIO, MediaKind.VIDEO
S, T = SignalingState, DescriptionType


def test_rolling_an_offer_back_takes_its_sections_away() -> None:
    one = session(1)
    transceiver = one.add_transceiver(A, track_id="a")
    one.set_local_description()
    number = one.transports[0].id
    assert transceiver.mid == "0"
    events = one.set_local_description(T.ROLLBACK)
    assert TransportRemoved(number) in events
    assert one.transceivers == (transceiver,)
    assert transceiver.mid != "0"
    assert one.local_description is None
    assert one.is_negotiation_needed


def test_rolling_the_peers_offer_back_takes_its_transceivers_away() -> None:
    one, other = session(1), session(2)
    one.add_transceiver(A, track_id="a", stream_ids=["s"])
    one.add_transceiver(V, track_id="v")
    offer(one, other)
    audio, video = other.transceivers
    video.added_by_track = True
    events = other.set_remote_description(T.ROLLBACK)
    assert TransceiverRemoved(audio) in events
    assert RemoteTrackRemoved(audio, ("s",)) in events
    # RFC 9429 §4.1.10.2: one that a track was added to in the meantime stays.
    assert other.transceivers == (video,)
    assert video.mid is None


def test_a_crossing_offer_rolls_ours_back_and_ours_comes_after() -> None:
    one, other = session(1), session(2)
    one.add_transceiver(A, track_id="a")
    mine = other.add_transceiver(V, track_id="v")
    one.set_local_description()
    other.set_local_description()
    other.set_remote_description(T.OFFER, told(one.local_description))
    assert mine.mid is None
    answer(other, one)
    assert other.is_negotiation_needed
    exchange(other, one)
    assert mine.current_direction is Direction.SENDONLY
    assert not other.is_negotiation_needed


def test_a_rollback_gives_up_credentials_of_a_restart() -> None:
    one, other = session(1), session(2)
    one.want_data()
    exchange(one, other)
    before = one.transports
    one.create_offer(ice_restart=True)
    one.set_local_description(T.OFFER, one.create_offer(ice_restart=True))
    assert one.transports[0].local_credentials != before[0].local_credentials
    assert one.transports[0].remote is None
    one.set_local_description(T.ROLLBACK)
    assert one.transports == before


def test_sections_are_added_at_the_end() -> None:
    # RFC 9429 §5.2.2
    one, other = session(1), session(2)
    one.add_transceiver(A, track_id="a")
    one.want_data()
    exchange(one, other)
    one.add_transceiver(V, track_id="v")
    exchange(one, other)
    media = told(one.local_description).media
    assert [section.mid for section in media] == ["0", "1", "2"]
    assert [section.media for section in media] == ["audio", "application", "video"]
    assert [transport.mids for transport in one.transports] == [("0", "1", "2")]


def test_a_stopped_transceivers_section_is_used_again_under_another_name() -> None:
    one, other = session(1), session(2)
    audio, video = one.add_transceiver(A, track_id="a"), one.add_transceiver(V, track_id="v")
    exchange(one, other)
    theirs = other.transceivers[0]
    audio.stop()
    assert one.is_negotiation_needed
    events, mine = exchange(one, other)
    assert TransceiverStopped(theirs) in events
    assert TransceiverStopped(audio) in mine
    assert (audio.stopped, audio.send, audio.mid) == (True, None, None)
    media = told(one.local_description).media
    assert [section.is_rejected for section in media] == [True, False]
    assert one.transceivers == (video,)
    assert not one.is_negotiation_needed
    # RFC 9429 §5.2.2: of whatever kind.
    new = one.add_transceiver(V, track_id="n")
    exchange(one, other)
    media = told(one.local_description).media
    assert [(s.media, s.mid, s.is_rejected) for s in media] == [
        ("video", "2", False),
        ("video", "1", False),
    ]
    assert new.current_direction is Direction.SENDONLY


def test_the_transport_outlives_the_section_that_began_it() -> None:
    one, other = session(1), session(2)
    audio, _ = one.add_transceiver(A, track_id="a"), one.add_transceiver(V, track_id="v")
    exchange(one, other)
    before = one.transports[0]
    audio.stop()
    exchange(one, other)
    after = one.transports[0]
    assert (after.id, after.local_credentials, after.remote) == (
        before.id,
        before.local_credentials,
        before.remote,
    )
    assert after.mids == ("1",)


def test_tracks_come_and_go_with_the_direction() -> None:
    one, other = session(1), session(2)
    mine = one.add_transceiver(A, track_id="a", stream_ids=["s"])
    events, _ = exchange(one, other)
    (theirs,) = other.transceivers
    assert RemoteTrackAdded(theirs, ("s",)) in events
    assert TransceiverAdded(theirs) in events
    mine.direction = Direction.INACTIVE
    assert one.is_negotiation_needed
    events, _ = exchange(one, other)
    assert RemoteTrackRemoved(theirs, ("s",)) in events
    assert (theirs.receive, mine.send) == (None, None)
    mine.direction, mine.stream_ids = Direction.SENDRECV, ("t", "u")
    events, _ = exchange(one, other)
    assert RemoteTrackAdded(theirs, ("t", "u")) in events


def test_a_source_is_told_of_while_it_is_not_sent() -> None:
    # Else libwebrtc decodes and shows nothing when it comes back (see sections.py).
    one, other = session(1), session(2)
    transceiver = one.add_transceiver(V, track_id="v")
    transceiver.sources = (Sources(ssrc=1, rtx_ssrc=2),)
    exchange(one, other)
    for direction in (Direction.RECVONLY, Direction.INACTIVE, Direction.SENDRECV):
        transceiver.direction = direction
        exchange(one, other)
        description = one.local_description
        assert description is not None
        told_of = {entry.ssrc for entry in description.media[0].every(Ssrc)}
        assert told_of == {1, 2}


def test_nothing_changes_when_nothing_is_renegotiated() -> None:
    one, other = session(1), session(2)
    one.add_transceiver(A, track_id="a")
    one.want_data()
    exchange(one, other)
    for events in exchange(other, one):
        assert {type(event).__name__ for event in events} == {"SignalingStateChanged"}


def test_payload_types_stay_whoever_offers() -> None:
    one, other = session(1), session(2)
    one.add_transceiver(V, track_id="v")
    one.set_local_description()
    # The peer has its own idea of numbers: two of ours are swapped.
    text = str(one.local_description)
    for old, new in (("96", "x"), ("112", "96"), ("x", "112")):
        for before, after in (("rtpmap:", " "), ("fmtp:", " "), ("rtcp-fb:", " "), ("apt=", "\r")):
            text = text.replace(f"{before}{old}{after}", f"{before}{new}{after}")
    from webrtc.sdp import parse_description

    other.set_remote_description(T.OFFER, parse_description(text))
    other.set_local_description()
    other.add_transceiver(V, track_id="w")
    named = [read_codecs(section) for section in other.create_offer().media]
    for codecs in named:
        numbers = {codec.payload_type: codec.name for codec in codecs}
        assert (numbers[112], numbers[96]) == ("VP8", "VP9")
        assert next(c for c in codecs if c.payload_type == 110).parameters == (("apt", "112"),)


def needs(one: JsepSession) -> bool:
    return one.is_negotiation_needed


def test_negotiation_is_needed_when_something_new_is_wanted() -> None:
    # W3C webrtc-pc §4.7.3
    one, other = session(1), session(2)
    assert not needs(one)
    one.want_data()
    assert needs(one)
    exchange(one, other)
    assert not needs(one)
    assert not needs(other)
    mine = one.add_transceiver(A, track_id="a")
    assert needs(one)
    offer(one, other)
    assert not needs(one)  # not while an exchange is under way
    answer(other, one)
    assert not needs(one)
    other.transceivers[0].direction = Direction.SENDRECV
    assert needs(other)
    exchange(other, one)
    mine.stream_ids = ("new",)
    assert needs(one)
    exchange(one, other)
    assert not needs(one)
    one.restart_ice()
    assert needs(one)
    exchange(one, other)
    assert not needs(one)
    other.transceivers[0].stop()
    assert needs(other)


def test_a_restart_that_is_answered_with_old_credentials_is_refused_and_can_be_rolled_back() -> (
    None
):
    one, other = session(1), session(2)
    one.add_transceiver(A, track_id="a")
    exchange(one, other)
    old = told(other.local_description)
    one.restart_ice()
    offer(one, other)
    with pytest.raises(
        InvalidDescriptionError, match="section 0 answers our ICE restart with none"
    ):
        one.set_remote_description(T.ANSWER, old)
    states = [one.state]
    one.set_local_description(T.ROLLBACK)
    other.set_remote_description(T.ROLLBACK)
    exchange(one, other)
    states.append(one.state)
    assert states == [S.HAVE_LOCAL_OFFER, S.STABLE]


def test_two_ends_that_only_send_do_not_offer_for_ever() -> None:
    one, other = session(1), session(2)
    one.add_transceiver(A, track_id="a", direction=Direction.SENDONLY)
    offer(one, other)
    other.transceivers[0].direction = Direction.SENDONLY
    answer(other, one)
    assert (needs(one), needs(other)) == (False, False)
    exchange(other, one)
    assert (needs(one), needs(other)) == (False, False)


def test_an_offer_that_ends_all_sections_keeps_their_transport_until_the_answer() -> None:
    one, other = session(1), session(2)
    one.add_transceiver(A, track_id="a").direction = Direction.SENDRECV
    exchange(one, other)
    before = one.transports
    one.transceivers[0].stop()
    one.add_transceiver(V, track_id="v")
    events = offer(one, other)
    assert before[0] in one.transports
    assert TransportRemoved(before[0].id) not in events
    one.set_local_description(T.ROLLBACK)
    other.set_local_description(T.ROLLBACK)
    assert one.transports == before
    exchange(one, other)
    assert len(one.transports) == 1
    assert one.transports[0].id != before[0].id


def test_answering_less_than_is_wanted_needs_no_negotiation_of_its_own() -> None:
    one, other = session(1), session(2)
    one.add_transceiver(A, track_id="a", direction=Direction.SENDONLY)
    offer(one, other)
    other.transceivers[0].direction = Direction.RECVONLY
    answer(other, one)
    assert not needs(other)


def test_restarting_ice_changes_the_credentials_of_both_ends_and_nothing_else() -> None:
    # RFC 8839 §4.4.3.1
    one, other = session(1), session(2)
    one.want_data()
    exchange(one, other)
    before = one.transports[0], other.transports[0]
    one.restart_ice()
    events, mine = exchange(one, other)
    after = one.transports[0], other.transports[0]
    for old, new in zip(before, after, strict=True):
        assert old.local_credentials != new.local_credentials
        assert (old.id, old.dtls_role, old.is_controlling) == (
            new.id,
            new.dtls_role,
            new.is_controlling,
        )
    assert TransportChanged(after[1]) in events
    assert TransportChanged(after[0]) in mine
    assert after[0].remote is not None
    assert after[0].remote.credentials == after[1].local_credentials


def test_without_a_restart_credentials_stay() -> None:
    one, other = session(1), session(2)
    one.want_data()
    exchange(one, other)
    before = one.transports
    one.add_transceiver(A, track_id="a")
    exchange(one, other)
    assert one.transports[0].local_credentials == before[0].local_credentials


def act(source: random.Random, step: int, one: JsepSession, other: JsepSession) -> None:
    match source.randrange(7):
        case 0 if len(one.transceivers) < 8:
            one.add_transceiver(
                source.choice([A, V]),
                track_id=f"t{step}",
                direction=source.choice(list(Direction)),
                added_by_track=source.random() < 0.5,
            )
        case 1 if one.transceivers:
            source.choice(one.transceivers).stop()
        case 2 if one.transceivers:
            transceiver = source.choice(one.transceivers)
            if transceiver.is_active:
                transceiver.direction = source.choice(list(Direction))
        case 3:
            one.want_data()
        case 4:
            one.restart_ice()
        case 5:
            offer(one, other)
            one.set_local_description(T.ROLLBACK)
            other.set_local_description(T.ROLLBACK)
        case _:
            exchange(one, other)


@pytest.mark.parametrize("seed", [*range(25), 30, 128, 185, 244, 278])
def test_two_ends_agree_after_whatever_they_did(seed: int) -> None:
    source = random.Random(seed)
    ends = [session(seed * 2 + 1), session(seed * 2 + 2)]
    for step in range(25):
        act(source, step, *source.sample(ends, 2))
    exchange(*ends)
    exchange(*reversed(ends))
    exchange(*ends)
    one, other = ends
    assert not one.is_negotiation_needed
    assert not other.is_negotiation_needed
    assert [t.mids for t in one.transports] == [t.mids for t in other.transports]
    for mine, theirs in zip(one.transports, other.transports, strict=True):
        assert mine.remote is not None
        assert mine.remote.credentials == theirs.local_credentials
        assert mine.dtls_role is not theirs.dtls_role
        assert mine.is_controlling is not theirs.is_controlling
    mids = {t.mid: t for t in other.transceivers}
    assert {t.mid for t in one.transceivers} == mids.keys()
    for transceiver in one.transceivers:
        peer = mids[transceiver.mid]
        assert transceiver.current_direction is not None
        assert transceiver.current_direction.reversed is peer.current_direction
        assert (transceiver.send is None) is (peer.receive is None)
