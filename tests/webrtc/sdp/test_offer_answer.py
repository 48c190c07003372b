from pathlib import Path

import attrs
import pytest

from tests.webrtc.sdp.pair import FINGERPRINT, answer, exchange, offer, session, told
from webrtc.dtls.setup import DtlsRole, Setup
from webrtc.sdp import (
    Bandwidth,
    BundlePolicy,
    Codec,
    DescriptionType,
    Direction,
    Flag,
    InvalidDescriptionError,
    JsepSession,
    MediaKind,
    SessionDescription,
    SimulcastLayer,
    Sources,
    parse_description,
)
from webrtc.sdp.attributes import IceUfrag, SetupLine, Simulcast
from webrtc.sdp.codec import read_codecs
from webrtc.sdp.settings import JsepSettings

CAPTURED = Path(__file__).parent / "captured"
A, V = MediaKind.AUDIO, MediaKind.VIDEO


def captured(name: str) -> SessionDescription:
    return parse_description((CAPTURED / f"{name}.sdp").read_bytes().decode())


def offerer(**settings: object) -> JsepSession:
    """One that sends audio and video of one stream, and has data channels."""
    one = session(1, **settings)
    one.add_transceiver(A, track_id="a", stream_ids=["s"], sources=[Sources(ssrc=10)])
    one.add_transceiver(V, track_id="v", stream_ids=["s"], sources=[Sources(ssrc=1, rtx_ssrc=2)])
    one.want_data()
    return one


def made(one: JsepSession) -> SessionDescription:
    one.set_local_description()
    return told(one.local_description)


def test_an_offer_has_a_section_for_each_transceiver_and_one_for_data() -> None:
    description = made(offerer())
    assert [s.media for s in description.media] == ["audio", "video", "application"]
    assert description.groups("BUNDLE") == (("0", "1", "2"),)
    assert description.groups("LS") == (("0", "1"),)
    audio, video, data = description.media
    assert audio.protocol == video.protocol == "UDP/TLS/RTP/SAVPF"
    assert (data.protocol, data.formats) == ("UDP/DTLS/SCTP", ("webrtc-datachannel",))
    for section in (audio, video):
        assert section.has(Flag.RTCP_MUX)
        assert section.has(Flag.RTCP_MUX_ONLY)
        assert section.has(Flag.RTCP_REDUCED_SIZE)
        assert section.first(SetupLine) == SetupLine(Setup.ACTPASS)


@pytest.mark.parametrize(
    ("policy", "ports", "transports"),
    [
        # RFC 9429 §4.1.1: which sections could live without BUNDLE.
        (BundlePolicy.MAX_BUNDLE, [9, 0, 0, 0], 1),
        (BundlePolicy.BALANCED, [9, 9, 0, 9], 3),
        (BundlePolicy.MAX_COMPAT, [9, 9, 9, 9], 4),
    ],
)
def test_the_bundle_policy_says_which_sections_are_bundle_only(
    policy: BundlePolicy, ports: list[int], transports: int
) -> None:
    one = session(1, bundle_policy=policy)
    for kind in (A, V, V):
        one.add_transceiver(kind, track_id="t")
    one.want_data()
    description = made(one)
    assert [section.port for section in description.media] == ports
    assert [section.is_bundle_only for section in description.media] == [p == 0 for p in ports]
    assert len({section.first(IceUfrag) for section in description.media}) == transports
    assert len(one.transports) == transports


@pytest.mark.parametrize("policy", BundlePolicy)
def test_an_answer_bundles_whatever_the_offerers_policy(policy: BundlePolicy) -> None:
    one, other = offerer(bundle_policy=policy), session(2)
    exchange(one, other)
    assert [transport.mids for transport in one.transports] == [("0", "1", "2")]
    assert [transport.mids for transport in other.transports] == [("0", "1", "2")]
    assert one.transports[0].remote is not None
    assert one.transports[0].remote.credentials == other.transports[0].local_credentials


def without_bundle(description: SessionDescription) -> SessionDescription:
    return attrs.evolve(description, attributes=())


