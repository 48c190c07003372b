"""Lines of a turnserver.conf, read as coturn 4.6 reads them.

A line is ``name``, ``name=value`` or ``name value``; spaces, tabs and ``=`` in any number
stand between. Double quotes around a value go. There are no comments after a value, no
single quotes, no sections, no continued lines. Names are compared as they are.
"""

from __future__ import annotations

import re

import attrs

_LINE = re.compile(rb"(?P<name>[^ =\t]+)[ =\t]*(?P<value>.*)", re.DOTALL)
_NUMBER = re.compile(r"[+-]?\d+")
_TRUE = frozenset("yYtT123456789")
_FALSE = frozenset("0nNfF")


@attrs.frozen(slots=True)
class Statement:
    """One line that is neither blank nor a comment.

    Attributes:
        line: 1-based.
        name: the option's name.
        value: what follows, ``""`` for nothing.
        is_text: whether the line is UTF-8 without NUL; other bytes are replaced otherwise.

    """

    line: int
    name: str
    value: str = attrs.field(repr=False)
    is_text: bool = True

    @property
    def flag(self) -> bool | None:
        """The value as a boolean, a bare name being true; None when it is neither."""
        first = self.value[:1]
        if not first or first in _TRUE or self.value in {"on", "On", "ON"}:
            return True
        if first in _FALSE or self.value in {"off", "Off", "OFF"}:
            return False
        return None

    @property
    def number(self) -> int | None:
        """The leading digits of the value, as C's `atoi` reads them; None when there are none."""
        found = _NUMBER.match(self.value)
        # No option takes more than a 64-bit number; do not convert a page of digits.
        return int(found[0]) if found and len(found[0]) <= 20 else None

    @property
    def has_trailing_comment(self) -> bool:
        """Whether someone seems to have put a comment, or a semicolon, after the value."""
        return " #" in self.value or "\t#" in self.value or self.value.endswith(";")


def parse_lines(data: bytes) -> list[Statement]:
    """Read a whole file. Never fails: what is unknown is for the caller to judge.

    Args:
        data: the file's bytes; a byte order mark at the start is skipped.

    """
    statements: list[Statement] = []
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        stripped = raw.strip(b" \t\r\v\f")
        if not stripped or stripped.startswith(b"#"):
            continue
        found = _LINE.match(stripped)
        if found is None:  # nothing but separators
            statements.append(Statement(number, stripped.decode("utf-8", "replace"), ""))
            continue
        value = found["value"]
        if value.startswith(b'"'):
            value = value[1:].removesuffix(b'"')
        try:
            name, text, is_text = found["name"].decode(), value.decode(), b"\0" not in value
        except UnicodeDecodeError:
            name, text = found["name"].decode("utf-8", "replace"), value.decode("utf-8", "replace")
            is_text = False
        statements.append(Statement(number, name, text, is_text))
    return statements
