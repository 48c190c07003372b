import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.webrtc.sdp.mutation import CAPTURED, mutated, text_of
from webrtc.dtls.fingerprint import Fingerprint
from webrtc.dtls.setup import Setup
from webrtc.sdp import Bandwidth, Direction, Flag, SdpParseError, parse_description
from webrtc.sdp.attribute_reader import parse_attribute
from webrtc.sdp.attribute_writer import format_attribute
from webrtc.sdp.attributes import (
    Attribute,
    CandidateLine,
    ExtMap,
    FingerprintLine,
    Fmtp,
    Group,
    IceOptions,
    IcePwd,
    IceUfrag,
    MaxMessageSize,
    Mid,
    Msid,
    MsidSemantic,
    PacketTime,
    Rid,
    RidDirection,
    Rtcp,
    RtcpFeedback,
    RtpMap,
    SctpMap,
    SctpPort,
    SetupLine,
    Simulcast,
    SimulcastStream,
    Ssrc,
    SsrcGroup,
    Unknown,
)

HEAD = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"


@pytest.mark.parametrize("path", CAPTURED, ids=lambda path: path.stem)
def test_what_peers_write_is_read_and_written_without_loss(path: Path) -> None:
    text = text_of(path)
    description = parse_description(text)
    assert parse_description(str(description)) == description
    # Two kinds of white space mean nothing: Chromium's after a colon, pion's at an end.
    # Nor does the case of a candidate's transport, which Firefox writes in capitals.
    written = str(description).replace("a=msid-semantic:", "a=msid-semantic: ")
    read = text.replace("a=msid-semantic:WMS", "a=msid-semantic: WMS")
    lines = [
        re.sub(" (UDP|TCP) ", lambda m: m[0].lower(), line.rstrip()) for line in read.splitlines()
    ]
    assert sorted(lines) == sorted(written.splitlines())


@pytest.mark.parametrize("path", CAPTURED, ids=lambda path: path.stem)
def test_every_attribute_that_peers_write_for_webrtc_has_a_type(path: Path) -> None:
    description = parse_description(text_of(path))
    parts = (description, *description.media)
    unknown = {entry.name for part in parts for entry in part.every(Unknown)}
    # RFC 3611 reports, which Chromium names though nobody asks for them.
    assert unknown <= {"rtcp-xr"}


ATTRIBUTES: list[tuple[str, Attribute]] = [
    ("ice-ufrag:8hhY", IceUfrag("8hhY")),
    ("ice-pwd:asd88fgpdd777uzjYhagZg", IcePwd("asd88fgpdd777uzjYhagZg")),
    ("ice-options:trickle ice2", IceOptions(("trickle", "ice2"))),
    ("ice-lite", Flag.ICE_LITE),
    ("end-of-candidates", Flag.END_OF_CANDIDATES),
    ("rtcp-mux", Flag.RTCP_MUX),
    ("rtcp-rsize", Flag.RTCP_REDUCED_SIZE),
    ("bundle-only", Flag.BUNDLE_ONLY),
    ("extmap-allow-mixed", Flag.EXTMAP_ALLOW_MIXED),
    ("setup:actpass", SetupLine(Setup.ACTPASS)),
    (
        "fingerprint:sha-256 " + ":".join(f"{n:02X}" for n in range(32)),
        FingerprintLine(Fingerprint("sha-256", bytes(range(32)))),
    ),
    ("mid:audio0", Mid("audio0")),
    ("group:BUNDLE 0 1", Group("BUNDLE", ("0", "1"))),
    ("group:LS a v", Group("LS", ("a", "v"))),
    ("group:BUNDLE", Group("BUNDLE", ())),
    ("msid:stream track", Msid("stream", "track")),
    ("msid:-", Msid("-")),
    ("msid-semantic:WMS *", MsidSemantic("WMS", ("*",))),
    ("rtpmap:111 opus/48000/2", RtpMap(111, "opus", 48000, 2)),
    ("rtpmap:96 VP8/90000", RtpMap(96, "VP8", 90000)),
    (
        "fmtp:111 minptime=10;useinbandfec=1",
        Fmtp(111, (("minptime", "10"), ("useinbandfec", "1"))),
    ),
    ("fmtp:63 111/111", Fmtp(63, (("111/111", None),))),
    ("rtcp-fb:* transport-cc", RtcpFeedback(None, "transport-cc")),
    ("rtcp-fb:96 nack pli", RtcpFeedback(96, "nack", "pli")),
    ("extmap:3 urn:x", ExtMap(3, "urn:x")),
    ("extmap:3/sendonly urn:x a b", ExtMap(3, "urn:x", Direction.SENDONLY, "a b")),
    ("ssrc:1 cname:x y", Ssrc(1, "cname", "x y")),
    ("ssrc:4294967295 foo", Ssrc(4294967295, "foo")),
    ("ssrc-group:FID 1 2", SsrcGroup("FID", (1, 2))),
    ("ssrc-group:SIM 1 2 3", SsrcGroup("SIM", (1, 2, 3))),
    ("ssrc-group:FEC-FR 1 2", SsrcGroup("FEC-FR", (1, 2))),
    ("rid:h send", Rid("h", RidDirection.SEND)),
    (
        "rid:1 recv pt=96,97;max-width=1280",
        Rid("1", RidDirection.RECV, (96, 97), (("max-width", "1280"),)),
    ),
    (  # RFC 8853 §5.2's example
        "simulcast:send 1,~4;2 recv 3",
        Simulcast(
            send=(
                (SimulcastStream("1"), SimulcastStream("4", paused=True)),
                (SimulcastStream("2"),),
            ),
            recv=((SimulcastStream("3"),),),
        ),
    ),
    ("sctp-port:5000", SctpPort(5000)),
    ("max-message-size:262144", MaxMessageSize(262144)),
    ("sctpmap:5000 webrtc-datachannel 1024", SctpMap(5000, "webrtc-datachannel", 1024)),
    ("rtcp:9 IN IP4 0.0.0.0", Rtcp(9, "IN IP4 0.0.0.0")),
    ("ptime:20", PacketTime(20)),
    ("ptime:2.5", PacketTime(2.5)),
    ("maxptime:60", PacketTime(60, maximum=True)),
    ("sendrecv", Direction.SENDRECV),
    ("inactive", Direction.INACTIVE),
    ("x-what:ever: with  spaces ", Unknown("x-what", "ever: with  spaces ")),
    ("x-flag", Unknown("x-flag")),
    # RFC 8839 §5.1: a candidate of a transport that we don't know is ignored, and kept.
    (
        "candidate:1 1 sctp 1 192.0.2.1 9 typ host",
        Unknown("candidate", "1 1 sctp 1 192.0.2.1 9 typ host"),
    ),
]


