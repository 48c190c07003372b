"""The one error of the configuration: where it is, which key, what would be right."""

from __future__ import annotations


class ConfigError(Exception):
    """A configuration that can't be used.

    Attributes:
        file: the file as it was named, or another origin: ``"command line"``,
            ``"environment variable TURND_RELAY__PORTS"``, ``"defaults"``.
        line: 1-based line of `key` in `file`, or None where lines mean nothing.
        key: dotted key such as ``"relay.ports"`` or ``"auth.users[0].key"``; a coturn
            option's name for a turnserver.conf; ``""`` when no key is at fault.
        message: what is wrong and what would be right. Never holds a secret.

    """

    def __init__(self, file: str, line: int | None, key: str, message: str) -> None:
        self.file = file
        self.line = line
        self.key = key
        self.message = message
        place = file if line is None else f"{file}:{line}"
        super().__init__(": ".join(part for part in (place, key, message) if part))
