"""From text to `SessionDescription` (RFC 8866 §5, §9, as RFC 9429 §5.8 reads it).

Whatever the text, either a description comes out or an `SdpParseError` that names the line. Lines
end with CRLF or LF alone; what is not known is kept.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from webrtc.sdp.attribute_reader import MalformedValueError, number, parse_attribute, token
from webrtc.sdp.attributes import Attribute
from webrtc.sdp.description import (
    MEDIA_ORDER,
    SESSION_ORDER,
    Bandwidth,
    Line,
    MediaSection,
    Origin,
    SessionDescription,
    in_order,
)
from webrtc.sdp.errors import SdpParseError

MAX_CHARACTERS = 1 << 20
"""Of a description; a conference of hundreds of sections stays below."""

MAX_LINES = 50_000
MAX_SECTIONS = 1024
MAX_LINE_CHARACTERS = 16_384


class _Part:
    """Lines of the session or of one section, while they are read."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.connection: str | None = None
        self.bandwidths: list[Bandwidth] = []
        self.attributes: list[Attribute] = []

    def add(self, letter: str, value: str) -> None:
        match letter:
            case "a":
                self.attributes.append(parse_attribute(value))
            case "b":
                self.bandwidths.append(_bandwidth(value))
            case "c" if self.connection is None:
                if len(value.split()) != 3:
                    raise MalformedValueError("c= has three fields")
                self.connection = value
            case "v" | "o" | "s":
                raise MalformedValueError(f"{letter}= does not stand here")
            case _:
                self.lines.append(Line(letter, value))


def parse_description(text: str) -> SessionDescription:
    """Read a session description.

    Raises:
        SdpParseError: a line is malformed, or the text is too large; the only exception.

    """
    if len(text) > MAX_CHARACTERS:
        raise SdpParseError(f"a description of {len(text)} characters is too long")
    lines = _lines(text)
    head: dict[str, str] = {}
    session = _Part()
    sections: list[tuple[MediaSection, _Part]] = []
    for index, (line_number, line) in enumerate(lines):
        letter, value = line[0], line[2:]
        try:
            if index < 3:
                _expect("vos"[index], letter)
                head[letter] = value
                if letter == "v":
                    number(value, 0, 0, "version")
                elif letter == "o":
                    origin = _origin(value)
            elif letter == "m":
                sections.append((_media(value, len(sections)), _Part()))
            else:
                (sections[-1][1] if sections else session).add(letter, value)
        except MalformedValueError as error:
            raise SdpParseError(str(error), line_number, line) from error
    if len(head) < 3:
        raise SdpParseError("a description begins with v=, o= and s=")
    return SessionDescription(
        origin=origin,
        name=head["s"],
        lines=in_order(session.lines, SESSION_ORDER),
        connection=session.connection,
        bandwidths=tuple(session.bandwidths),
        attributes=tuple(session.attributes),
        media=tuple(_complete(section, part) for section, part in sections),
    )


def _lines(text: str) -> list[tuple[int, str]]:
    """Split into numbered lines of the form ``x=…``; empty ones at the end do no harm."""
    raw = text.rstrip("\r\n").split("\n")
    if len(raw) > MAX_LINES:
        raise SdpParseError(f"{len(raw)} lines are too many")
    return list(_checked(raw))


def _checked(raw: list[str]) -> Iterator[tuple[int, str]]:
    for line_number, end in enumerate(raw, 1):
        line = end.removesuffix("\r")
        if len(line) > MAX_LINE_CHARACTERS:
            raise SdpParseError("the line is too long", line_number, line)
        if len(line) < 2 or line[1] != "=" or not ("a" <= line[0] <= "z"):
            raise SdpParseError("a line is a small letter, '=' and a value", line_number, line)
        if "\0" in line or "\r" in line:
            raise SdpParseError("the line has NUL or CR in it", line_number, line)
        yield line_number, line


def _expect(wanted: str, letter: str) -> None:
    if letter != wanted:
        raise MalformedValueError(f"{wanted}= stands here (RFC 8866 §5)")


def _origin(value: str) -> Origin:
    words = value.split()
    if len(words) != 6:
        raise MalformedValueError("o= has six fields")
    # RFC 9429 §5.2.1 wants 63 bits; others have written 64 and more digits before.
    session_id, version = (number(word, 0, 10**20 - 1, "session number") for word in words[1:3])
    return Origin(words[0], session_id, version, *words[3:])


def _bandwidth(value: str) -> Bandwidth:
    kind, _, amount = value.partition(":")
    return Bandwidth(token(kind, "bandwidth"), number(amount.strip(), 0, 2**63 - 1, "bandwidth"))


def _media(value: str, index: int) -> MediaSection:
    if index == MAX_SECTIONS:
        raise MalformedValueError("there are too many media sections")
    words = value.split()
    if len(words) < 3:
        raise MalformedValueError("m= is media, port, protocol and formats")
    port, slash, count = words[1].partition("/")
    return MediaSection(
        media=token(words[0], "media"),
        port=number(port, 0, 0xFFFF, "port"),
        port_count=number(count, 1, 0xFFFF, "number of ports") if slash else None,
        protocol=words[2],
        formats=tuple(words[3:]),
    )


def _complete(section: MediaSection, part: _Part) -> MediaSection:
    return attrs.evolve(
        section,
        lines=in_order(part.lines, MEDIA_ORDER),
        connection=part.connection,
        bandwidths=tuple(part.bandwidths),
        attributes=tuple(part.attributes),
    )