def test_of_a_peer_that_does_not_bundle_max_bundle_takes_one_section() -> None:
    one, other = offerer(bundle_policy=BundlePolicy.MAX_COMPAT), session(2)
    other.set_remote_description(DescriptionType.OFFER, without_bundle(made(one)))
    assert [section.is_rejected for section in made(other).media] == [False, True, True]


def test_of_a_peer_that_does_not_bundle_others_take_a_transport_for_each() -> None:
    one = offerer(bundle_policy=BundlePolicy.MAX_COMPAT)
    other = session(2, bundle_policy=BundlePolicy.BALANCED)
    other.set_remote_description(DescriptionType.OFFER, without_bundle(made(one)))
    answer(other, one)
    assert [t.mids for t in one.transports] == [t.mids for t in other.transports]
    assert [t.mids for t in other.transports] == [("0",), ("1",), ("2",)]


def test_transport_attributes_may_be_written_once() -> None:
    # RFC 9143 §7.1.3
    one, other = offerer(repeats_transport=False), session(2, repeats_transport=False)
    exchange(one, other)
    for description in (told(one.local_description), told(other.local_description)):
        assert [s.first(IceUfrag) is None for s in description.media] == [False, True, True]
    assert one.transports[0].dtls_role is DtlsRole.SERVER


def test_answering_yields_parameters_for_both_ends() -> None:
    one, other = offerer(), session(2)
    other.add_transceiver(V, track_id="w", added_by_track=True)
    exchange(one, other)
    audio, video = one.transceivers
    assert (audio.current_direction, video.current_direction) == (
        Direction.SENDONLY,
        Direction.SENDRECV,
    )
    their_video, their_audio = other.transceivers
    assert (their_audio.mid, their_video.mid) == ("0", "1")
    assert their_audio.send is None
    assert their_audio.receive is not None
    assert their_audio.receive.sources == (Sources(ssrc=10, cname="-"),)
    assert their_audio.remote_stream_ids == ("s",)
    assert their_audio.remote_track_id == "a"
    assert video.send is not None
    assert their_video.receive is not None
    assert their_video.receive.sources == (Sources(ssrc=1, rtx_ssrc=2, cname="-"),)
    assert video.send.codecs == their_video.receive.codecs
    assert video.send.header_extensions == their_video.receive.header_extensions
    assert one.data is not None
    assert one.data.max_message_size == 262_144


def test_a_peer_with_other_payload_types_is_sent_its_own_and_sends_ours() -> None:
    # RFC 3264 §5.1, §6.1: payload types may differ each way, though they seldom do.
    one, other = session(1), session(2)
    one.add_transceiver(V, track_id="v", codecs=[one_codec(one, "VP8")])
    other.set_remote_description(DescriptionType.OFFER, made(one))
    answered = str(made(other)).replace(" 96\r\n", " 100\r\n")
    for name in ("rtpmap:", "rtcp-fb:", "fmtp:"):
        answered = answered.replace(f"{name}96", f"{name}100")
    one.set_remote_description(
        DescriptionType.ANSWER, parse_description(answered.replace("recvonly", "sendrecv"))
    )
    (transceiver,) = one.transceivers
    assert transceiver.send is not None
    assert transceiver.receive is not None
    assert [codec.payload_type for codec in transceiver.send.codecs] == [100]
    assert [codec.payload_type for codec in transceiver.receive.codecs] == [96]


def one_codec(_one: JsepSession, name: str) -> Codec:
    return next(c for c in JsepSettings(fingerprints=()).codecs if c.name == name)


def test_codec_preferences_order_offers_and_answers() -> None:
    one, other = session(1), session(2)
    names = ["AV1", "VP8"]
    one.add_transceiver(V, track_id="v")
    other.add_transceiver(
        V, track_id="w", added_by_track=True, codecs=[one_codec(other, name) for name in names]
    )
    exchange(one, other)
    (section,) = told(other.local_description).media
    assert [codec.name for codec in read_codecs(section)] == names
    assert one.transceivers[0].send is not None
    assert [codec.name for codec in one.transceivers[0].send.codecs] == names


