"""Session descriptions as values (RFC 8866): a session part and media sections, lines in order.

Attributes stay one ordered tuple, so that nothing is lost between reading and writing; `first`,
`every` and `has` find the typed ones. `parse_description` in `parser` makes them, `str()` writes.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Iterable
from typing import TypeVar

import attrs

from webrtc.sdp.attribute_writer import format_attribute
from webrtc.sdp.attributes import (
    Attribute,
    Direction,
    Flag,
    Group,
    Mid,
    Rid,
    RidDirection,
)

_A = TypeVar("_A")
SESSION_ORDER = "iuepcbtrzk"
MEDIA_ORDER = "icbk"
"""RFC 8866 §9: the letters in which lines stand, after v, o and s, or after m."""


class DescriptionType(enum.Enum):
    """What a description is to the exchange (RFC 9429 §4.1.10)."""

    OFFER = "offer"
    PRANSWER = "pranswer"
    ANSWER = "answer"
    ROLLBACK = "rollback"


@attrs.frozen
class Origin:
    """Who made the description, and which version it is (RFC 8866 §5.2)."""

    username: str = "-"
    session_id: int = 0
    session_version: int = 0
    network_type: str = "IN"
    address_type: str = "IP4"
    address: str = "127.0.0.1"

    def __str__(self) -> str:
        return (
            f"{self.username} {self.session_id} {self.session_version}"
            f" {self.network_type} {self.address_type} {self.address}"
        )


@attrs.frozen
class Bandwidth:
    """A limit of what the writer receives (RFC 8866 §5.8, RFC 3890).

    Attributes:
        kind: ``AS`` in kbit/s with headers, ``TIAS`` in bit/s without them, or another.
        value: in the unit of the kind.

    """

    kind: str
    value: int

    @property
    def rate_bps(self) -> int | None:
        """In bit/s; None of a kind that is neither ``AS`` nor ``TIAS``."""
        return {"AS": self.value * 1000, "TIAS": self.value}.get(self.kind)


@attrs.frozen
class Line:
    """A line that is no attribute and has no field of its own, as it came."""

    letter: str
    value: str

    def __str__(self) -> str:
        return f"{self.letter}={self.value}"


def in_order(lines: Iterable[Line], order: str) -> tuple[Line, ...]:
    """Return lines as the grammar wants them; letters that nobody knows come last."""
    # `find` puts these before all, at -1.
    return tuple(sorted(lines, key=lambda line: order.find(line.letter) % (len(order) + 1)))


@attrs.frozen(kw_only=True)
class AttributeList:
    """What session and media sections have in common.

    Attributes:
        lines: those that are neither attributes nor fields, in order (``t=``, ``k=``…).
        connection: the value of ``c=``: ``IN IP4 0.0.0.0``.
        bandwidths: ``b=``.
        attributes: ``a=``, in order.

    """

    lines: tuple[Line, ...] = ()
    connection: str | None = None
    bandwidths: tuple[Bandwidth, ...] = ()
    attributes: tuple[Attribute, ...] = ()

    def first(self, kind: type[_A]) -> _A | None:
        """Return the first attribute of a type."""
        return next((entry for entry in self.attributes if isinstance(entry, kind)), None)

    def every(self, kind: type[_A]) -> tuple[_A, ...]:
        """Return the attributes of a type, in order."""
        return tuple(entry for entry in self.attributes if isinstance(entry, kind))

    def has(self, flag: Flag) -> bool:
        """Tell whether it has an attribute without a value."""
        return flag in self.attributes

    def _body(self, order: str) -> list[str]:
        lines = [] if self.connection is None else [Line("c", self.connection)]
        lines += self.lines  # with further c= lines, of which the field has the first
        lines += [Line("b", f"{entry.kind}:{entry.value}") for entry in self.bandwidths]
        texts = [str(line) for line in in_order(lines, order)]
        return texts + [f"a={format_attribute(entry)}" for entry in self.attributes]


@attrs.frozen(kw_only=True)
class MediaSection(AttributeList):
    """An ``m=`` line and what stands under it (RFC 8866 §5.14).

    Attributes:
        media: ``audio``, ``video``, ``application``, or another.
        port: 0 where the section is rejected or bundle-only.
        port_count: of ``port/count``.
        protocol: such as ``UDP/TLS/RTP/SAVPF``.
        formats: payload types, or ``webrtc-datachannel``.

    """

    media: str
    port: int = 9
    port_count: int | None = None
    protocol: str
    formats: tuple[str, ...]

    @property
    def mid(self) -> str | None:
        """The section's name (RFC 5888)."""
        found = self.first(Mid)
        return found.value if found else None

    @property
    def direction(self) -> Direction:
        """The direction; RFC 8866 §6.7: sendrecv where none is written."""
        return self.first(Direction) or Direction.SENDRECV

    @property
    def is_bundle_only(self) -> bool:
        """Whether it is used only if bundled (RFC 9143 §6: the port must be 0 then)."""
        return self.port == 0 and self.has(Flag.BUNDLE_ONLY)

    @property
    def is_rejected(self) -> bool:
        """Whether it is refused or stopped: port 0, and not for being bundle-only."""
        return self.port == 0 and not self.has(Flag.BUNDLE_ONLY)

    @property
    def is_rtp(self) -> bool:
        """Whether it carries RTP."""
        return "RTP/" in self.protocol

    @property
    def is_data(self) -> bool:
        """Whether it is a data-channel section (RFC 8841), of the drafts' form too."""
        return self.media == "application" and self.protocol.endswith("DTLS/SCTP")

    def rids(self, direction: RidDirection) -> tuple[Rid, ...]:
        """Return the ``rid`` lines of a direction."""
        return tuple(rid for rid in self.every(Rid) if rid.direction is direction)

    def replacing(self, kind: type[Attribute], *values: Attribute) -> MediaSection:
        """Return it with all attributes of a type replaced by these, at the end."""
        kept = tuple(entry for entry in self.attributes if not isinstance(entry, kind))
        return attrs.evolve(self, attributes=kept + values)

    def __str__(self) -> str:
        return "\r\n".join([*self.text_lines(), ""])

    def text_lines(self) -> list[str]:
        """Return its lines, without their ends."""
        count = "" if self.port_count is None else f"/{self.port_count}"
        formats = " ".join(self.formats)
        head = f"m={self.media} {self.port}{count} {self.protocol} {formats}".rstrip()
        return [head, *self._body(MEDIA_ORDER)]


