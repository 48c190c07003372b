"""Which media description a packet belongs to, where one transport carries all (RFC 8843 §9.2)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

import attrs

MAX_SSRCS = 256
"""SSRCs that are remembered; the one unused for longest is forgotten first."""


@attrs.frozen
class _Media:
    payload_types: frozenset[int]
    ssrcs: frozenset[int]


class Demultiplexer:
    """Routes by MID, then SSRC, then payload type.

    Attributes:
        unrouted: packets that belong nowhere.

    """

    def __init__(self) -> None:
        self._media: dict[str, _Media] = {}
        self._by_ssrc: OrderedDict[int, str] = OrderedDict()
        self._by_payload_type: dict[int, str] = {}
        self.unrouted = 0

    def __len__(self) -> int:
        """How many SSRCs are remembered."""
        return len(self._by_ssrc)

    def add(self, mid: str, payload_types: Iterable[int], ssrcs: Iterable[int] = ()) -> None:
        """Add or change a media description; `ssrcs` are those its `a=ssrc` lines name."""
        self.remove(mid)
        media = _Media(frozenset(payload_types), frozenset(ssrcs))
        self._media[mid] = media
        for ssrc in media.ssrcs:
            self._learn(ssrc, mid)
        self._index_payload_types()

    def remove(self, mid: str) -> None:
        """Remove a media description, and what was learnt of it."""
        if self._media.pop(mid, None) is None:
            return
        for ssrc in [ssrc for ssrc, owner in self._by_ssrc.items() if owner == mid]:
            del self._by_ssrc[ssrc]
        self._index_payload_types()

    def _index_payload_types(self) -> None:
        # A payload type tells only where one description alone uses it.
        seen: dict[int, list[str]] = {}
        for mid, media in self._media.items():
            for payload_type in media.payload_types:
                seen.setdefault(payload_type, []).append(mid)
        self._by_payload_type = {key: mids[0] for key, mids in seen.items() if len(mids) == 1}

    def _learn(self, ssrc: int, mid: str) -> None:
        self._by_ssrc[ssrc] = mid
        self._by_ssrc.move_to_end(ssrc)
        if len(self._by_ssrc) > MAX_SSRCS:
            self._by_ssrc.popitem(last=False)

    def route(self, ssrc: int, payload_type: int, mid: str | None) -> str | None:
        """Return the media description's MID, or None: drop the packet. Runs per packet."""
        if mid is not None:
            media = self._media.get(mid)
            if media is None or payload_type not in media.payload_types:
                self.unrouted += 1
                return None
            if self._by_ssrc.get(ssrc) != mid:
                self._learn(ssrc, mid)
            return mid
        known = self._by_ssrc.get(ssrc)
        if known is not None:
            if payload_type in self._media[known].payload_types:
                return known
            self.unrouted += 1
            return None
        found = self._by_payload_type.get(payload_type)
        if found is None:
            self.unrouted += 1
            return None
        self._learn(ssrc, found)
        return found

    def route_ssrc(self, ssrc: int) -> str | None:
        """Return where an SSRC belongs, for RTCP; nothing is learnt from it."""
        return self._by_ssrc.get(ssrc)