@pytest.mark.parametrize(
    ("wanted", "offered", "answered"),
    [
        # RFC 3264 §6.1
        (Direction.SENDRECV, Direction.SENDRECV, Direction.SENDRECV),
        (Direction.SENDRECV, Direction.SENDONLY, Direction.RECVONLY),
        (Direction.SENDRECV, Direction.RECVONLY, Direction.SENDONLY),
        (Direction.SENDONLY, Direction.SENDONLY, Direction.INACTIVE),
        (Direction.RECVONLY, Direction.SENDRECV, Direction.RECVONLY),
        (Direction.INACTIVE, Direction.SENDRECV, Direction.INACTIVE),
        (Direction.SENDRECV, Direction.INACTIVE, Direction.INACTIVE),
    ],
)
def test_directions_meet(wanted: Direction, offered: Direction, answered: Direction) -> None:
    one, other = session(1), session(2)
    one.add_transceiver(A, track_id="a", direction=offered)
    offer(one, other)
    other.transceivers[0].direction = wanted
    answer(other, one)
    assert told(other.local_description).media[0].direction is answered
    assert other.transceivers[0].current_direction is answered
    assert one.transceivers[0].current_direction is answered.reversed


def test_a_section_without_a_common_codec_is_rejected_and_both_ends_stop_it() -> None:
    one = session(1)
    one.add_transceiver(A, track_id="a")
    one.add_transceiver(V, track_id="v", codecs=[one_codec(one, "VP9")])
    other = session(2, codecs=tuple(one_codec(one, n) for n in ("opus", "VP8")))
    exchange(one, other)
    section = told(other.local_description).media[1]
    assert (section.port, section.is_rejected) == (0, True)
    assert told(other.local_description).groups("BUNDLE") == (("0",),)
    assert [t.mid for t in one.transceivers] == [t.mid for t in other.transceivers] == ["0"]


def test_kinds_that_nobody_knows_are_rejected_as_they_came() -> None:
    text = str(made(offerer())).replace("m=audio 9", "m=text 9")
    other = session(2)
    other.set_remote_description(DescriptionType.OFFER, parse_description(text))
    section = made(other).media[0]
    assert (section.media, section.port, section.formats) == ("text", 0, ("111", "9", "0", "8"))


def test_a_section_without_rtcp_mux_is_rejected() -> None:
    one, other = session(1), session(2)
    one.add_transceiver(A, track_id="a")
    text = str(made(one)).replace("a=rtcp-mux\r\n", "").replace("a=rtcp-mux-only\r\n", "")
    other.set_remote_description(DescriptionType.OFFER, parse_description(text))
    assert made(other).media[0].is_rejected


@pytest.mark.parametrize(
    ("offered", "preferred", "answered"),
    [
        # RFC 8842 §5.3: active where there is a choice, unless a program says otherwise.
        (Setup.ACTPASS, None, Setup.ACTIVE),
        (Setup.ACTPASS, DtlsRole.SERVER, Setup.PASSIVE),
        (Setup.ACTIVE, DtlsRole.CLIENT, Setup.PASSIVE),
        (Setup.PASSIVE, DtlsRole.SERVER, Setup.ACTIVE),
    ],
)
def test_the_answer_chooses_the_dtls_role(
    offered: Setup, preferred: DtlsRole | None, answered: Setup
) -> None:
    one, other = session(1), session(2, preferred_role=preferred)
    one.want_data()
    text = str(made(one)).replace("setup:actpass", f"setup:{offered.value}")
    other.set_remote_description(DescriptionType.OFFER, parse_description(text))
    assert made(other).media[0].first(SetupLine) == SetupLine(answered)
    role = DtlsRole.CLIENT if answered is Setup.ACTIVE else DtlsRole.SERVER
    assert other.transports[0].dtls_role is role


def test_the_dtls_role_stays_when_the_answerer_offers() -> None:
    # RFC 8842 §5.5: the association stays, and so do its roles.
    one, other = offerer(), session(2)
    exchange(one, other)
    other.add_transceiver(V, track_id="w")
    exchange(other, one)
    assert one.transports[0].dtls_role is DtlsRole.SERVER
    assert other.transports[0].dtls_role is DtlsRole.CLIENT
    assert told(one.local_description).media[0].first(SetupLine) == SetupLine(Setup.PASSIVE)


