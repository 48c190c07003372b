"""What an authentic Binding request of the peer's tells (RFC 8445 §7.3)."""

from __future__ import annotations

import attrs

from ice_client.core.candidate import Base
from stun import Address


@attrs.frozen(slots=True)
class PeerRequest:
    """An authentic Binding request of the peer's.

    Attributes:
        base: where it came.
        source: from whom.
        priority: its PRIORITY: of the peer-reflexive candidate it may be from.
        use_candidate: it nominates.
        nomination: libwebrtc's NOMINATION; 0 if it has none.
        username_fragment: the peer's, as the request has it.

    """

    base: Base
    source: Address
    priority: int
    use_candidate: bool
    nomination: int
    username_fragment: str
