import attrs
import pytest

from webrtc.sdp import DEFAULT_CODECS, Codec, ExtMap, MediaKind, parse_description
from webrtc.sdp.attribute_reader import parse_parameters
from webrtc.sdp.codec import codec_attributes, read_codecs
from webrtc.sdp.codec_matching import answered_codec, is_same_format, match_codecs
from webrtc.sdp.description import MediaSection
from webrtc.sdp.h264_profile import Profile, ProfileLevel, answered
from webrtc.sdp.payload_types import (
    ExtensionIds,
    PayloadTypes,
    TooManyFormatsError,
    answered_extensions,
)

HEAD = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"


def video(payload_type: int, name: str, parameters: str = "", *feedback: str) -> Codec:
    return Codec(
        kind=MediaKind.VIDEO,
        name=name,
        clock_rate=90000,
        payload_type=payload_type,
        parameters=parse_parameters(parameters),
        feedback=feedback,
    )


def audio(payload_type: int, name: str, clock_rate: int, channels: int = 1) -> Codec:
    return Codec(
        kind=MediaKind.AUDIO,
        name=name,
        clock_rate=clock_rate,
        channels=channels,
        payload_type=payload_type,
    )


def section(text: str) -> MediaSection:
    return parse_description(HEAD + text.replace("\n", "\r\n")).media[0]


def test_static_payload_types_need_no_rtpmap() -> None:
    # RFC 3551 §6
    codecs = read_codecs(section("m=audio 9 UDP/TLS/RTP/SAVPF 0 8 9 18\n"))
    assert [(c.payload_type, c.mime_type) for c in codecs] == [
        (0, "audio/PCMU"),
        (8, "audio/PCMA"),
        (9, "audio/G722"),
    ]


def test_codecs_are_read_in_the_order_of_the_media_line() -> None:
    text = (
        "m=video 9 UDP/TLS/RTP/SAVPF 97 96 98 99\na=rtpmap:96 VP8/90000\n"
        "a=rtpmap:97 H264/90000\na=fmtp:97 packetization-mode=1\na=rtcp-fb:* nack\n"
        "a=rtcp-fb:97 nack pli\na=rtpmap:98 rtx/90000\na=fmtp:98 apt=97\na=rtpmap:99 rtx/90000\n"
    )
    # Payload type 99 is rtx for nothing.
    assert read_codecs(section(text)) == (
        video(97, "H264", "packetization-mode=1", "nack", "nack pli"),
        video(96, "VP8", "", "nack"),
        video(98, "rtx", "apt=97", "nack"),
    )


def test_a_codec_is_written_as_it_is_read() -> None:
    codec = video(97, "H264", "packetization-mode=1", "nack", "nack pli")
    written = MediaSection(
        media="video",
        protocol="UDP/TLS/RTP/SAVPF",
        formats=("97",),
        attributes=tuple(codec_attributes(codec)),
    )
    assert read_codecs(written) == (codec,)


@pytest.mark.parametrize(
    ("text", "profile", "level"),
    [
        # RFC 6184 table 5
        ("42e01f", Profile.CONSTRAINED_BASELINE, 31),
        ("42C01E", Profile.CONSTRAINED_BASELINE, 30),
        ("4d801f", Profile.CONSTRAINED_BASELINE, 31),
        ("58c01f", Profile.CONSTRAINED_BASELINE, 31),
        ("42001f", Profile.BASELINE, 31),
        ("58800a", Profile.BASELINE, 10),
        ("4d001f", Profile.MAIN, 31),
        ("58001f", Profile.EXTENDED, 31),
        ("64001f", Profile.HIGH, 31),
        ("640c1f", Profile.CONSTRAINED_HIGH, 31),
        ("f4001f", Profile.HIGH_444, 31),
        # Level 1b: constraint_set3 with level 1.1, or level_idc 9.
        ("42f00b", Profile.CONSTRAINED_BASELINE, 10.5),
        ("42e00b", Profile.CONSTRAINED_BASELINE, 11),
        ("640009", Profile.HIGH, 10.5),
        # RFC 6184 §8.1: what no parameter means.
        (None, Profile.BASELINE, 10),
    ],
)
def test_profile_level_ids_are_read(text: str | None, profile: Profile, level: float) -> None:
    read = ProfileLevel.parse(text)
    assert read is not None
    assert (read.profile, read.level) == (profile, level)


