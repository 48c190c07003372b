"""Messages and chunks on their way out, and how hard to try (RFC 3758, RFC 7496)."""

from __future__ import annotations

import math

import attrs

from webrtc.sctp.chunks import DataFlag

UNORDERED = int(DataFlag.UNORDERED)


@attrs.frozen(slots=True, kw_only=True)
class Reliability:
    """How hard to try (RFC 3758, RFC 7496): without limits, until it arrives.

    Attributes:
        max_retransmits: transmissions beyond the first.
        lifetime: seconds after which it is not tried any more.

    """

    max_retransmits: int | None = attrs.field(default=None)
    lifetime: float | None = attrs.field(default=None)

    @max_retransmits.validator
    def _is_a_count(self, _attribute: object, value: int | None) -> None:
        if value is not None and value < 0:
            raise ValueError("max_retransmits must not be below zero")

    @lifetime.validator
    def _is_a_time(self, _attribute: object, value: float | None) -> None:
        if value is not None and value < 0:
            raise ValueError("lifetime must not be below zero")


RELIABLE = Reliability()


class OutgoingMessage:
    """A message on its way out.

    Attributes:
        offset: bytes that have been given to chunks.
        expires_at: monotonic seconds, `math.inf` for never.
        max_retransmits: None for any number.
        number: stream sequence number or message identifier, given when sending begins: what
            expires before leaves no hole.
        first_tsn: of its first chunk sent.
        last_tsn: of its last chunk sent so far.

    """

    __slots__ = (
        "expires_at",
        "first_tsn",
        "flags",
        "fragments",
        "last_tsn",
        "max_retransmits",
        "number",
        "offset",
        "payload",
        "ppid",
        "stream_id",
    )

    def __init__(
        self,
        stream_id: int,
        ppid: int,
        payload: bytes,
        *,
        ordered: bool,
        reliability: Reliability,
        now: float,
    ) -> None:
        self.stream_id = stream_id
        self.ppid = ppid
        self.payload = payload
        self.flags = 0 if ordered else UNORDERED
        self.max_retransmits = reliability.max_retransmits
        lifetime = reliability.lifetime
        self.expires_at = math.inf if lifetime is None else now + lifetime
        self.offset = 0
        self.fragments = 0
        self.number = 0
        self.first_tsn = self.last_tsn = 0


class SentChunk:
    """A chunk that was sent and is not acknowledged for good.

    Attributes:
        wire: the whole chunk as it goes into packets.
        size: of its user data.
        message: what it is of.
        state: one of `outstanding`'s.
        misses: SACKs that told of later ones but not of it.
        retransmits: how often it was sent again.
        sent_at: when it was last sent, in monotonic seconds.
        evidence_from: only SACKs of TSNs above this one count as misses.

    """

    __slots__ = (
        "evidence_from",
        "message",
        "misses",
        "retransmits",
        "sent_at",
        "size",
        "state",
        "tsn",
        "wire",
    )

    def __init__(self, tsn: int, wire: bytes, size: int, message: OutgoingMessage) -> None:
        self.tsn = tsn
        self.wire = wire
        self.size = size
        self.message = message
        self.state = 0
        self.misses = 0
        self.retransmits = 0
        self.sent_at = 0.0
        self.evidence_from = tsn
