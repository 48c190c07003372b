"""A lab with two hosts of every kind in `tests.natlab.theory`, and servers they can ask.

    with lab(PAIRS) as net:
        left, right = net[left_host("symmetric")], net[right_host("full-cone")]

Each has a box of its own (the public ones have none), so any left one and any right one make
a pair. All boxes come up in a fraction of a second: one lab does for all pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement

from tests.natlab.behaviour import FULL_CONE, PORT_RESTRICTED
from tests.natlab.nftables import MASQUERADE, MASQUERADE_RANDOM, ONLY_TCP_443, UDP_BLOCKED
from tests.natlab.theory import BEHAVIOURS, REACH
from tests.natlab.topology import CARRIER_NETWORK, PUBLIC, Box, Host, KernelRouter, Nat, Topology

SERVER = "server"
"""The host for a TURN server: two IPv4 addresses and an IPv6 address."""

_RULES = {
    "linux": MASQUERADE,
    "linux-random": MASQUERADE_RANDOM,
    "udp-blocked": UDP_BLOCKED,
    "only-tcp-443": ONLY_TCP_443,
}


def left_host(kind: str) -> str:
    """Return the name of the one host of a kind."""
    return f"left {kind}"


def right_host(kind: str) -> str:
    """Return the name of the other."""
    return f"right {kind}"


def box_of(host: str) -> str:
    """Return the name of the box that a host is behind, and of the network it is on."""
    return f"{host} box"


def _boxes(host: str, kind: str) -> Iterator[Box]:
    name = box_of(host)
    if kind in BEHAVIOURS:
        yield Nat(name, BEHAVIOURS[kind])
    elif kind in _RULES:
        yield KernelRouter(name, _RULES[kind])
    elif kind == "double":
        yield Nat(f"{name} of the carrier", PORT_RESTRICTED, network=CARRIER_NETWORK)
        yield Nat(name, FULL_CONE, on=f"{name} of the carrier")
    elif kind == "nat64":
        yield Nat(name, PORT_RESTRICTED, nat64=True)


def _host(name: str, kind: str) -> Host:
    if kind == "nat64":
        return Host(name, on=box_of(name), addresses=0, ipv6=True)
    return Host(name, on=PUBLIC if kind == "public" else box_of(name))


def _topology() -> Topology:
    places = [(side(kind), kind) for kind in REACH for side in (left_host, right_host)]
    return Topology(
        hosts=(Host(SERVER, addresses=2, ipv6=True), *(_host(*place) for place in places)),
        boxes=tuple(box for place in places for box in _boxes(*place)),
    )


PAIRS = _topology()

KIND_PAIRS = tuple(combinations_with_replacement(REACH, 2))
"""Every unordered pair of kinds."""
