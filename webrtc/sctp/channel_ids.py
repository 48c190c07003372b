"""Which stream a channel of ours gets: half of the identifiers is each side's (RFC 8832 §6)."""

from __future__ import annotations

from collections.abc import Callable

from webrtc.sctp.channel import MAX_CHANNEL_ID
from webrtc.sctp.errors import NoStreamError


class ChannelIds:
    """Draws identifiers, going round: one just closed is not used at once.

    Args:
        is_free: whether an identifier can be used.

    """

    def __init__(self, is_free: Callable[[int], bool]) -> None:
        self._is_free = is_free
        self._next = 0

    def begin(self, *, is_dtls_client: bool) -> None:
        """Draw even ones from now on, as a DTLS client, or odd ones."""
        self._next = 0 if is_dtls_client else 1

    def draw(self, limit: int | None) -> int:
        """Return a free identifier.

        Args:
            limit: it is below this, as both sides agreed; None before they have.

        Raises:
            NoStreamError: there is none.

        """
        for _ in range(MAX_CHANNEL_ID // 2 + 1):
            candidate = self._next
            self._next += 2
            if self._next > MAX_CHANNEL_ID:
                self._next %= 2
            if limit is not None and candidate >= limit:
                self._next = candidate % 2
                continue
            if self._is_free(candidate):
                return candidate
        raise NoStreamError("every stream is in use")
