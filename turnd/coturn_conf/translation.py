"""The state of one translation: what was read, what it becomes, what there is to say."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from turnd.config.draft import Draft, Place
from turnd.coturn_conf.diagnostics import Diagnostic, Severity
from turnd.coturn_conf.syntax import Statement

Value = TypeVar("Value", bound=str)


class Translation:
    """A turnserver.conf on its way to a draft of our own configuration.

    Args:
        file: its name.
        statements: the lines that `OPTIONS` knows and that have a value of the right form.

    Attributes:
        draft: what it becomes, each value with the place of the line it came from.
        diagnostics: what the operator should know.

    """

    def __init__(self, file: str, statements: list[Statement]) -> None:
        self.file = file
        self.draft = Draft(file)
        self.diagnostics: list[Diagnostic] = []
        self._by_name: dict[str, list[Statement]] = {}
        for statement in statements:
            self._by_name.setdefault(statement.name, []).append(statement)

    def every(self, *names: str) -> list[Statement]:
        """Return the lines of these options, in the order they stand."""
        found = [s for name in names for s in self._by_name.get(name, ())]
        return sorted(found, key=lambda statement: statement.line)

    def last(self, *names: str) -> Statement | None:
        """Return the line that counts when each one overrules those before it."""
        found = self.every(*names)
        return found[-1] if found else None

    def flag(self, name: str) -> Statement | None:
        """Return the line that turns a boolean on, None when it is off."""
        found = self.last(name)
        return found if found is not None and found.flag else None

    def number(self, name: str, *, at_least: int = 0, at_most: int = 2**48) -> int | None:
        """Return a number within bounds; remark on one beyond them and return None."""
        found = self.last(name)
        if found is None or found.number is None:
            return None
        if not at_least <= found.number <= at_most:
            self.error(found, f"{found.number} is not within {at_least}-{at_most}")
            return None
        return found.number

    def parsed(
        self, parse: Callable[[str], Value], *names: str
    ) -> Iterator[tuple[Value, Statement]]:
        """Yield the parsed values of repeated options; remark on those that do not parse."""
        for statement in self.every(*names):
            try:
                yield parse(statement.value), statement
            except ValueError as error:
                self.error(statement, str(error))

    def parsed_quietly(
        self, parse: Callable[[str], Value], *names: str
    ) -> Iterator[tuple[Value, Statement]]:
        """Yield what `parsed` yields, for options whose mistakes are remarked on elsewhere."""
        for statement in self.every(*names):
            with contextlib.suppress(ValueError):
                yield parse(statement.value), statement

    def set(self, section: str, key: str, value: Any, source: Statement | None) -> None:
        """Give a key a value that came from a line (None: from the file as a whole)."""
        self.draft.set((section, key), value, self._place(source))

    def add(self, path: tuple[str, ...], value: Any, source: Statement | None) -> None:
        """Append to a list of strings or tables."""
        self.draft.add(path, value, self._place(source))

    def info(self, source: Statement | None, message: str) -> None:
        """Remark on something by which nothing is lost."""
        self._remark(Severity.INFO, source, message)

    def warning(self, source: Statement | None, message: str) -> None:
        """Remark on something that will be otherwise than with coturn."""
        self._remark(Severity.WARNING, source, message)

    def error(self, source: Statement | None, message: str) -> None:
        """Remark on something that keeps the server from starting."""
        self._remark(Severity.ERROR, source, message)

    def _remark(self, severity: Severity, source: Statement | None, message: str) -> None:
        line, option = (source.line, source.name) if source is not None else (None, "")
        self.diagnostics.append(Diagnostic(self.file, line, option, severity, message))

    def _place(self, source: Statement | None) -> Place:
        return Place(self.file, source.line if source is not None else None)
