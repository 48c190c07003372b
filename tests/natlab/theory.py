"""What must become of two ICE agents behind two kinds of NAT: connected directly, or by relay.

The question is decided by what a kind of place lets in and how it shows itself. Let both
agents know each other's server-reflexive address, which is the mapping towards the STUN
server. A connectivity check of L comes from the mapping that L's NAT has *towards R*, to R's
server-reflexive address:

- *Endpoint-independent mapping* (the cones): it comes from the address that R knows, and the
  answer to the address that R sent its own checks from. It gets in if R's filter is open to
  that address: always, or once R has sent a check of its own to that IP address, or to that
  address and port. R has: both sides send. So cones always connect, as srflx to srflx.
- *Address-and-port-dependent mapping* (symmetric): it comes from a port that R can't know.
  A filter that looks at ports keeps it out; a filter that looks at IP addresses, or at
  nothing, lets it in, and R learns the port (a peer-reflexive candidate). And to send *to* a
  symmetric NAT is of no use before: its server-reflexive address lets in the STUN server only.

One relayed address is enough where UDP gets out at all: relays look at IP addresses
(permissions, RFC 8656 §9), so for a relay every NAT is behind an address-restricted one.

The candidate types are those of the *valid* pair (RFC 8445 §7.2.5.3.2), whose local candidate
is the mapped address in the answer: an agent that has sent from a host candidate ends with a
local candidate that is server-reflexive, or peer-reflexive behind a symmetric NAT.
"""

from __future__ import annotations

import enum

import attrs

from tests.natlab.behaviour import (
    ADDRESS_RESTRICTED,
    FULL_CONE,
    PORT_RESTRICTED,
    SYMMETRIC,
    SYMMETRIC_PRESERVING,
    Behaviour,
    Dependence,
)


class Reach(enum.Enum):
    """Who gets through to a place, over UDP."""

    PUBLIC = "everybody, at its own address"
    EVERYBODY = "everybody, at its server-reflexive address"
    ADDRESS = "the IP addresses it has sent to, at its server-reflexive address"
    PORT = "the addresses and ports it has sent to, at its server-reflexive address"
    SYMMETRIC = "whom it has sent to, each at an address of its own"
    NOBODY = "nobody, UDP is blocked: it reaches the TURN server over TCP or TLS"
    NAT64 = "nobody over IPv4: its own addresses are IPv6, the TURN server translates"


class Path(enum.Enum):
    """How two agents must end up."""

    DIRECT = "direct"
    RELAY = "relay"


REACH = {
    "public": Reach.PUBLIC,
    "full-cone": Reach.EVERYBODY,
    "address-restricted": Reach.ADDRESS,
    "port-restricted": Reach.PORT,
    "symmetric": Reach.SYMMETRIC,
    # It keeps the port for the STUN server, so it has another one for everybody else.
    "symmetric-preserving": Reach.SYMMETRIC,
    # Linux's own NAT (`MASQUERADE`, `MASQUERADE_RANDOM`).
    "linux": Reach.PORT,
    "linux-random": Reach.SYMMETRIC,
    # The inner NAT is a full cone, the carrier's decides: port-restricted, without hairpin.
    "double": Reach.PORT,
    "udp-blocked": Reach.NOBODY,
    "only-tcp-443": Reach.NOBODY,
    "nat64": Reach.NAT64,
}
"""Every kind of place in `tests.natlab.pairs`."""

BEHAVIOURS = {
    "full-cone": FULL_CONE,
    "address-restricted": ADDRESS_RESTRICTED,
    "port-restricted": PORT_RESTRICTED,
    "symmetric": SYMMETRIC,
    "symmetric-preserving": SYMMETRIC_PRESERVING,
}
"""Those kinds that are one NAT of RFC 4787."""


@attrs.frozen(slots=True)
class Outcome:
    """What must become of a pair of agents, seen from the first.

    Attributes:
        path: direct or by relay. By relay means that at least one candidate is a relayed one.
        types: local and remote candidate type of the selected pair, if the path is direct.
        because: why.

    """

    path: Path
    types: tuple[str, str] | None
    because: str

    @property
    def mirrored(self) -> Outcome:
        """The same, seen from the second."""
        return attrs.evolve(self, types=self.types and (self.types[1], self.types[0]))


def _direct(local: str, remote: str, because: str) -> Outcome:
    return Outcome(Path.DIRECT, (local, remote), because)


def _relay(because: str) -> Outcome:
    return Outcome(Path.RELAY, None, because)


_PUBLIC, _EVERYBODY, _ADDRESS = Reach.PUBLIC, Reach.EVERYBODY, Reach.ADDRESS
_PORT, _SYMMETRIC, _NOBODY, _NAT64 = Reach.PORT, Reach.SYMMETRIC, Reach.NOBODY, Reach.NAT64

