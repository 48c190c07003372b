"""Counters of an association."""

from __future__ import annotations

import attrs


@attrs.define
class Statistics:
    """Counters since the beginning.

    Attributes:
        malformed: packets that could not be read.
        ignored: chunks that have no place in the state they came in.
        errors_reported: ERROR chunks from the peer.

    """

    packets_sent: int = 0
    packets_received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    malformed: int = 0
    ignored: int = 0
    errors_reported: int = 0
