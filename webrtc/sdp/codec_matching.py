"""Which of our codecs are which of the peer's: the rules of offer and answer, format by format.

RFC 3264 §6.1 in general; RFC 6184 §8.2.2 (H.264), RFC 9628 §6 (VP9), the AV1 payload format §7.2,
RFC 7587 §7.1 (Opus: nothing but the name decides), RFC 4588 §8.6 (rtx goes with its format).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import attrs

from webrtc.sdp import h264_profile
from webrtc.sdp.codec import Codec, Parameters


@attrs.frozen
class CodecPair:
    """One codec as both ends describe it; their payload types may differ."""

    ours: Codec
    theirs: Codec


def _h264_matches(ours: Codec, theirs: Codec) -> bool:
    modes = [codec.parameter("packetization-mode") or "0" for codec in (ours, theirs)]
    return modes[0] == modes[1] and h264_profile.matches(
        ours.parameter("profile-level-id"), theirs.parameter("profile-level-id")
    )


def _same(name: str, default: str) -> Callable[[Codec, Codec], bool]:
    def matches(ours: Codec, theirs: Codec) -> bool:
        return (ours.parameter(name) or default) == (theirs.parameter(name) or default)

    return matches


_RULES: dict[str, Callable[[Codec, Codec], bool]] = {
    "h264": _h264_matches,
    "vp9": _same("profile-id", "0"),
    "av1": _same("profile", "0"),
}


def is_same_format(ours: Codec, theirs: Codec) -> bool:
    """Tell whether two codecs are one format; of rtx and RED what they accompany is not asked."""
    return (
        ours.key == theirs.key
        and ours.kind is theirs.kind
        and ours.clock_rate == theirs.clock_rate
        and ours.channels == theirs.channels
        and (ours.key not in _RULES or _RULES[ours.key](ours, theirs))
    )


def match_codecs(ours: Sequence[Codec], theirs: Iterable[Codec]) -> tuple[CodecPair, ...]:
    """Pair codecs, in the peer's order; empty if no real media can be sent with them.

    What accompanies others (rtx, RED of redundant audio) pairs only if those do: their payload
    types are compared as what they stand for.
    """
    offered = tuple(theirs)
    pairs: dict[int, CodecPair] = {}
    used: set[int] = set()
    for their in sorted(offered, key=lambda codec: codec.dependence):
        our = next((codec for codec in ours if _fits(codec, their, pairs, used)), None)
        if our is not None:
            pairs[their.payload_type] = CodecPair(our, their)
            used.add(our.payload_type)
    found = tuple(pairs[t.payload_type] for t in offered if t.payload_type in pairs)
    return found if any(not pair.theirs.is_auxiliary for pair in found) else ()


def _fits(ours: Codec, theirs: Codec, pairs: dict[int, CodecPair], used: set[int]) -> bool:
    if ours.payload_type in used or theirs.payload_type in pairs:
        return False
    if not is_same_format(ours, theirs):
        return False
    associated = [pairs.get(payload_type) for payload_type in theirs.associated_payload_types]
    meant = tuple(pair.ours.payload_type for pair in associated if pair is not None)
    return len(meant) == len(associated) and meant == ours.associated_payload_types


def _h264_parameters(ours: Codec, theirs: Codec) -> Parameters:
    asymmetry = "level-asymmetry-allowed"
    is_asymmetric = ours.parameter(asymmetry) == theirs.parameter(asymmetry) == "1"
    level = h264_profile.answered(
        ours.parameter("profile-level-id"),
        theirs.parameter("profile-level-id"),
        is_asymmetric=is_asymmetric,
    )
    return tuple(
        (name, level if name.lower() == "profile-level-id" else value)
        for name, value in ours.parameters
    )


def answered_codec(pair: CodecPair) -> Codec:
    """Return the codec as we write it in an answer.

    RFC 3264 §6.1: with the offer's payload type. The parameters are ours, since most say what
    we can receive, but for those that must be agreed on; the feedback is what both know
    (RFC 4585 §4.2).
    """
    ours, theirs = pair.ours, pair.theirs
    parameters = _h264_parameters(ours, theirs) if ours.key == "h264" else ours.parameters
    if ours.associated_payload_types:
        parameters = theirs.parameters
    return attrs.evolve(
        ours,
        name=theirs.name,
        payload_type=theirs.payload_type,
        parameters=parameters,
        feedback=tuple(entry for entry in ours.feedback if entry in theirs.feedback),
    )
