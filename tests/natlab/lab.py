"""Builds a topology, for the length of a block."""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import socket
from collections import Counter
from collections.abc import Iterator

import attrs

from tests.natlab.fabric import Attachment, Fabric, Segment
from tests.natlab.impairment import Impairment
from tests.natlab.namespace import LabError, Namespace
from tests.natlab.routers import NatRouter
from tests.natlab.topology import (
    IPV6_NETWORK,
    PUBLIC,
    PUBLIC_NETWORK,
    Box,
    Host,
    KernelRouter,
    Topology,
)
from tests.natlab.translation import Mapping, TranslationTable


@attrs.define
class LabHost(Namespace):
    """A host that is up: its namespace, and what it is called there.

    Attributes:
        name: as in the topology.
        addresses: its IPv4 addresses, then its IPv6 address, if it has them.

    """

    name: str
    addresses: tuple[str, ...]

    @property
    def address(self) -> str:
        """The first of its addresses."""
        return self.addresses[0]

    def bound_socket(
        self, port: int = 0, kind: socket.SocketKind = socket.SOCK_DGRAM, host: str = ""
    ) -> socket.socket:
        """Open a socket bound to one of its addresses, the first by default."""
        host = host or self.address
        sock = self.open_socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
        try:
            sock.bind((host, port))
        except BaseException:
            sock.close()
            raise
        return sock


@attrs.define
class _Network:
    """A segment and the addresses that are left on it."""

    segment: Segment
    ipv4: ipaddress.IPv4Network
    ipv6: ipaddress.IPv6Network | None
    parent: str | None
    _next_ipv4: itertools.count[int] = attrs.field(factory=lambda: itertools.count(1))
    _next_ipv6: itertools.count[int] = attrs.field(factory=lambda: itertools.count(2))

    def take_ipv4(self) -> ipaddress.IPv4Address:
        return self.ipv4[next(self._next_ipv4)]

    def take_ipv6(self) -> ipaddress.IPv6Address:
        if self.ipv6 is None:
            raise LabError(f"{self.segment.name}: there is no IPv6 behind a KernelRouter")
        return self.ipv6[next(self._next_ipv6)]