def test_the_offerer_controls_unless_the_other_alone_is_full() -> None:
    # RFC 8445 §6.1.1
    one, other = offerer(), session(2)
    exchange(one, other)
    assert (one.transports[0].is_controlling, other.transports[0].is_controlling) == (True, False)
    lite = session(3)
    description = made(offerer())
    attributes = (Flag.ICE_LITE, *description.attributes)
    lite.set_remote_description(
        DescriptionType.OFFER, attrs.evolve(description, attributes=attributes)
    )
    made(lite)
    assert lite.transports[0].is_controlling


def test_the_drafts_form_of_data_channels_is_answered_in_kind() -> None:
    one, other = session(1), session(2)
    one.want_data()
    text = (
        str(made(one))
        .replace("UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP 5001")
        .replace("a=sctp-port:5000", "a=sctpmap:5001 webrtc-datachannel 256")
    )
    other.set_remote_description(DescriptionType.OFFER, parse_description(text))
    section = made(other).media[0]
    assert (section.protocol, section.formats) == ("DTLS/SCTP", ("5000",))
    assert other.data is not None
    assert (other.data.local_port, other.data.remote_port) == (5000, 5001)


@pytest.mark.parametrize(("written", "meant"), [("", 65536), ("a=max-message-size:0\r\n", None)])
def test_message_sizes_have_a_default_and_a_word_for_any(written: str, meant: int | None) -> None:
    # RFC 8841 §6
    one, other = session(1), session(2)
    one.want_data()
    text = str(made(one)).replace("a=max-message-size:262144\r\n", written)
    other.set_remote_description(DescriptionType.OFFER, parse_description(text))
    made(other)
    assert other.data is not None
    assert other.data.max_message_size == meant


def test_a_limit_of_what_we_receive_limits_what_the_peer_sends() -> None:
    one, other = offerer(), session(2)
    other.add_transceiver(V, track_id="w", added_by_track=True)
    other.transceivers[0].receive_limit = Bandwidth("AS", 500)
    exchange(one, other)
    assert one.transceivers[1].send is not None
    assert one.transceivers[1].send.max_rate_bps == 500_000


LAYERS = [SimulcastLayer(rid=rid) for rid in ("h", "m", "l")]


def test_simulcast_is_offered_and_taken() -> None:
    # RFC 8853 §5.3
    one, other = session(1), session(2)
    one.add_transceiver(V, track_id="v", send_layers=LAYERS)
    exchange(one, other)
    assert "a=simulcast:recv h;m;l\r\n" in str(other.local_description)
    assert one.transceivers[0].send is not None
    assert one.transceivers[0].send.layers == tuple(LAYERS)
    assert other.transceivers[0].receive is not None
    assert other.transceivers[0].receive.layers == tuple(LAYERS)


def test_simulcast_that_is_not_wanted_is_not_answered() -> None:
    one, other = session(1), session(2)
    one.add_transceiver(V, track_id="v", send_layers=LAYERS)
    offer(one, other)
    other.transceivers[0].accepts_simulcast = False
    answer(other, one)
    assert one.transceivers[0].send is not None
    assert one.transceivers[0].send.layers == ()
    assert told(other.local_description).media[0].first(Simulcast) is None


def test_a_peer_may_be_asked_for_simulcast() -> None:
    one, other = session(1), session(2)
    asked = [LAYERS[0], LAYERS[2]]
    one.add_transceiver(V, track_id="v", direction=Direction.RECVONLY, receive_layers=asked)
    other.add_transceiver(V, track_id="w", added_by_track=True, send_layers=LAYERS)
    exchange(one, other)
    assert other.transceivers[0].send is not None
    assert other.transceivers[0].send.layers == tuple(asked)
    assert one.transceivers[0].receive is not None
    assert one.transceivers[0].receive.layers == tuple(asked)


