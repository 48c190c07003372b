"""The table of what is shown with peers that are no browsers; `test_foreign_peers.py` shows it."""

from __future__ import annotations

import enum

import attrs

KIB = 1024


class Peer(enum.Enum):
    """A foreign implementation."""

    AIORTC = "aiortc"


@attrs.frozen
class Limits:
    """The longest messages of data channels, in bytes.

    Attributes:
        taken: as its description says, or RFC 8841 §6.1 where it says nothing.
        sent: that it can send.

    """

    taken: int
    sent: int


LIMITS = {
    Peer.AIORTC: Limits(256 * KIB, 256 * KIB),
}


class Feature(enum.Enum):
    """What is done in a call."""

    DATA = "data channels"
    MEDIA = "audio and video both ways"
    ADD_MEDIA = "audio and video both ways are added in mid-call"
    WE_RESTART = "we restart ICE in mid-call"
    PEER_RESTARTS = "the peer restarts ICE in mid-call"


@attrs.frozen
class Case:
    """One call to be shown."""

    peer: Peer
    we_offer: bool
    feature: Feature

    def __str__(self) -> str:
        who = "ours offers" if self.we_offer else "ours answers"
        return f"{self.peer.value}, {who}, {self.feature.value}"


# What is not here, and why:
#
# - aiortc 1.16 has no ICE restart (its credentials are set once).
_FEATURES = {
    Peer.AIORTC: (Feature.DATA, Feature.MEDIA, Feature.ADD_MEDIA),
}
CASES = tuple(
    Case(peer, we_offer, feature)
    for peer, features in _FEATURES.items()
    for feature in features
    for we_offer in (True, False)
)