@attrs.define(eq=False)
class Lab:
    """A topology that is up. `net["alice"]` is the host of that name."""

    topology: Topology
    _fabric: Fabric = attrs.field(factory=Fabric, repr=False)
    _stack: contextlib.ExitStack = attrs.field(factory=contextlib.ExitStack, repr=False)
    _hosts: dict[str, LabHost] = attrs.field(factory=dict, repr=False)
    _nats: dict[str, NatRouter] = attrs.field(factory=dict, repr=False)
    _networks: dict[str, _Network] = attrs.field(factory=dict, repr=False)
    _lines: dict[str, Attachment] = attrs.field(factory=dict, repr=False)
    _outside: dict[str, str] = attrs.field(factory=dict, repr=False)

    def __getitem__(self, name: str) -> LabHost:
        return self._hosts[name]

    def outside_address(self, box: str) -> str:
        """Return the address that a box has on the network it is on."""
        return self._outside[box]

    def mappings(self, nat: str) -> list[Mapping]:
        """Return the mappings that a NAT has, those that are over among them."""
        table = self._nats[nat].table
        return self._fabric.call(lambda: [attrs.evolve(mapping) for mapping in table])

    def rebind(self, nat: str) -> None:
        """Let a NAT forget its mappings, as if it had been restarted; new ones are different."""
        self._fabric.call(self._nats[nat].table.rebind)

    def impair(self, name: str, up: Impairment | None, down: Impairment | None) -> None:
        """Make the line of a host, or of a box to the outside, bad; None makes it good again.

        Args:
            name: of the host or box.
            up: what happens to packets that it sends.
            down: what happens to packets for it.

        """
        line = self._lines[name]
        self._fabric.call(lambda: line.impair(up, down))

    def settle(self) -> None:
        """Wait until nothing is under way but packets that a bad line delays.

        What was sent before, by a call that has returned, is then in the socket it is for.
        So a test tells what does not arrive without waiting for it.
        """
        self._fabric.settle()

    def dropped(self) -> Counter[str]:
        """Return how many packets went nowhere so far, by reason."""
        return self._fabric.call(lambda: Counter(self._fabric.dropped))

    def _build(self) -> None:
        self._stack.callback(self._fabric.close)
        self._add_network(PUBLIC, PUBLIC_NETWORK, None, ipv6=True)
        for box in self.topology.boxes:
            self._add_box(box)
        for host in self.topology.hosts:
            self._add_host(host)
        self._fabric.start()

    def _add_network(self, name: str, ipv4: str, parent: str | None, *, ipv6: bool) -> _Network:
        if name in self._networks:
            raise LabError(f"two networks are named {name!r}")
        index = len(self._networks)
        prefixes = ipaddress.IPv6Network(IPV6_NETWORK).network_address
        self._networks[name] = network = _Network(
            Segment(self._fabric, name),
            ipaddress.IPv4Network(ipv4 or f"192.168.{index}.0/24"),
            ipaddress.IPv6Network((int(prefixes) + (index << 64), 64)) if ipv6 else None,
            parent,
        )
        return network

    def _network(self, name: str) -> _Network:
        if name not in self._networks:
            raise LabError(f"there is no network {name!r} (boxes are made in their order)")
        return self._networks[name]

    def _add_box(self, box: Box) -> None:
        outside = self._network(box.on)
        ipv6 = not isinstance(box, KernelRouter) and outside.ipv6 is not None
        inside = self._add_network(box.name, box.network, box.on, ipv6=ipv6)
        address = outside.take_ipv4()
        self._outside[box.name] = str(address)
        if isinstance(box, KernelRouter):
            self._add_kernel_router(box, inside, outside, address)
            return
        # The seed is the box's own, so that one box more changes nothing for the others.
        table = TranslationTable(box.behaviour, seed=sum(box.name.encode()))
        router = NatRouter(table, address.packed, inside.segment, outside.segment, box.nat64)
        inside.take_ipv4()
        self._nats[box.name] = router
        self._lines[box.name] = router.outer
        if inside.ipv6 is not None:
            self._route(inside.ipv6.network_address.packed[:8], box.on, router.outer)

    def _route(self, prefix: bytes, name: str, way: Attachment) -> None:
        """Make a /64 known on a network and on all those above it."""
        while True:
            network = self._network(name)
            network.segment.routes[prefix] = way
            if network.parent is None:
                return
            way, name = self._nats[name].outer, network.parent

    def _add_kernel_router(
        self,
        box: KernelRouter,
        inside: _Network,
        outside: _Network,
        address: ipaddress.IPv4Address,
    ) -> None:
        namespace = Namespace()
        self._stack.callback(namespace.close)
        inner = self._add_interface(namespace, "inside", inside.segment)
        outer = self._add_interface(namespace, "outside", outside.segment)
        own = inside.take_ipv4()
        inside.segment.neighbours[own.packed] = inside.segment.gateway = inner
        outside.segment.neighbours[address.packed] = outer
        self._lines[box.name] = outer
        _configure(
            namespace,
            f"addr add {own}/{inside.ipv4.prefixlen} dev inside",
            f"addr add {address}/{outside.ipv4.prefixlen} dev outside",
            "link set inside up",
            "link set outside up",
            "route add default dev outside",
        )
        namespace.run("nft", "-f", "-", text=box.rules)
        with namespace.entered(), open("/proc/sys/net/ipv4/ip_forward", "w") as switch:
            switch.write("1")

    def _add_host(self, host: Host) -> None:
        if host.name in self._lines:
            raise LabError(f"two hosts or boxes are named {host.name!r}")
        network = self._network(host.on)
        addresses = [network.take_ipv4() for _ in range(host.addresses)]
        commands = [f"addr add {each}/{network.ipv4.prefixlen} dev eth0" for each in addresses]
        names = [str(each) for each in addresses]
        packed = [each.packed for each in addresses]
        routes = ["route add default dev eth0"] if addresses else []
        if host.ipv6:
            ipv6 = network.take_ipv6()
            commands.append(f"addr add {ipv6}/64 dev eth0 nodad")
            routes.append("route add ::/0 dev eth0")
            names.append(str(ipv6))
            packed.append(ipv6.packed)
        lab_host = LabHost(host.name, tuple(names))
        self._stack.callback(lab_host.close)
        attachment = self._add_interface(lab_host, "eth0", network.segment)
        network.segment.neighbours |= dict.fromkeys(packed, attachment)
        self._hosts[host.name] = lab_host
        self._lines[host.name] = attachment
        up = [f"link set eth0 mtu {host.mtu} addrgenmode none", "link set eth0 up"]
        _configure(lab_host, *up, *commands, *routes)

    def _add_interface(self, namespace: Namespace, name: str, segment: Segment) -> Attachment:
        descriptor = namespace.open_tun(name)
        attachment = Attachment(segment, lambda packet: self._fabric.write(descriptor, packet))
        self._fabric.add_device(descriptor, attachment)
        return attachment


def _configure(namespace: Namespace, *commands: str) -> None:
    namespace.run("ip", "-batch", "-", text="\n".join(["link set lo up", *commands, ""]))


@contextlib.contextmanager
def lab(topology: Topology) -> Iterator[Lab]:
    """Build a topology for the length of the block.

    Nothing of it has a name outside of this process, so nothing is left behind: not by an
    exception, not by a cancelled task, not by a killed process. Only programs that still run
    in a namespace keep it alive: whoever starts them ends them.

    Raises:
        LabError: it can't be built; the message says why.

    """
    net = Lab(topology)
    with net._stack:
        net._build()
        yield net