@pytest.mark.parametrize(("text", "value"), ATTRIBUTES, ids=[text for text, _ in ATTRIBUTES])
def test_an_attribute_and_its_text_are_one(text: str, value: Attribute) -> None:
    assert parse_attribute(text) == value
    assert format_attribute(value) == text


def test_a_candidate_is_read_as_ice_reads_it() -> None:
    text = "candidate:1 1 udp 2130706431 192.0.2.2 40096 typ host"
    line = parse_attribute(text)
    assert isinstance(line, CandidateLine)
    assert line.candidate.address.port == 40096
    assert format_attribute(line) == text


def test_passwords_do_not_show() -> None:
    assert "asd88f" not in repr(IcePwd("asd88fgpdd777uzjYhagZg"))


MALFORMED = [
    "a=rtpmap:96",
    "a=rtpmap:128 VP8/90000",
    "a=rtpmap:96 VP8",
    "a=rtpmap:96 VP8/0",
    "a=rtpmap:x VP8/90000",
    "a=fmtp:96",
    "a=fmtp:96 =1",
    "a=fmtp:300 a=1",
    "a=rtcp-fb:96",
    "a=extmap:0 urn:x",
    "a=extmap:4352 urn:x",
    "a=extmap:1/sideways urn:x",
    "a=extmap:1",
    "a=ssrc:4294967296 cname:x",
    "a=ssrc:1",
    "a=ssrc-group:FID x",
    "a=rid:h sideways",
    "a=rid:h",
    "a=rid:h!! send",
    "a=simulcast:send",
    "a=simulcast:1;2",
    "a=simulcast:send 1 send 2",
    "a=setup:maybe",
    "a=fingerprint:sha-256 00:01",
    "a=mid:",
    "a=mid",
    "a=mid:a b",
    "a=group:",
    "a=msid:a b c",
    "a=ice-ufrag:a b",
    "a=sctp-port:65536",
    "a=max-message-size:-1",
    "a=rtcp-mux:yes",
    "a=sendrecv:yes",
    "a=ptime:soon",
    "a=",
    "a=ärger",
    "b=AS",
    "b=AS:x",
    "c=IN IP4",
    "m=audio",
    "m=audio 65536 RTP/AVP 0",
    "m=audio 9/0 RTP/AVP 0",
    "v=0",
    "nonsense",
    "A=b",
    "a=\x00",
    "",
]


