"""Where the keys of a TOML document are, line by line.

`tomllib` keeps no positions. This scanner runs over text that `tomllib` has already
accepted, so it need not judge anything: it follows headers, keys, strings, arrays and
inline tables just closely enough to know which line each key and element starts on.
"""

from __future__ import annotations

import bisect
import tomllib

from turnd.config.schema import Path

_BARE_KEY_END = frozenset(" \t.=]\r\n")
_SPACE = " \t"
_BLANK = " \t\r\n"
_VALUE_END = frozenset(",]}# \t\r\n")


def key_lines(text: str) -> dict[Path, int]:
    """Return the 1-based line of every table, key and array element in valid TOML.

    Args:
        text: a document that `tomllib.loads` accepts.

    """
    return _Scanner(text.replace("\r\n", "\n")).scan()


class _Scanner:
    """One pass over one document."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._newlines = [index for index, char in enumerate(text) if char == "\n"]
        self._lines: dict[Path, int] = {}
        self._tables: dict[Path, int] = {}
        """How many elements each array of tables has so far."""

    def scan(self) -> dict[Path, int]:
        prefix: Path = ()
        while self._skip_blank():
            if self._peek() == "[":
                prefix = self._header()
            else:
                self._pair(prefix)
        return self._lines

    def _header(self) -> Path:
        line = self._line()
        is_array = self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        names = self._dotted_key()
        self._at += 2 if is_array else 1
        path = self._resolve(names[:-1]) + names[-1:]
        if is_array:
            index = self._tables.get(path, 0)
            self._tables[path] = index + 1
            self._lines.setdefault(path, line)
            path = (*path, index)
        self._lines[path] = line
        return path

    def _resolve(self, names: tuple[str, ...]) -> Path:
        """Put the index of its newest element after every array of tables on the way."""
        path: Path = ()
        for name in names:
            path = (*path, name)
            if path in self._tables:
                path = (*path, self._tables[path] - 1)
        return path

    def _pair(self, prefix: Path) -> None:
        line = self._line()
        path = prefix
        for name in self._dotted_key():
            path = (*path, name)
            self._lines.setdefault(path, line)
        self._at += 1  # the "="
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: Path) -> None:
        char = self._peek()
        if char in "\"'":
            self._string()
        elif char == "[":
            self._array(path)
        elif char == "{":
            self._inline_table(path)
        else:
            # Dates may hold a space, which leaves a time of day behind: it ends the line.
            while self._at < len(self._text) and self._peek() not in _VALUE_END:
                self._at += 1
            self._skip(" \t0123456789:.+-Zz")

    def _array(self, path: Path) -> None:
        self._at += 1
        index = 0
        while self._skip_blank() and self._peek() != "]":
            if self._peek() == ",":
                self._at += 1
                continue
            self._lines[(*path, index)] = self._line()
            self._value((*path, index))
            index += 1
        self._at += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while self._skip_blank() and self._peek() != "}":
            if self._peek() == ",":
                self._at += 1
            else:
                self._pair(path)
        self._at += 1

    def _dotted_key(self) -> tuple[str, ...]:
        names: list[str] = []
        while True:
            self._skip(_SPACE)
            start = self._at
            if self._peek() in "\"'":
                self._string()
                names.append(tomllib.loads(f"k = {self._text[start : self._at]}")["k"])
            else:
                while self._peek() not in _BARE_KEY_END:
                    self._at += 1
                names.append(self._text[start : self._at])
            self._skip(_SPACE)
            if self._peek() != ".":
                return tuple(names)
            self._at += 1

    def _string(self) -> None:
        quote = self._peek()
        fence = quote * 3 if self._text.startswith(quote * 3, self._at) else quote
        self._at += len(fence)
        while not self._text.startswith(fence, self._at):
            escaped = quote == '"' and self._peek() == "\\"
            self._at += 2 if escaped else 1
        self._at += len(fence)
        if len(fence) == 3:
            # A multi-line string may end with one or two quotes of its own.
            self._skip(quote)

    def _skip_blank(self) -> bool:
        """Go to the next thing that is no space and no comment; False at the end."""
        while self._at < len(self._text):
            if self._peek() == "#":
                end = self._text.find("\n", self._at)
                self._at = len(self._text) if end < 0 else end
            elif self._peek() in _BLANK:
                self._at += 1
            else:
                return True
        return False

    def _skip(self, chars: str) -> None:
        while self._at < len(self._text) and self._text[self._at] in chars:
            self._at += 1

    def _peek(self) -> str:
        return self._text[self._at]

    def _line(self) -> int:
        return bisect.bisect_left(self._newlines, self._at) + 1
