"""What ICE agents tell each other, as RFC 8840's ``trickle-ice-sdpfrag`` writes it.

A fragment is lines of SDP up to an empty one. Everything at once is one fragment; trickling is one
for the credentials, one for each candidate, one for their end. New credentials begin a new
generation. Only the standard library is used here: libnice's peer runs in Debian's Python.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Fragment:
    """A message between agents.

    Attributes:
        username_fragment: with `password`, of a new generation; "" in what is trickled later.
        password: see `username_fragment`.
        candidates: each ``candidate:…``.
        ended: there are no more candidates.
        lite: the sender is an ICE-lite agent.
        restart: the receiver is to begin a new generation before it reads on. Agents see that by
            the credentials; the word, which is no SDP, spares the peers here to compare them.

    """

    username_fragment: str = ""
    password: str = ""
    candidates: tuple[str, ...] = ()
    ended: bool = False
    lite: bool = False
    restart: bool = False

    def __str__(self) -> str:
        lines = ["a=restart"] if self.restart else []
        if self.username_fragment:
            lines += [f"a=ice-ufrag:{self.username_fragment}", f"a=ice-pwd:{self.password}"]
        lines += [f"a={candidate}" for candidate in self.candidates]
        if self.lite:
            lines.append("a=ice-lite")
        if self.ended:
            lines.append("a=end-of-candidates")
        return "".join(f"{line}\n" for line in [*lines, ""])

    def trickled(self) -> Iterator[Fragment]:
        """Split it: credentials, each candidate, the end."""
        yield Fragment(self.username_fragment, self.password, lite=self.lite, restart=self.restart)
        for candidate in self.candidates:
            yield Fragment(candidates=(candidate,))
        if self.ended:
            yield Fragment(ended=True)


def parse_fragment(lines: Iterable[str]) -> Fragment:
    """Read a fragment from its lines, the empty one or none at the end.

    Raises:
        ValueError: a line is none of a fragment's.

    """
    values: dict[str, str] = {}
    candidates = []
    for line in filter(None, lines):
        name, _, value = line.removeprefix("a=").partition(":")
        if name == "candidate":
            candidates.append(f"candidate:{value}")
        elif name in {"ice-ufrag", "ice-pwd", "end-of-candidates", "ice-lite", "restart"}:
            values[name] = value
        else:
            raise ValueError(f"{line!r} is no line of a fragment")
    return Fragment(
        values.get("ice-ufrag", ""),
        values.get("ice-pwd", ""),
        tuple(candidates),
        ended="end-of-candidates" in values,
        lite="ice-lite" in values,
        restart="restart" in values,
    )


def read_fragments(lines: Iterable[str]) -> Iterator[Fragment]:
    """Read fragments from a stream of lines until it ends."""
    gathered: list[str] = []
    for line in lines:
        if text := line.rstrip("\n"):
            gathered.append(text)
        else:
            yield parse_fragment(gathered)
            gathered = []
