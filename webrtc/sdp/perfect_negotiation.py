"""Perfect negotiation (W3C webrtc-pc §10.7): both ends may offer at any time, one is polite.

Only the decisions live here. The peer connection tells when it begins and ends to make an offer,
asks what to do with each description that arrives, and does it.
"""

from __future__ import annotations

import enum

from webrtc.sdp.description import DescriptionType
from webrtc.sdp.events import SignalingState


class Decision(enum.Enum):
    """What to do with a description that arrived."""

    APPLY = "apply"
    """Set it; an offer is then to be answered."""

    ROLL_BACK_AND_APPLY = "roll back and apply"
    """Set it: `JsepSession` rolls our own offer back by itself. Then answer."""

    IGNORE = "ignore"
    """Drop it; candidates that come with it may fail and are to be ignored too."""


class PerfectNegotiation:
    """Decide who gives way when two offers cross.

    Args:
        is_polite: whether this end gives way; exactly one of the two ends must.

    """

    def __init__(self, *, is_polite: bool) -> None:
        self._is_polite = is_polite
        self._is_making_offer = False
        self._is_setting_answer = False
        self._ignores_offer = False

    @property
    def is_polite(self) -> bool:
        """Whether this end gives way."""
        return self._is_polite

    @property
    def ignores_candidates(self) -> bool:
        """Whether errors of candidates are to be ignored: their offer was."""
        return self._ignores_offer

    def begin_offer(self) -> None:
        """Note that an offer is being made, from before it is created until it is sent."""
        self._is_making_offer = True

    def end_offer(self) -> None:
        """Note that it was sent, or failed."""
        self._is_making_offer = False

    def receive(self, kind: DescriptionType, state: SignalingState) -> Decision:
        """Decide about a description; call `applied` once it was set or failed.

        Args:
            kind: of the description that arrived.
            state: of the session, now.

        """
        is_ready = not self._is_making_offer and (
            state is SignalingState.STABLE or self._is_setting_answer
        )
        collides = kind is DescriptionType.OFFER and not is_ready
        self._ignores_offer = collides and not self._is_polite
        if self._ignores_offer:
            return Decision.IGNORE
        self._is_setting_answer = kind is DescriptionType.ANSWER
        return Decision.ROLL_BACK_AND_APPLY if collides else Decision.APPLY

    def applied(self) -> None:
        """Note that the description which `receive` let through was set, or failed."""
        self._is_setting_answer = False
