"""Numbers that must not change their meaning: payload types and header extension identifiers.

All sections of a BUNDLE group share one space of each (RFC 9143 §9.1, §15), and RFC 3264 §8.3.2
forbids to give a payload type another format in a later offer. What either side has written is
kept here, and offers are made to agree with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from webrtc.sdp.attributes import ExtMap
from webrtc.sdp.codec import STATIC_PAYLOAD_TYPES, Codec
from webrtc.sdp.codec_matching import is_same_format
from webrtc.sdp.errors import SdpError

# RFC 5761 §4: 64-95 look like RTCP; RFC 3551 §3: 96-127 are dynamic, then those below 64 that
# have no static meaning. 35 and up are what browsers take.
DYNAMIC_PAYLOAD_TYPES = (*range(96, 128), *range(35, 64))
MAX_ONE_BYTE_ID = 14
"""RFC 8285 §4.2; longer ones need ``extmap-allow-mixed``."""


class TooManyFormatsError(SdpError):
    """There are no payload types or identifiers left for what is to be offered."""


class PayloadTypes:
    """What each payload type means in this session."""

    def __init__(self) -> None:
        self._meanings: dict[int, Codec] = {}

    def copy(self) -> PayloadTypes:
        """Return another with the same meanings, to go back to."""
        other = PayloadTypes()
        other._meanings = dict(self._meanings)
        return other

    def note(self, codecs: Iterable[Codec]) -> None:
        """Keep what a description of either side says."""
        for codec in codecs:
            self._meanings[codec.payload_type] = codec

    def assign(self, codecs: Sequence[Codec]) -> tuple[Codec, ...]:
        """Return codecs of a table with payload types that fit what is known.

        Raises:
            TooManyFormatsError: there are more codecs than payload types.

        """
        assigned: dict[int, Codec] = {}
        wanted = {codec.payload_type for codec in codecs}
        for codec in sorted(codecs, key=lambda codec: codec.dependence):
            associated = [
                assigned[payload_type].payload_type
                for payload_type in codec.associated_payload_types
                if payload_type in assigned
            ]
            if len(associated) < len(codec.associated_payload_types):
                continue  # what it accompanies is not offered
            taken = {other.payload_type for other in assigned.values()}
            number = self._number(codec, associated, taken, wanted)
            assigned[codec.payload_type] = codec.with_payload_types(number, associated)
        return tuple(assigned[c.payload_type] for c in codecs if c.payload_type in assigned)

    def _number(
        self, codec: Codec, associated: list[int], taken: set[int], wanted: set[int]
    ) -> int:
        for number, known in self._meanings.items():
            if number not in taken and _means(known, codec, associated):
                return number
        free = [n for n in DYNAMIC_PAYLOAD_TYPES if n not in self._meanings and n not in taken]
        first = codec.payload_type
        if first in free or (first in STATIC_PAYLOAD_TYPES and first not in taken):
            return first
        # Not one that another codec of the table wants, as long as there are others.
        free.sort(key=lambda n: n in wanted)
        if not free:
            raise TooManyFormatsError("no payload type is left")
        return int(free[0])


def _means(known: Codec, codec: Codec, associated: list[int]) -> bool:
    return is_same_format(codec, known) and tuple(associated) == known.associated_payload_types


class ExtensionIds:
    """Which header extension each identifier is in this session."""

    def __init__(self) -> None:
        self._uris: dict[int, str] = {}

    def copy(self) -> ExtensionIds:
        """Return another with the same meanings, to go back to."""
        other = ExtensionIds()
        other._uris = dict(self._uris)
        return other

    def note(self, entries: Iterable[ExtMap]) -> None:
        """Keep what a description of either side says."""
        for entry in entries:
            self._uris[entry.id] = entry.uri

    def assign(self, entries: Iterable[ExtMap]) -> tuple[ExtMap, ...]:
        """Return extensions with identifiers that fit what is known, in the one-byte form.

        Those for which there is no identifier left are not offered: all are optional.
        """
        wanted = tuple(entries)
        found: dict[str, int] = {}
        for entry in wanted:
            known = next((i for i, uri in self._uris.items() if uri == entry.uri), None)
            if known is not None:
                found[entry.uri] = known
        taken = set(self._uris) | {e.id for e in wanted if e.uri not in found}
        for entry in wanted:
            if entry.uri in found:
                continue
            if entry.id not in self._uris and entry.id not in found.values():
                found[entry.uri] = entry.id
                continue
            free = next((i for i in range(1, MAX_ONE_BYTE_ID + 1) if i not in taken), None)
            if free is not None:
                found[entry.uri] = free
                taken.add(free)
        return tuple(
            attrs.evolve(entry, id=found[entry.uri]) for entry in wanted if entry.uri in found
        )


def answered_extensions(ours: Iterable[ExtMap], theirs: Iterable[ExtMap]) -> tuple[ExtMap, ...]:
    """Return an answer's extensions: those of the offer that we know, with its identifiers.

    RFC 8285 §7: directions are turned round. Identifiers above 255 say that the offerer had no
    room (§5); with those the answerer could choose, but nobody offers that many.
    """
    known = {entry.uri for entry in ours}
    found: dict[str, ExtMap] = {}
    for entry in theirs:
        if entry.uri in known and entry.id < 256 and not entry.attributes:
            direction = entry.direction.reversed if entry.direction else None
            found.setdefault(entry.uri, ExtMap(entry.id, entry.uri, direction))
    return tuple(found.values())
