"""What can go wrong, as one small hierarchy."""

from __future__ import annotations


class IceError(Exception):
    """The root of what this package raises for its callers to handle."""


class CandidateError(IceError):
    """A candidate attribute that is malformed, or of a kind that cannot be used (RFC 8839 §5.1)."""


class AgentClosedError(IceError):
    """The agent's block was left; nothing is sent or received any more."""


class ConnectError(IceError):
    """The agent failed: no pair works, or consent was lost. Only a restart helps."""


class NotConnectedError(IceError):
    """There is no pair that data may be sent on, yet or any more."""


class PacketTooLongError(IceError):
    """A packet is longer than the pair's transport can carry."""


def printable(text: str) -> str:
    """Return what a stranger said so that a terminal, or a line of a log, can't be led by it."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
