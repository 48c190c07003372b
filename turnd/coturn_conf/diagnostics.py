"""What a reader of turnserver.conf tells the operator: one remark about one line."""

from __future__ import annotations

import enum

import attrs


class Severity(enum.Enum):
    """How much a remark matters."""

    INFO = "info"
    """Nothing is lost."""
    WARNING = "warning"
    """The server will behave otherwise than coturn would."""
    ERROR = "error"
    """The server does not start with this."""


@attrs.frozen(slots=True)
class Diagnostic:
    """A remark.

    Attributes:
        file: the file as it was named.
        line: 1-based, None for the file as a whole.
        option: coturn's name, ``""`` for none.
        severity: how much it matters.
        message: what happens instead, and what to do. Never holds a secret.

    """

    file: str
    line: int | None
    option: str
    severity: Severity
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        parts = (place, self.severity.value, self.option, self.message)
        return ": ".join(part for part in parts if part)
