"""The two integrity attributes' parameters (RFC 8489 §14.5, §14.6)."""

from __future__ import annotations

import enum


class IntegrityAlgorithm(enum.Enum):
    """MESSAGE-INTEGRITY (HMAC-SHA1) or MESSAGE-INTEGRITY-SHA256 (HMAC-SHA256)."""

    SHA1 = ("sha1", 0x0008, 20, 20)
    SHA256 = ("sha256", 0x001C, 32, 16)

    def __init__(self, hash_name: str, code: int, digest_size: int, minimum: int) -> None:
        self.hash_name = hash_name
        self.attribute_code = code
        self.digest_size = digest_size
        self._minimum = minimum

    def accepts_length(self, length: int) -> bool:
        """Whether the attribute's value may have that many bytes (truncation, RFC 8489 §14.6)."""
        return self._minimum <= length <= self.digest_size and length % 4 == 0