@pytest.mark.parametrize("text", ["", "42e0", "42e01g", "ffffff"])
def test_profile_level_ids_that_mean_nothing_match_nothing(text: str) -> None:
    assert ProfileLevel.parse(text) is None


@pytest.mark.parametrize(
    ("ours", "theirs", "is_same"),
    [
        (video(1, "VP8"), video(2, "vp8"), True),
        (video(1, "VP8"), video(1, "VP9"), False),
        (audio(1, "opus", 48000, 2), audio(2, "OPUS", 48000, 2), True),
        (audio(1, "opus", 48000, 2), audio(2, "opus", 48000, 1), False),
        (audio(1, "PCMU", 8000), audio(2, "PCMU", 16000), False),
        # RFC 9628 §6: profile 0 where none is written.
        (video(1, "VP9"), video(2, "VP9", "profile-id=0"), True),
        (video(1, "VP9"), video(2, "VP9", "profile-id=2"), False),
        (video(1, "AV1", "level-idx=5;profile=0"), video(2, "AV1"), True),
        (video(1, "AV1"), video(2, "AV1", "profile=1"), False),
        # RFC 6184 §8.2.2: profile and packetization mode are symmetric, the level is not.
        (
            video(1, "H264", "profile-level-id=42e01f;packetization-mode=1"),
            video(2, "H264", "profile-level-id=42c00a;packetization-mode=1"),
            True,
        ),
        (
            video(1, "H264", "profile-level-id=42e01f;packetization-mode=1"),
            video(2, "H264", "profile-level-id=42e01f"),
            False,
        ),
        (
            video(1, "H264", "profile-level-id=42e01f;packetization-mode=0"),
            video(2, "H264", "profile-level-id=42e01f"),
            True,
        ),
        (
            video(1, "H264", "profile-level-id=42e01f"),
            video(2, "H264", "profile-level-id=42001f"),
            False,
        ),
    ],
)
def test_formats_are_compared_by_what_their_rfc_says(
    ours: Codec, theirs: Codec, is_same: bool
) -> None:
    assert is_same_format(ours, theirs) is is_same
    assert is_same_format(theirs, ours) is is_same


@pytest.mark.parametrize(
    ("ours", "theirs", "is_asymmetric", "result"),
    [
        ("42e01f", "42e00a", False, "42e00a"),
        ("42e00a", "42c01f", False, "42c00a"),
        ("42e01f", "42e00a", True, "42e01f"),
        ("42e01f", "42e01f", False, "42e01f"),
    ],
)
def test_without_asymmetry_the_lower_level_is_answered(
    ours: str, theirs: str, is_asymmetric: bool, result: str
) -> None:
    assert answered(ours, theirs, is_asymmetric=is_asymmetric) == result


OURS = (
    video(96, "VP8", "", "nack", "nack pli", "goog-remb"),
    video(97, "rtx", "apt=96"),
    video(98, "H264", "profile-level-id=42e01f;packetization-mode=1"),
    video(99, "rtx", "apt=98"),
    video(116, "red"),
    video(117, "rtx", "apt=116"),
    video(118, "ulpfec"),
)


def test_rtx_goes_with_the_format_it_repairs() -> None:
    # RFC 4588 §8.6. The offer has it before its format, and another for what we don't know.
    theirs = (
        video(50, "rtx", "apt=51"),
        video(51, "VP8"),
        video(52, "rtx", "apt=53"),
        video(53, "H265"),
    )
    pairs = match_codecs(OURS, theirs)
    assert [(p.ours.payload_type, p.theirs.payload_type) for p in pairs] == [(97, 50), (96, 51)]
    assert [answered_codec(pair).parameters for pair in pairs] == [(("apt", "51"),), ()]


