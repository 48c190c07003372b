"""Descriptions that no peer of good will sends."""

import random
import time

from tests.webrtc.sdp.mutation import mutated
from tests.webrtc.sdp.pair import FINGERPRINT, session
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


def test_hundreds_of_sections_that_tell_their_transport_last_are_soon_answered() -> None:
    count = 384
    head = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0"]
    lines = [*head, f"a=group:BUNDLE {' '.join(map(str, range(count)))}"]
    for index in range(count):
        lines += ["m=audio 9 UDP/TLS/RTP/SAVPF 111", f"a=mid:{index}", "a=rtcp-mux"]
        lines += ["a=rtpmap:111 opus/48000/2"]
    lines += ["a=ice-ufrag:abcd", f"a=ice-pwd:{'a' * 22}", "a=setup:actpass"]
    lines += [f"a=fingerprint:{FINGERPRINT}", ""]
    one = session()
    began = time.process_time()
    one.set_remote_description(DescriptionType.OFFER, parse_description("\r\n".join(lines)))
    one.set_local_description()
    # With a search for each name it is 40 seconds.
    assert time.process_time() - began < 10
