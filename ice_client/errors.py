"""What can go wrong, as one small hierarchy."""

from __future__ import annotations


class IceError(Exception):
    """The root of what this package raises for its callers to handle."""
