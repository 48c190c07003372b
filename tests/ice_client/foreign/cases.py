"""The table of what is shown with foreign ICE agents; `test_foreign_agents.py` shows it."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterator

import attrs

from ice_client import Role


class Peer(enum.Enum):
    """A foreign implementation."""

    AIOICE = "aioice"
    AIORTC = "aiortc"
    LIBNICE = "libnice"
    PION = "pion"


class Path(enum.Enum):
    """What alone the two may connect by."""

    UDP = "host candidates, UDP"
    TCP_OURS_OPENS = "host candidates, TCP, ours is active"
    TCP_PEER_OPENS = "host candidates, TCP, ours is passive"
    TURND = "relays of turnd, on both sides"
    COTURN = "relays of coturn, on both sides"


class Feature(enum.Enum):
    """What is done beside connecting and having data sent back."""

    NOTHING = ""
    WE_RESTART = "we restart in mid-call"
    PEER_RESTARTS = "the peer restarts in mid-call"
    WE_ARE_LITE = "we are lite"
    PEER_IS_LITE = "the peer is lite"


@attrs.frozen
class Case:
    """One connection to be shown; `role` is ours; `trickle` is of both sides."""

    peer: Peer
    role: Role
    path: Path
    trickle: bool
    feature: Feature = Feature.NOTHING

    def __str__(self) -> str:
        how = "trickle" if self.trickle else "all at once"
        words = [self.peer.value, f"ours {self.role.value}", self.path.value, how]
        return ", ".join(filter(None, [*words, self.feature.value]))


BOTH = tuple(Role)
WE_CONTROL = (Role.CONTROLLING,)
WE_OBEY = (Role.CONTROLLED,)
EITHER = (True, False)
"""Trickled, and all candidates in one message."""
ONCE = (False,)

# What is not here, and why:
#
# - aioice 0.10 and aiortc 1.16 (whose transport is aioice's, under parameters and candidates of its
#   own): no TCP candidates, no restart (their credentials are set once, and aiortc's `start` works
#   once), not lite themselves. They tell no candidate before all are gathered, so trickling is a
#   message each, after that; ours are trickled as they come, and taken while they check.
# - pion/ice 2.3 (Debian's): TCP candidates are passive alone; active ones came later.
# - libnice 0.1.21: nothing is missing; it offers no simultaneous-open candidates, as nobody does.
# - Lite agents are controlled, unless both are (RFC 8445 §6.1.1), and then nobody sends checks:
#   no peer here can be told so. Those of pion and libnice begin none, but answer one of ours with
#   a triggered one of their own.
_ROWS = [
    # peer         our role    path                 trickle feature
    (Peer.AIOICE, BOTH, Path.UDP, EITHER, Feature.NOTHING),
    (Peer.AIOICE, BOTH, Path.TURND, EITHER, Feature.NOTHING),
    (Peer.AIOICE, BOTH, Path.COTURN, EITHER, Feature.NOTHING),
    (Peer.AIOICE, WE_OBEY, Path.UDP, EITHER, Feature.WE_ARE_LITE),
    (Peer.AIORTC, BOTH, Path.UDP, EITHER, Feature.NOTHING),
    (Peer.AIORTC, BOTH, Path.TURND, EITHER, Feature.NOTHING),
    (Peer.AIORTC, BOTH, Path.COTURN, EITHER, Feature.NOTHING),
    (Peer.AIORTC, WE_OBEY, Path.UDP, EITHER, Feature.WE_ARE_LITE),
    (Peer.LIBNICE, BOTH, Path.UDP, EITHER, Feature.NOTHING),
    (Peer.LIBNICE, BOTH, Path.TCP_OURS_OPENS, EITHER, Feature.NOTHING),
    (Peer.LIBNICE, BOTH, Path.TCP_PEER_OPENS, EITHER, Feature.NOTHING),
    (Peer.LIBNICE, BOTH, Path.TURND, EITHER, Feature.NOTHING),
    (Peer.LIBNICE, BOTH, Path.COTURN, EITHER, Feature.NOTHING),
    (Peer.LIBNICE, BOTH, Path.UDP, EITHER, Feature.WE_RESTART),
    (Peer.LIBNICE, BOTH, Path.UDP, EITHER, Feature.PEER_RESTARTS),
    (Peer.LIBNICE, BOTH, Path.TURND, ONCE, Feature.WE_RESTART),
    (Peer.LIBNICE, BOTH, Path.TURND, ONCE, Feature.PEER_RESTARTS),
    (Peer.LIBNICE, WE_OBEY, Path.UDP, EITHER, Feature.WE_ARE_LITE),
    (Peer.LIBNICE, WE_CONTROL, Path.UDP, EITHER, Feature.PEER_IS_LITE),
    (Peer.PION, BOTH, Path.UDP, EITHER, Feature.NOTHING),
    (Peer.PION, BOTH, Path.TCP_OURS_OPENS, EITHER, Feature.NOTHING),
    (Peer.PION, BOTH, Path.TURND, EITHER, Feature.NOTHING),
    (Peer.PION, BOTH, Path.COTURN, EITHER, Feature.NOTHING),
    (Peer.PION, BOTH, Path.UDP, EITHER, Feature.WE_RESTART),
    (Peer.PION, BOTH, Path.UDP, EITHER, Feature.PEER_RESTARTS),
    (Peer.PION, BOTH, Path.TURND, EITHER, Feature.WE_RESTART),
    (Peer.PION, BOTH, Path.TURND, EITHER, Feature.PEER_RESTARTS),
    (Peer.PION, WE_OBEY, Path.UDP, EITHER, Feature.WE_ARE_LITE),
    (Peer.PION, WE_CONTROL, Path.UDP, EITHER, Feature.PEER_IS_LITE),
]


def cases_of(peer: Peer) -> Iterator[Case]:
    """Return the cases of a peer."""
    for row_peer, roles, path, trickles, feature in _ROWS:
        if row_peer is peer:
            for role, trickle in itertools.product(roles, trickles):
                yield Case(peer, role, path, trickle, feature)
