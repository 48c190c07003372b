"""The state cookie: all that an INIT makes an endpoint know, kept by the peer (RFC 9260 §5.1.3)."""

from __future__ import annotations

import hmac
import struct
from typing import Self

import attrs

KEY_SIZE = 32
_FIELDS = struct.Struct("!dIIIIIHHBII")
_FEATURES_AT = 8
_MAC_SIZE = 32


@attrs.frozen(slots=True)
class Features:
    """Extensions, as one endpoint offers them or both share them."""

    partial_reliability: bool = False
    reconfiguration: bool = False
    interleaving: bool = False
    zero_checksum: bool = False

    def __and__(self, other: Features) -> Features:
        return Features(
            self.partial_reliability and other.partial_reliability,
            self.reconfiguration and other.reconfiguration,
            self.interleaving and other.interleaving,
            self.zero_checksum and other.zero_checksum,
        )

    def to_bits(self) -> int:
        """Return them as a number."""
        return sum(bool(value) << bit for bit, value in enumerate(attrs.astuple(self)))

    @classmethod
    def from_bits(cls, bits: int) -> Self:
        """Return what `to_bits` made a number of."""
        return cls(*(bool(bits >> bit & 1) for bit in range(len(attrs.fields(cls)))))


@attrs.frozen(slots=True)
class StateCookie:
    """What an association is made of.

    Attributes:
        created_at: monotonic seconds.
        local_tag: what the peer must put into its packets.
        peer_tag: what we must put into ours.
        local_tsn: our first.
        peer_tsn: the peer's first.
        peer_a_rwnd: what the peer's buffer takes.
        outbound_streams: from us.
        inbound_streams: to us.
        features: that both have.
        local_tie_tag: our tag in the association there was already, or 0.
        peer_tie_tag: the peer's in it, or 0.

    """

    created_at: float
    local_tag: int
    peer_tag: int
    local_tsn: int
    peer_tsn: int
    peer_a_rwnd: int
    outbound_streams: int
    inbound_streams: int
    features: Features
    local_tie_tag: int = 0
    peer_tie_tag: int = 0

    def seal(self, key: bytes) -> bytes:
        """Return the cookie with its MAC."""
        fields = _FIELDS.pack(
            self.created_at,
            self.local_tag,
            self.peer_tag,
            self.local_tsn,
            self.peer_tsn,
            self.peer_a_rwnd,
            self.outbound_streams,
            self.inbound_streams,
            self.features.to_bits(),
            self.local_tie_tag,
            self.peer_tie_tag,
        )
        return fields + hmac.digest(key, fields, "sha256")

    @classmethod
    def open(cls, sealed: bytes, key: bytes) -> Self | None:
        """Return the cookie, or None if it is not one that `key` sealed."""
        fields, mac = sealed[: _FIELDS.size], sealed[_FIELDS.size :]
        if len(mac) != _MAC_SIZE or not hmac.compare_digest(
            mac, hmac.digest(key, fields, "sha256")
        ):
            return None
        values = list(_FIELDS.unpack(fields))
        values[_FEATURES_AT] = Features.from_bits(values[_FEATURES_AT])
        return cls(*values)
