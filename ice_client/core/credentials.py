"""ICE short-term credentials: username fragment and password (RFC 8445 §5.3, RFC 8839 §5.4)."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

import attrs

RandomBytes = Callable[[int], bytes]
"""Draws that many unpredictable bytes: `secrets.token_bytes`, or a seeded one in a simulation."""

_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}", re.ASCII)
_PASSWORD = re.compile(r"[A-Za-z0-9+/]{22,256}", re.ASCII)


@attrs.frozen(slots=True)
class Credentials:
    """A username fragment and a password, one pair for each side and session.

    Attributes:
        username_fragment: 4 to 256 ice-chars (letters, digits, ``+`` and ``/``).
        password: 22 to 256 ice-chars; never shown or logged.

    Raises:
        ValueError: one of them is too short, too long, or has other characters.

    """

    username_fragment: str = attrs.field()
    password: str = attrs.field(repr=False)

    @username_fragment.validator
    def _check_username_fragment(self, _attribute: object, value: str) -> None:
        if not _UFRAG.fullmatch(value):
            raise ValueError("a username fragment has 4 to 256 ice-chars (RFC 8839 §5.4)")

    @password.validator
    def _check_password(self, _attribute: object, value: str) -> None:
        if not _PASSWORD.fullmatch(value):
            raise ValueError("an ICE password has 22 to 256 ice-chars (RFC 8839 §5.4)")

    @classmethod
    def generate(cls, random_bytes: RandomBytes) -> Credentials:
        """Make new ones: 48 bits of username fragment and 144 of password.

        RFC 8445 §5.3 asks for at least 24 and 128 random bits.
        """
        return cls(_ice_chars(random_bytes(6)), _ice_chars(random_bytes(18)))

    @property
    def key(self) -> bytes:
        """The integrity key of messages sent to their owner (RFC 8489 §9.1.1)."""
        return self.password.encode()


def _ice_chars(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")  # 3 bytes make 4 ice-chars, without padding