@attrs.frozen(kw_only=True)
class SessionDescription(AttributeList):
    """A whole description; `str()` is its text, with CRLF.

    Attributes:
        origin: ``o=``.
        name: ``s=``.
        media: the sections, in order.

    """

    origin: Origin = Origin()
    name: str = "-"
    lines: tuple[Line, ...] = (Line("t", "0 0"),)
    media: tuple[MediaSection, ...] = ()

    def section(self, mid: str) -> MediaSection | None:
        """Return the section of that name."""
        return self._by_mid.get(mid)

    def groups(self, semantics: str) -> tuple[tuple[str, ...], ...]:
        """Return the mids of each group of these semantics, such as ``BUNDLE``."""
        return tuple(group.mids for group in self.every(Group) if group.semantics == semantics)

    def bundle_of(self, mid: str) -> tuple[str, ...]:
        """Return the mids of the BUNDLE group with that mid, its tag first; empty for none."""
        return self._bundles.get(mid, ())

    # Asked for each section, and each section of its group: a search each time would take minutes
    # for some hundred sections.

    @functools.cached_property
    def _by_mid(self) -> dict[str, MediaSection]:
        # Backwards: of two with one name the first counts.
        return {section.mid: section for section in reversed(self.media) if section.mid is not None}

    @functools.cached_property
    def _bundles(self) -> dict[str, tuple[str, ...]]:
        return {mid: mids for mids in reversed(self.groups("BUNDLE")) for mid in mids}

    def inherited(self, section: MediaSection, kind: type[_A]) -> tuple[_A, ...]:
        """Return attributes of a type: the section's or, where it has none, the session's."""
        return section.every(kind) or self.every(kind)

    def with_media(self, media: Iterable[MediaSection]) -> SessionDescription:
        """Return it with other sections."""
        return attrs.evolve(self, media=tuple(media))

    def __str__(self) -> str:
        lines = ["v=0", f"o={self.origin}", f"s={self.name}", *self._body(SESSION_ORDER)]
        for section in self.media:
            lines += section.text_lines()
        return "\r\n".join([*lines, ""])