@pytest.mark.parametrize("line", MALFORMED)
def test_a_malformed_line_is_named(line: str) -> None:
    with pytest.raises(SdpParseError) as caught:
        parse_description(f"{HEAD}m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n{line}\r\na=mid:0\r\n")
    assert caught.value.line_number == 6
    assert caught.value.line == line


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v=0\n",
        "v=1\no=- 1 2 IN IP4 127.0.0.1\ns=-\n",
        "o=- 1 2 IN IP4 127.0.0.1\nv=0\ns=-\n",
        "v=0\no=- x 2 IN IP4 127.0.0.1\ns=-\n",
        "v=0\no=- 1 2 IN IP4\ns=-\n",
        HEAD + "a=x\r\n" * 60_000,
        HEAD + "m=audio 9 RTP/AVP 0\r\n" * 1025,
        HEAD + "a=" + "x" * 20_000,
        "x" * (1 << 21),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_description_or_too_much_is_refused(text: str) -> None:
    with pytest.raises(SdpParseError):
        parse_description(text)


def test_lines_may_end_with_lf_alone_and_be_followed_by_empty_ones() -> None:
    assert parse_description(HEAD.replace("\r\n", "\n") + "\n\n") == parse_description(HEAD)


def test_lines_that_nobody_knows_survive_in_the_order_of_the_grammar() -> None:
    text = (
        "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=call\r\ni=about\r\nu=http://x\r\ne=a@b\r\n"
        "c=IN IP4 192.0.2.1\r\nb=AS:100\r\nb=X-YZ:128\r\nt=0 0\r\nr=7d 1h 0\r\nk=clear:x\r\n"
        "y=new\r\na=x-session:1\r\nm=audio 9/2 RTP/AVP 0\r\ni=title\r\nc=IN IP4 192.0.2.1/127\r\n"
        "c=IN IP4 192.0.2.2/127\r\nb=TIAS:64000\r\nk=prompt\r\na=x-media\r\n"
    )
    description = parse_description(text)
    section = description.media[0]
    assert section.bandwidths == (Bandwidth("TIAS", 64000),)
    assert section.port_count == 2
    assert parse_description(str(description)) == description
    assert sorted(str(description).splitlines()) == sorted(text.splitlines())


def test_bandwidths_are_told_in_bits_per_second() -> None:
    rates = [Bandwidth(kind, 128).rate_bps for kind in ("AS", "TIAS", "X-YZ")]
    assert rates == [128_000, 128, None]


TOKENS = st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True)
SSRCS = st.integers(0, 2**32 - 1)
PAYLOAD_TYPES = st.integers(0, 127)
LAYERS = st.lists(
    st.lists(st.builds(SimulcastStream, TOKENS, st.booleans()), min_size=1, max_size=3).map(tuple),
    min_size=1,
    max_size=3,
).map(tuple)
PARAMETERS = st.lists(st.tuples(TOKENS.filter(lambda t: t != "pt"), st.none() | TOKENS), min_size=1)
VALUES = st.one_of(
    st.builds(Mid, TOKENS),
    st.builds(Group, TOKENS, st.lists(TOKENS).map(tuple)),
    st.builds(Msid, TOKENS, st.none() | TOKENS),
    st.builds(RtpMap, PAYLOAD_TYPES, TOKENS, st.integers(1, 96000), st.none() | st.integers(1, 8)),
    st.builds(Fmtp, PAYLOAD_TYPES, PARAMETERS.map(tuple)),
    st.builds(RtcpFeedback, st.none() | PAYLOAD_TYPES, TOKENS, st.none() | TOKENS),
    st.builds(
        ExtMap, st.integers(1, 255), TOKENS, st.none() | st.sampled_from(Direction), st.none()
    ),
    st.builds(Ssrc, SSRCS, TOKENS, st.none() | TOKENS),
    st.builds(SsrcGroup, TOKENS, st.lists(SSRCS, min_size=1).map(tuple)),
    st.builds(
        Rid,
        TOKENS,
        st.sampled_from(RidDirection),
        st.lists(PAYLOAD_TYPES).map(tuple),
        PARAMETERS.map(tuple),
    ),
    st.builds(Simulcast, LAYERS, LAYERS),
    st.builds(Simulcast, LAYERS),
    st.builds(PacketTime, st.integers(0, 999_999).map(float), st.booleans()),
    st.sampled_from(Flag),
    st.sampled_from(Direction),
    st.builds(Unknown, TOKENS.map(lambda t: f"x-{t}"), st.none() | st.text("abc: =;é")),
)


@given(VALUES)
@settings(max_examples=300, deadline=None)
def test_any_attribute_survives_being_written_and_read(value: Attribute) -> None:
    assert parse_attribute(format_attribute(value)) == value


def test_no_text_raises_anything_but_the_one_error_or_is_lost() -> None:
    source = random.Random(5)
    refused = []
    for _ in range(400):
        try:
            description = parse_description(mutated(source))
        except SdpParseError as error:
            refused.append(error)
        else:
            assert parse_description(str(description)) == description
    assert 50 < len(refused) < 390
    assert all(error.line_number > 0 for error in refused)