@pytest.mark.parametrize("path", sorted(CAPTURED.glob("*offer.sdp")), ids=lambda p: p.stem)
def test_offers_of_real_peers_are_answered_section_by_section(path: Path) -> None:
    theirs = parse_description(path.read_bytes().decode())
    one = session(1)
    one.set_remote_description(DescriptionType.OFFER, theirs)
    ours = made(one)
    assert [s.mid for s in ours.media] == [s.mid for s in theirs.media]
    for section, offered in zip(ours.media, theirs.media, strict=True):
        assert section.is_rejected is offered.is_rejected
        assert set(section.formats) <= set(offered.formats)
    assert len(one.transports) == 1
    assert one.transports[0].dtls_role is DtlsRole.CLIENT


BAD_OFFERS = {
    "two sections of one name": lambda text: text.replace("a=mid:1\r\n", "a=mid:0\r\n"),
    "no ICE credentials": lambda text: text.replace("a=ice-ufrag:", "a=x-ufrag:"),
    "a password too short": lambda text: text.replace("a=ice-pwd:", "a=ice-pwd:short\r\na=x:"),
    "no fingerprint": lambda text: text.replace("a=fingerprint:", "a=x-fingerprint:"),
    "a hash that is no good": lambda text: text.replace(str(FINGERPRINT), "md5 00:01:02"),
    "a connection that is held": lambda text: text.replace("setup:actpass", "setup:holdconn"),
    "a mid in two groups": lambda text: text.replace("a=group:LS", "a=group:BUNDLE"),
    "a mid twice in a group": lambda text: text.replace("BUNDLE 0 1 2", "BUNDLE 0 1 1 2"),
    "a payload type of two codecs": lambda text: text.replace("96", "111"),
    "an identifier of two extensions": lambda text: text.replace("a=extmap:6 ", "a=extmap:1 "),
}


@pytest.mark.parametrize("name", BAD_OFFERS)
def test_offers_that_break_a_rule_change_nothing(name: str) -> None:
    text = BAD_OFFERS[name](str(made(offerer())))
    one = session(2)
    with pytest.raises(InvalidDescriptionError):
        one.set_remote_description(DescriptionType.OFFER, parse_description(text))
    assert one.remote_description is None
    assert one.transceivers == ()


BAD_ANSWERS = {
    "no choice of DTLS role": lambda text: text.replace("setup:active", "setup:actpass"),
    "fewer sections": lambda text: text.partition("m=application")[0],
    "another mid": lambda text: text.replace("a=mid:1\r\n", "a=mid:9\r\n"),
    "another kind": lambda text: text.replace("m=video", "m=audio"),
    "no rtcp-mux": lambda text: text.replace("a=rtcp-mux\r\n", ""),
    "bundle-only without BUNDLE": lambda text: text.replace("BUNDLE 0 1 2", "BUNDLE 0"),
    "more than was offered": lambda text: text.replace("a=recvonly", "a=sendrecv"),
    "another codec": lambda text: text.replace("a=rtpmap:96 VP8", "a=rtpmap:96 VP9"),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_answers_that_break_a_rule_change_nothing(name: str) -> None:
    one, other = offerer(), session(2)
    for transceiver in one.transceivers:
        transceiver.direction = Direction.SENDONLY
    other.set_remote_description(DescriptionType.OFFER, made(one))
    text = str(made(other))
    assert BAD_ANSWERS[name](text) != text
    with pytest.raises(InvalidDescriptionError):
        one.set_remote_description(
            DescriptionType.ANSWER, parse_description(BAD_ANSWERS[name](text))
        )
    assert one.current_remote_description is None
    one.set_remote_description(DescriptionType.ANSWER, parse_description(text))


def test_sections_without_a_mid_get_one() -> None:
    # RFC 9429 §5.10
    one, other = session(1), session(2)
    one.add_transceiver(A, track_id="a")
    text = str(made(one)).replace("a=mid:0\r\n", "").replace("a=group:BUNDLE 0\r\n", "")
    other.set_remote_description(DescriptionType.OFFER, parse_description(text))
    answered = str(made(other)).replace(f"a=mid:{other.transceivers[0].mid}\r\n", "")
    one.set_remote_description(DescriptionType.ANSWER, parse_description(answered))
    assert one.transceivers[0].current_direction is Direction.SENDONLY
    assert other.transceivers[0].current_direction is Direction.RECVONLY
