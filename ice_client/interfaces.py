"""Which addresses of this host become host candidates (RFC 8445 §5.1.1.1).

On Linux the kernel is asked itself, as it alone knows which IPv6 addresses are temporary,
deprecated or not yet usable; elsewhere `ifaddr` tells the addresses and nothing of that.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import logging
import socket
from collections.abc import Iterable, Sequence

import attrs
import ifaddr

from ice_client.netlink import dump_host
from ice_client.rtnetlink import Link, LinkAddress, NetlinkError
from stun import Address, Family

MAX_ADDRESSES = 64
"""How many addresses are used at the most: each is a socket, and pairs with every remote one."""

_SITE_LOCAL = ipaddress.IPv6Network("fec0::/10")
_IPV4_COMPATIBLE = ipaddress.IPv6Network("::/96")

_log = logging.getLogger(__name__)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@attrs.frozen(slots=True)
class LocalAddress:
    """An address that this host may send from.

    Attributes:
        address: with port 0.
        interface: its name.
        index: its number.
        prefix_length: bits of its network.
        is_loopback: it is on `lo`.
        is_temporary: made to prevent tracking (RFC 8981).
        is_deprecated: not for new traffic.

    """

    address: Address
    interface: str
    index: int
    prefix_length: int
    is_loopback: bool = False
    is_temporary: bool = False
    is_deprecated: bool = False

    @property
    def is_link_local(self) -> bool:
        """Whether it means something on its own link only."""
        return ipaddress.ip_address(self.address.packed).is_link_local

    @property
    def network(self) -> Network:
        """The network it is in."""
        return ipaddress.ip_network((self.address.packed, self.prefix_length), strict=False)


def _names(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)


def _families(values: Iterable[Family]) -> frozenset[Family]:
    return frozenset(values)


def _networks(values: Iterable[str | Network]) -> tuple[Network, ...]:
    return tuple(
        ipaddress.ip_network(value, strict=False) if isinstance(value, str) else value
        for value in values
    )


@attrs.frozen(slots=True, kw_only=True)
class InterfaceFilter:
    """Which addresses to use; the default is what RFC 8445 §5.1.1.1 asks for.

    Attributes:
        interfaces: names or globs (``"eth*"``) to use; empty: all.
        exclude_interfaces: names or globs not to use; beats `interfaces`.
        networks: networks to use (``"192.0.2.0/24"``); empty: all. Raises ValueError if it is none.
        exclude_networks: networks not to use; beats `networks`.
        families: IPv4, IPv6 or both.
        loopback: whether to use `lo`, which the RFC forbids outside of tests.
        link_local: whether to use IPv6 link-local addresses, and 169.254.0.0/16.

    """

    interfaces: tuple[str, ...] = attrs.field(default=(), converter=_names)
    exclude_interfaces: tuple[str, ...] = attrs.field(default=(), converter=_names)
    networks: tuple[Network, ...] = attrs.field(default=(), converter=_networks)
    exclude_networks: tuple[Network, ...] = attrs.field(default=(), converter=_networks)
    families: frozenset[Family] = attrs.field(default=frozenset(Family), converter=_families)
    loopback: bool = False
    link_local: bool = False

    def choose(self, addresses: Iterable[LocalAddress]) -> list[LocalAddress]:
        """Return those to use, in order, at most `MAX_ADDRESSES`."""
        wanted = [each for each in addresses if self._wants(each)]
        private = [each for each in wanted if each.is_temporary]
        # RFC 8445 §5.1.1.1: an address that tells where its host was before is not shown beside
        # one of the same interface and prefix that doesn't; nor is a link-local one.
        return [each for each in wanted if not _betrays(each, private)][:MAX_ADDRESSES]

    def _wants(self, each: LocalAddress) -> bool:
        ip = ipaddress.ip_address(each.address.packed)
        if each.address.family not in self.families or each.is_deprecated:
            return False
        if ip.is_multicast or ip.is_unspecified:
            return False
        if each.is_loopback or ip.is_loopback:
            if not self.loopback:
                return False
        elif ip in _SITE_LOCAL or ip in _IPV4_COMPATIBLE:
            return False
        if each.is_link_local and not self.link_local:
            return False
        return self._allows(each.interface, ip)

    def _allows(self, name: str, ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        if _matches(name, self.exclude_interfaces) or _within(ip, self.exclude_networks):
            return False
        if self.interfaces and not _matches(name, self.interfaces):
            return False
        return not self.networks or _within(ip, self.networks)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _within(ip: ipaddress.IPv4Address | ipaddress.IPv6Address, networks: Iterable[Network]) -> bool:
    return any(ip in network for network in networks)


def _betrays(each: LocalAddress, private: Sequence[LocalAddress]) -> bool:
    if each.is_temporary or each.address.family is Family.IPV4:
        return False
    return any(
        other.index == each.index and (other.network == each.network or each.is_link_local)
        for other in private
    )


async def local_addresses(wanted: InterfaceFilter = InterfaceFilter()) -> list[LocalAddress]:
    """Return the addresses of this host that `wanted` chooses, in the kernel's order.

    Where the kernel can't be asked (another system than Linux, a sandbox), temporary and
    deprecated IPv6 addresses are not told apart from others.
    """
    if hasattr(socket, "AF_NETLINK"):
        try:
            return wanted.choose(join(*await dump_host()))
        except (OSError, NetlinkError) as error:
            _log.debug("the kernel tells no addresses: %s", error)
    return wanted.choose(_ifaddr_addresses())


def join(links: Iterable[Link], addresses: Iterable[LinkAddress]) -> list[LocalAddress]:
    """Return the usable addresses of the links that are up and have a carrier."""
    up = {link.index: link for link in links if link.is_up and link.is_running}
    return [
        LocalAddress(
            each.address,
            up[each.index].name,
            each.index,
            each.prefix_length,
            is_loopback=up[each.index].is_loopback,
            is_temporary=each.is_temporary,
            is_deprecated=each.is_deprecated,
        )
        for each in addresses
        if each.index in up and each.is_usable
    ]


def _ifaddr_addresses() -> list[LocalAddress]:
    found = []
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            host, scope = (ip.ip, 0) if isinstance(ip.ip, str) else (ip.ip[0], ip.ip[2])
            address = Address(Address.parse(host.partition("%")[0]).packed, 0, scope)
            is_loopback = ipaddress.ip_address(address.packed).is_loopback
            index = adapter.index or 0
            found.append(LocalAddress(address, adapter.name, index, ip.network_prefix, is_loopback))
    return found
