import random

from tests.webrtc.sdp.mutation import mutated
from tests.webrtc.sdp.pair import session
from webrtc.sdp import DescriptionType, MediaKind, SdpError, SdpParseError, parse_description


def test_whatever_a_peer_says_is_taken_or_refused_and_can_be_rolled_back() -> None:
    source = random.Random(7)
    taken, refused = 0, 0
    for seed in range(400):
        one = session(seed)
        one.add_transceiver(MediaKind.VIDEO, track_id="v", added_by_track=True)
        kind = source.choice([DescriptionType.OFFER, DescriptionType.ANSWER])
        if kind is DescriptionType.ANSWER or source.random() < 0.3:
            one.want_data()
            one.set_local_description()
        before = one.state
        try:
            description = parse_description(mutated(source))
        except SdpParseError:
            continue
        try:
            one.set_remote_description(kind, description)
        except SdpError:
            refused += 1
            assert one.state is before
            assert one.remote_description is None
            continue
        taken += 1
        if kind is DescriptionType.OFFER:
            one.create_answer()
            one.set_local_description(DescriptionType.ROLLBACK)
            assert one.remote_description is None
    assert taken > 20
    assert refused > 20
