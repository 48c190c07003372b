"""Whether a peer's description may be set at all (RFC 9429 §5.8, §5.9; RFC 3264 §6, §8)."""

from __future__ import annotations

from collections.abc import Iterator

from webrtc.dtls.errors import SetupError
from webrtc.dtls.setup import Setup
from webrtc.sdp.attributes import Flag, IceUfrag
from webrtc.sdp.codec import Codec, MediaKind, read_codecs
from webrtc.sdp.codec_matching import is_same_format
from webrtc.sdp.description import MediaSection, SessionDescription
from webrtc.sdp.errors import InvalidDescriptionError
from webrtc.sdp.remote import agreed_role, offered_extensions, offered_setup, remote_transport

MAX_BUNDLE_GROUPS = 64


def check_offer(
    offer: SessionDescription,
    previous: SessionDescription | None,
    ours: SessionDescription | None,
) -> None:
    """Check a peer's offer, each section with a name, against the last exchange.

    Args:
        offer: the peer's.
        previous: its description of the last exchange.
        ours: our description of the last exchange.

    Raises:
        InvalidDescriptionError: it breaks a rule.

    """
    _check(offer)
    before = previous.media if previous else ()
    if len(offer.media) < len(before):
        # RFC 3264 §8: sections are never taken away.
        raise InvalidDescriptionError(f"{len(before)} sections became {len(offer.media)}")
    refused = [section.is_rejected for section in ours.media] if ours else []
    for index, (old, new) in enumerate(zip(before, offer.media, strict=False)):
        if old.is_rejected or refused[index]:
            continue  # RFC 9429 §5.2.2: another may stand there now
        if old.media != new.media or old.mid != new.mid:
            raise InvalidDescriptionError(
                f"section {index} was {old.media} {old.mid!r} and is {new.media} {new.mid!r}"
            )


def check_restart(
    answer: SessionDescription,
    offer: SessionDescription,
    ours: SessionDescription | None,
    theirs: SessionDescription | None,
) -> None:
    """Check that a restart of ours is answered with one.

    Args:
        answer: the peer's.
        offer: ours.
        ours: our description of the last exchange.
        theirs: the peer's.

    Raises:
        InvalidDescriptionError: a section goes on with the ICE credentials of before.

    """
    if ours is None or theirs is None:
        return
    before = {ufrag for section in ours.media for ufrag in _fragments(ours, section)}
    for index, (_, last) in enumerate(zip(ours.media, theirs.media, strict=False)):
        asked, section = offer.media[index], answer.media[index]
        restarts = before.isdisjoint(_fragments(offer, asked))
        if asked.mid != last.mid or section.is_rejected or last.is_rejected or not restarts:
            continue
        # RFC 8445 §9: both ends change theirs. GStreamer 1.22, for one, can't, and doesn't say so.
        if not set(_fragments(answer, section)).isdisjoint(_fragments(theirs, last)):
            raise InvalidDescriptionError(f"section {index} answers our ICE restart with none")


def _fragments(description: SessionDescription, section: MediaSection) -> list[str]:
    return [each.value for each in description.inherited(section, IceUfrag)]


def check_answer(
    answer: SessionDescription, offer: SessionDescription, *, is_mux_required: bool
) -> None:
    """Check a peer's answer, each section with a name, against our offer.

    Raises:
        InvalidDescriptionError: it breaks a rule.

    """
    _check(answer)
    if len(answer.media) != len(offer.media):
        raise InvalidDescriptionError(
            f"{len(answer.media)} sections answer an offer of {len(offer.media)}"
        )
    for index, (asked, section) in enumerate(zip(offer.media, answer.media, strict=True)):
        where = f"section {index}"
        if asked.media != section.media or asked.mid != section.mid:
            raise InvalidDescriptionError(f"{where} answers another one")
        if section.is_rejected:
            continue
        if asked.is_rejected:
            raise InvalidDescriptionError(f"{where} was not offered")  # RFC 3264 §6
        if section.is_rtp:
            _check_media_answer(asked, section, where, is_mux_required=is_mux_required)
        bundled = answer.bundle_of(section.mid or "")
        if asked.is_bundle_only and not bundled:
            raise InvalidDescriptionError(f"{where} was bundle-only and is not bundled")
        offered = offer.bundle_of(section.mid or "")
        if not set(bundled) <= set(offered):
            raise InvalidDescriptionError(f"{where}: a BUNDLE group that was not offered")
        _check_role(offer, answer, section, where)