def test_redundant_audio_goes_with_the_format_it_repeats() -> None:
    opus, red = audio(111, "opus", 48000, 2), audio(63, "red", 48000, 2)
    ours = (opus, attrs.evolve(red, parameters=(("111/111", None),)))
    theirs = (
        attrs.evolve(red, payload_type=40, parameters=(("41/41", None),)),
        attrs.evolve(opus, payload_type=41),
    )
    pairs = match_codecs(ours, theirs)
    assert [answered_codec(p).parameters for p in pairs] == [(("41/41", None),), ()]
    unknown = attrs.evolve(theirs[0], parameters=(("42/42", None),))
    assert [p.theirs for p in match_codecs(ours, (unknown, theirs[1]))] == [theirs[1]]


def test_repair_formats_alone_are_nothing_in_common() -> None:
    assert match_codecs(OURS, (video(1, "red"), video(2, "ulpfec"), video(3, "rtx", "apt=1"))) == ()


def test_an_answer_has_the_offers_payload_types_and_the_feedback_of_both() -> None:
    # RFC 3264 §6.1, RFC 4585 §4.2
    (pair,) = match_codecs(OURS, (video(50, "vp8", "", "nack", "ccm fir", "nack pli"),))
    assert answered_codec(pair) == video(50, "vp8", "", "nack", "nack pli")


def test_payload_types_are_those_wanted_as_long_as_they_are_free() -> None:
    assert PayloadTypes().assign(DEFAULT_CODECS) == DEFAULT_CODECS


def test_what_a_payload_type_meant_it_goes_on_to_mean() -> None:
    # RFC 3264 §8.3.2
    types = PayloadTypes()
    types.note([video(97, "VP8"), video(96, "rtx", "apt=97"), video(98, "H265")])
    assigned = types.assign(OURS)
    assert assigned[:2] == (
        attrs.evolve(OURS[0], payload_type=97),
        attrs.evolve(OURS[1], payload_type=96, parameters=(("apt", "97"),)),
    )
    h264, rtx = assigned[2:4]
    assert h264.payload_type not in {96, 97, 98}
    assert rtx.parameters == (("apt", str(h264.payload_type)),)
    numbers = [codec.payload_type for codec in assigned]
    assert len(set(numbers)) == len(numbers)


def test_rtx_is_not_offered_without_its_format() -> None:
    assert [c.name for c in PayloadTypes().assign(OURS[1:3])] == ["H264"]


def test_more_formats_than_payload_types_are_an_error() -> None:
    types = PayloadTypes()
    types.note(video(number, f"X{number}") for number in (*range(96, 128), *range(35, 64)))
    with pytest.raises(TooManyFormatsError):
        types.assign([video(96, "VP8")])


FIREFOXES = {*range(97, 102), *range(103, 107), 109, *range(119, 128)}
"""What Firefox 153 numbers in sections that it offers itself, whatever other sections say."""


def test_no_payload_type_of_ours_is_another_format_in_firefoxes_own_sections() -> None:
    assert not {codec.payload_type for codec in DEFAULT_CODECS} & FIREFOXES


def test_header_extensions_keep_their_identifiers() -> None:
    ids = ExtensionIds()
    ids.note([ExtMap(1, "urn:b"), ExtMap(3, "urn:c")])
    wanted = [ExtMap(1, "urn:a"), ExtMap(2, "urn:b"), ExtMap(4, "urn:d")]
    assert ids.assign(wanted) == (ExtMap(2, "urn:a"), ExtMap(1, "urn:b"), ExtMap(4, "urn:d"))


def test_header_extensions_without_an_identifier_left_are_not_offered() -> None:
    ids = ExtensionIds()
    ids.note(ExtMap(number, f"urn:{number}") for number in range(1, 15))
    assert ids.assign([ExtMap(1, "urn:a"), ExtMap(2, "urn:2")]) == (ExtMap(2, "urn:2"),)


def test_answered_header_extensions_have_the_offers_identifiers_and_turned_directions() -> None:
    # RFC 8285 §7
    from webrtc.sdp import Direction

    ours = [ExtMap(1, "urn:a"), ExtMap(2, "urn:b")]
    theirs = [
        ExtMap(7, "urn:b", Direction.SENDONLY),
        ExtMap(8, "urn:x"),
        ExtMap(9, "urn:a"),
        ExtMap(10, "urn:a"),
        ExtMap(4096, "urn:b"),
    ]
    assert answered_extensions(ours, theirs) == (
        ExtMap(7, "urn:b", Direction.RECVONLY),
        ExtMap(9, "urn:a"),
    )
