"""What a transport counts of packets that went no further."""

from __future__ import annotations

import attrs


@attrs.define
class TransportCounters:
    """Packets that went no further.

    Attributes:
        unknown: neither DTLS nor RTP nor RTCP.
        early: came before there were keys, or anybody to read them.
        unsendable: no candidate pair to send them on, too long, or they could not be protected.
        faults: a layer raised an exception over them, which is an error of ours.

    """

    unknown: int = 0
    early: int = 0
    unsendable: int = 0
    faults: int = 0
