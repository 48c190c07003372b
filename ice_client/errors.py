"""What can go wrong, as one small hierarchy."""

from __future__ import annotations


class IceError(Exception):
    """The root of what this package raises for its callers to handle."""


class CandidateError(IceError):
    """A candidate attribute that is malformed, or of a kind that cannot be used (RFC 8839 §5.1)."""