def _check_media_answer(
    asked: MediaSection, section: MediaSection, where: str, *, is_mux_required: bool
) -> None:
    has_mux = section.has(Flag.RTCP_MUX)
    if is_mux_required and not has_mux:
        raise InvalidDescriptionError(f"{where} is without rtcp-mux")
    if not set(_flow(section)) <= set(_flow(asked, reverse=True)):
        raise InvalidDescriptionError(f"{where}: {section.direction.value} answers less")
    offered = {int(form) for form in asked.formats if form.isdecimal()}
    known = {codec.payload_type: codec for codec in read_codecs(asked)}
    for codec in read_codecs(section):
        same = known.get(codec.payload_type)
        if codec.payload_type in offered and same and not _is_like(codec, same):
            raise InvalidDescriptionError(
                f"{where}: payload type {codec.payload_type} became {codec.name}"
            )


def _is_like(codec: Codec, other: Codec) -> bool:
    return codec.key == other.key and codec.clock_rate == other.clock_rate


def _flow(section: MediaSection, *, reverse: bool = False) -> Iterator[str]:
    direction = section.direction.reversed if reverse else section.direction
    if direction.sends:
        yield "send"
    if direction.receives:
        yield "receive"


def _check_role(
    offer: SessionDescription, answer: SessionDescription, section: MediaSection, where: str
) -> None:
    if offered_setup(answer, section) in (Setup.ACTPASS, Setup.HOLDCONN):
        raise InvalidDescriptionError(f"{where}: an answer chooses active or passive")
    try:
        agreed_role(offer, answer, section.mid or "")
    except SetupError as error:
        raise InvalidDescriptionError(f"{where}: {error}") from error


def _check(description: SessionDescription) -> None:
    mids = [section.mid for section in description.media]
    if len(set(mids)) < len(mids):
        raise InvalidDescriptionError("two sections have one mid")
    _check_groups(description)
    for index, section in enumerate(description.media):
        if not section.is_rejected and (section.is_rtp or section.is_data):
            _check_transport(description, section, f"section {index}")
    for group in description.groups("BUNDLE"):
        _check_numbers(description, group)


def _check_groups(description: SessionDescription) -> None:
    seen: set[str] = set()
    groups = description.groups("BUNDLE")
    if len(groups) > MAX_BUNDLE_GROUPS:
        raise InvalidDescriptionError(f"{len(groups)} BUNDLE groups are too many")
    for mids in groups:
        if len(set(mids)) < len(mids) or seen & set(mids):
            # RFC 9143 §7.1: a section is in one group, once.
            raise InvalidDescriptionError("a mid is in BUNDLE groups twice")
        seen |= set(mids)


def _check_transport(description: SessionDescription, section: MediaSection, where: str) -> None:
    transport = remote_transport(description, section.mid or "")
    if transport is None:
        raise InvalidDescriptionError(f"{where} has no ICE credentials, or too short ones")
    if not transport.fingerprints:
        raise InvalidDescriptionError(f"{where} has no fingerprint")  # RFC 8827 §6.5
    if not any(fingerprint.is_supported for fingerprint in transport.fingerprints):
        raise InvalidDescriptionError(f"{where} has no fingerprint of a hash that is known here")
    if offered_setup(description, section) is Setup.HOLDCONN:
        raise InvalidDescriptionError(f"{where} holds its connection")


def _check_numbers(description: SessionDescription, group: tuple[str, ...]) -> None:
    """RFC 9143 §9.1, §15: in a group a number means one thing."""
    codecs: dict[int, Codec] = {}
    extensions: dict[int, str] = {}
    kinds = {kind.value for kind in MediaKind}
    for section in description.media:
        if section.mid not in group or section.is_rejected or section.media not in kinds:
            continue
        for codec in read_codecs(section):
            known = codecs.setdefault(codec.payload_type, codec)
            if known.kind is not codec.kind or not is_same_format(known, codec):
                raise InvalidDescriptionError(
                    f"payload type {codec.payload_type} is {known.name} and {codec.name}"
                )
        for entry in offered_extensions(description, section):
            if extensions.setdefault(entry.id, entry.uri) != entry.uri:
                raise InvalidDescriptionError(f"header extension {entry.id} is two things")
