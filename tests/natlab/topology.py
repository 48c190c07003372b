"""What a lab consists of, as plain values: hosts, and boxes between networks.

There is one public network, named `PUBLIC`. Every box makes one more, behind it, which has
the box's name; hosts and other boxes are put on a network by that name, so a carrier-grade
NAT is a NAT with NATs on its network.
"""

from __future__ import annotations

import attrs

from tests.natlab.behaviour import Behaviour

PUBLIC = "public"

PUBLIC_NETWORK = "11.0.0.0/16"
"""Not set aside for anything (RFC 6890), so that a relay's policy takes these addresses for
public ones, as it must for a test to mean something. No packet leaves the lab."""
CARRIER_NETWORK = "100.64.0.0/16"
"""Of the space shared between carriers and their customers (RFC 6598)."""
IPV6_NETWORK = "2d00::/48"
"""Unallocated global unicast, for the same reason; each network has a /64 of it."""


@attrs.frozen(slots=True)
class Host:
    """A machine with one interface, `eth0`, and a namespace of its own.

    Attributes:
        name: to find it by.
        on: the network it is on.
        addresses: how many IPv4 addresses it has; 0 for a host with IPv6 only.
        ipv6: whether it has a global IPv6 address.
        mtu: of its interface, in bytes.

    """

    name: str
    on: str = PUBLIC
    addresses: int = 1
    ipv6: bool = False
    mtu: int = 1500


@attrs.frozen(slots=True)
class Nat:
    """A box that translates as RFC 4787 describes it, and routes IPv6 as it is.

    Attributes:
        name: of the box and of the network behind it.
        behaviour: what it does.
        on: the network its outside address is on.
        network: of the IPv4 addresses behind it; by default one that no other box has. Two
            homes with the same one are a good test as well.
        nat64: translate IPv6 to IPv4 (RFC 6146) instead of IPv4 to IPv4: the hosts behind it
            have IPv6 only, and reach an IPv4 address at 64:ff9b::/96.

    """

    name: str
    behaviour: Behaviour
    on: str = PUBLIC
    network: str = ""
    nat64: bool = False


@attrs.frozen(slots=True)
class KernelRouter:
    """A box that is Linux itself, with rules of nftables; IPv4 only.

    Attributes:
        name: of the box and of the network behind it.
        rules: for `nft -f`; the interfaces are `inside` and `outside`
            (see `tests.natlab.nftables`).
        on: the network its outside address is on.
        network: as with `Nat`.

    """

    name: str
    rules: str
    on: str = PUBLIC
    network: str = ""


Box = Nat | KernelRouter


@attrs.frozen(slots=True)
class Topology:
    """A lab to be: boxes are made in their order, a box after that whose network it is on."""

    hosts: tuple[Host, ...]
    boxes: tuple[Box, ...] = ()