_BOTH_KNOWN = "both come from the addresses that the other knows, and both send"
_NEVER_UDP = "no UDP gets out"
_OTHER_FAMILY = "no address of the one has the family of one of the other, but relayed ones"

TABLE: dict[tuple[Reach, Reach], Outcome] = {
    (_PUBLIC, _PUBLIC): _direct("host", "host", "nothing is between them"),
    (_PUBLIC, _EVERYBODY): _direct("host", "srflx", "everybody gets in"),
    (_PUBLIC, _ADDRESS): _direct("host", "srflx", _BOTH_KNOWN),
    (_PUBLIC, _PORT): _direct("host", "srflx", _BOTH_KNOWN),
    (_PUBLIC, _SYMMETRIC): _direct("host", "prflx", "the symmetric one comes, and is answered"),
    (_EVERYBODY, _EVERYBODY): _direct("srflx", "srflx", "everybody gets in, on both sides"),
    (_EVERYBODY, _ADDRESS): _direct("srflx", "srflx", _BOTH_KNOWN),
    (_EVERYBODY, _PORT): _direct("srflx", "srflx", _BOTH_KNOWN),
    (_EVERYBODY, _SYMMETRIC): _direct("srflx", "prflx", "from an unknown port, but all get in"),
    (_ADDRESS, _ADDRESS): _direct("srflx", "srflx", _BOTH_KNOWN),
    (_ADDRESS, _PORT): _direct("srflx", "srflx", _BOTH_KNOWN),
    (_ADDRESS, _SYMMETRIC): _direct(
        "srflx", "prflx", "from an unknown port, but of an address that was sent to"
    ),
    (_PORT, _PORT): _direct("srflx", "srflx", _BOTH_KNOWN),
    (_PORT, _SYMMETRIC): _relay("from an unknown port, which was not sent to"),
    (_SYMMETRIC, _SYMMETRIC): _relay("neither knows the port that the other comes from"),
    (_PUBLIC, _NOBODY): _relay(_NEVER_UDP),
    (_EVERYBODY, _NOBODY): _relay(_NEVER_UDP),
    (_ADDRESS, _NOBODY): _relay(_NEVER_UDP),
    (_PORT, _NOBODY): _relay(_NEVER_UDP),
    (_SYMMETRIC, _NOBODY): _relay(_NEVER_UDP),
    (_NOBODY, _NOBODY): _relay("on neither side: both need a relayed address"),
    (_PUBLIC, _NAT64): _relay(_OTHER_FAMILY),
    (_EVERYBODY, _NAT64): _relay(_OTHER_FAMILY),
    (_ADDRESS, _NAT64): _relay(_OTHER_FAMILY),
    (_PORT, _NAT64): _relay(_OTHER_FAMILY),
    (_SYMMETRIC, _NAT64): _relay(_OTHER_FAMILY),
    (_NOBODY, _NAT64): _relay(_OTHER_FAMILY),
    (_NAT64, _NAT64): _direct("host", "host", "IPv6 is routed, and has no NAT"),
}
"""Unordered; with UDP candidates only, and without port prediction, NAT64 address synthesis
(RFC 7050) and TCP candidates, all of which make more pairs connect directly."""


def expected(first: str, second: str) -> Outcome:
    """Return what must become of agents at two kinds of place, behind boxes of their own.

    Two on one network are not meant: they connect as host to host, whatever it is behind.

    Args:
        first: a key of `REACH`.
        second: the same.

    """
    one, other = REACH[first], REACH[second]
    if (one, other) in TABLE:
        return TABLE[one, other]
    return TABLE[other, one].mirrored


def can_be_direct(one: Behaviour, other: Behaviour) -> bool:
    """Tell from the words of RFC 4787 whether hole punching works: the table, reasoned again."""
    return _gets_in(one, other) or _gets_in(other, one)


def _gets_in(sender: Behaviour, receiver: Behaviour) -> bool:
    """Tell whether a check gets to a server-reflexive address, and the answer back.

    The receiver is where the check goes to, at the mapping towards the STUN server.
    """
    independent = Dependence.ENDPOINT_INDEPENDENT
    if receiver.mapping is not independent:
        # Its own packets leave from elsewhere: they opened nothing there, and the answer
        # would come from an address that was not asked. A filter without conditions on both
        # sides lets the check in and the answer back all the same.
        return receiver.filtering is independent and sender.filtering is independent
    if receiver.filtering is Dependence.ADDRESS_AND_PORT_DEPENDENT:
        return sender.mapping is independent
    return True
