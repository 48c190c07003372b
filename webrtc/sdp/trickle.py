"""Candidates in descriptions and beside them (RFC 8840, RFC 9429 §3.5)."""

from __future__ import annotations

import attrs

from ice_client.core import Candidate, CandidateType, Transport, format_candidate
from stun import Family
from webrtc.sdp.attributes import Attribute, CandidateLine, Flag, IceUfrag, Mid
from webrtc.sdp.description import MediaSection, SessionDescription
from webrtc.sdp.errors import CandidateTargetError, StaleCandidateError

MAX_CANDIDATES = 256
"""Of one section; an agent with many interfaces and servers has tens."""

_DEFAULT_ORDER = (CandidateType.RELAYED, CandidateType.SERVER_REFLEXIVE, CandidateType.HOST)
"""RFC 8839 §4.2.1.2 wants as default what works most likely."""


@attrs.frozen(kw_only=True)
class TrickledCandidate:
    """A candidate of ours as signalling carries it (W3C's RTCIceCandidateInit).

    Attributes:
        candidate: ``candidate:…``; empty: there will be no more.
        sdp_mid: the section's name.
        sdp_m_line_index: the section's number.
        username_fragment: which ICE session it belongs to.

    """

    candidate: str
    sdp_mid: str
    sdp_m_line_index: int
    username_fragment: str


class LocalCandidates:
    """Our candidates so far, by the username fragment of their session."""

    def __init__(self) -> None:
        self._candidates: dict[str, list[Candidate]] = {}
        self._complete: set[str] = set()

    def add(self, ufrag: str, candidate: Candidate | None) -> None:
        """Keep a candidate; None: there will be no more."""
        if candidate is None:
            self._complete.add(ufrag)
            return
        known = self._candidates.setdefault(ufrag, [])
        if candidate not in known and len(known) < MAX_CANDIDATES:
            known.append(candidate)

    def keep(self, ufrags: set[str]) -> None:
        """Forget those of other sessions."""
        self._candidates = {key: v for key, v in self._candidates.items() if key in ufrags}
        self._complete &= ufrags

    def write_into(self, description: SessionDescription) -> SessionDescription:
        """Return the description with the candidates, each session's in its first section."""
        media = []
        seen: set[str] = set()
        for section in description.media:
            found = section.first(IceUfrag)
            if found is None or found.value in seen or section.is_rejected:
                media.append(section)
                continue
            seen.add(found.value)
            media.append(self._filled(section, found.value))
        return description.with_media(media)

    def _filled(self, section: MediaSection, ufrag: str) -> MediaSection:
        candidates = self._candidates.get(ufrag, [])
        lines: list[Attribute] = [CandidateLine(candidate) for candidate in candidates]
        if ufrag in self._complete:
            lines.append(Flag.END_OF_CANDIDATES)
        filled = attrs.evolve(section, attributes=(*section.attributes, *lines))
        default = default_candidate(candidates)
        if default is None or section.port == 0:
            return filled
        address = default.address
        version = "IP6" if address.family is Family.IPV6 else "IP4"
        return attrs.evolve(filled, port=address.port, connection=f"IN {version} {address.host}")


def default_candidate(candidates: list[Candidate]) -> Candidate | None:
    """Return the candidate whose address stands on the m= and c= lines."""
    usable = [
        candidate
        for candidate in candidates
        if candidate.transport is Transport.UDP
        and candidate.component == 1
        and candidate.host_name is None
        and candidate.type in _DEFAULT_ORDER
    ]
    return min(
        usable,
        key=lambda c: (_DEFAULT_ORDER.index(c.type), c.address.family is Family.IPV6, -c.priority),
        default=None,
    )


def trickled(
    description: SessionDescription, mid: str, ufrag: str, candidate: Candidate | None
) -> TrickledCandidate:
    """Return a candidate of ours for signalling, by the section that has its transport."""
    index = next(i for i, section in enumerate(description.media) if section.mid == mid)
    return TrickledCandidate(
        candidate="" if candidate is None else format_candidate(candidate),
        sdp_mid=mid,
        sdp_m_line_index=index,
        username_fragment=ufrag,
    )


def find_target(
    description: SessionDescription, mid: str | None, index: int | None, ufrag: str | None
) -> int:
    """Return the number of the section that a peer's candidate belongs to.

    Raises:
        CandidateTargetError: there is none.
        StaleCandidateError: its ICE session is another.

    """
    if mid:  # pion writes an empty one for none; to libwebrtc too it is none
        index = next((i for i, s in enumerate(description.media) if Mid(mid) in s.attributes), None)
    if index is None or not 0 <= index < len(description.media):
        if ufrag is not None and not _knows(description, ufrag):
            raise StaleCandidateError(f"a section {mid!r} is of no ICE session known here")
        raise CandidateTargetError(f"no section {mid!r} or of that number")
    section = description.media[index]
    lines = description.inherited(section, IceUfrag)
    if ufrag is not None and lines and lines[0].value != ufrag:
        raise StaleCandidateError(f"section {section.mid!r} is of another ICE session")
    return index


def _knows(description: SessionDescription, ufrag: str) -> bool:
    return any(
        line.value == ufrag
        for part in (description, *description.media)
        for line in part.every(IceUfrag)
    )


def with_remote_candidate(
    description: SessionDescription, index: int, candidate: Candidate | None
) -> SessionDescription:
    """Return the peer's description with a candidate more, or with the end of them."""
    line: Attribute = Flag.END_OF_CANDIDATES if candidate is None else CandidateLine(candidate)
    section = description.media[index]
    is_full = len(section.every(CandidateLine)) >= MAX_CANDIDATES
    if line in section.attributes or (candidate is not None and is_full):
        return description
    media = list(description.media)
    media[index] = attrs.evolve(section, attributes=(*section.attributes, line))
    return description.with_media(media)
