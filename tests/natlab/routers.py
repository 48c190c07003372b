"""Boxes between two segments: NAT (RFC 4787, 5382, 5508), and NAT64 (RFC 6146)."""

from __future__ import annotations

import time

import attrs

from tests.natlab.fabric import Attachment, Segment
from tests.natlab.packet import Endpoint, Packet
from tests.natlab.translation import TranslationTable

NAT64_PREFIX = bytes.fromhex("0064ff9b0000000000000000")
"""The well-known prefix (RFC 6052 §2.1)."""


@attrs.define(eq=False)
class NatRouter:
    """A NAT with one outside address; IPv6 passes through it as through any router.

    Args:
        table: which endpoints stand for which.
        address: its outside address.
        inside: the segment of the hosts behind it.
        outside: the segment it has its address on.
        translates_ipv6: NAT64: hosts have IPv6, and IPv4 servers have addresses that begin
            with `NAT64_PREFIX`. Else IPv4 is translated.

    """

    table: TranslationTable
    address: bytes
    inside: Segment
    outside: Segment
    translates_ipv6: bool = False
    inner: Attachment = attrs.field(init=False)
    outer: Attachment = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.inner = Attachment(self.inside, self.from_inside)
        self.outer = Attachment(self.outside, self.from_outside)
        self.inside.gateway = self.inner
        self.outside.neighbours[self.address] = self.outer

    def from_inside(self, packet: Packet) -> None:
        """Take a packet of a host behind it. Runs for every packet."""
        if len(packet.destination) == 16:
            if not self.translates_ipv6:
                self.outer.send(packet)
                return
            if packet.destination[:12] != NAT64_PREFIX:
                self.outer.send(packet)
                return
        translated = self._translate_outbound(packet)
        if translated is None:
            self._drop("untranslatable")
        elif translated.destination != self.address:
            self.outer.send(translated)
        elif self.table.behaviour.hairpinning:
            # RFC 4787 REQ-9: with the outside address of the sender for a source.
            self.from_outside(translated)
        else:
            self._drop("hairpin")

    def from_outside(self, packet: Packet) -> None:
        """Take a packet from the network. Runs for every packet."""
        if len(packet.destination) == 16:
            self.inner.send(packet)
            return
        translated = self._translate_inbound(packet)
        if translated is None:
            self._drop("filtered")
        else:
            self.inner.send(translated)

    def _translate_outbound(self, packet: Packet) -> Packet | None:
        now = time.monotonic()
        if packet.is_icmp_error:
            return self._icmp_error_outbound(packet, now)
        endpoints = None if packet.is_fragment else packet.endpoints()
        if endpoints is None or packet.hops <= 1:
            return None
        inside, (far, far_port) = endpoints
        remote = (self._without_prefix(far), far_port)
        port = self.table.outbound(packet.protocol, inside, remote, now)
        return None if port is None else packet.readdressed((self.address, port), remote)

    def _translate_inbound(self, packet: Packet) -> Packet | None:
        now = time.monotonic()
        if packet.is_icmp_error:
            return self._icmp_error_inbound(packet, now)
        endpoints = None if packet.is_fragment else packet.endpoints()
        if endpoints is None or packet.hops <= 1:
            return None
        remote, (_, port) = endpoints
        inside = self.table.inbound(packet.protocol, port, remote, now)
        if inside is None:
            return None
        return packet.readdressed((self._with_prefix(remote[0]), remote[1]), inside)

    def _icmp_error_inbound(self, packet: Packet, now: float) -> Packet | None:
        """RFC 5508 §4.1: the packet it quotes is one that this box sent."""
        quoted = packet.quoted
        endpoints = quoted.endpoints()
        if endpoints is None or self.translates_ipv6:
            return None
        (_, port), remote = endpoints
        inside = self.table.inside_of(quoted.protocol, port, now)
        if inside is None:
            return None
        error = attrs.evolve(packet, destination=inside[0], hops=packet.hops - 1)
        return error.requoted(quoted.readdressed(inside, remote, whole=False))

    def _icmp_error_outbound(self, packet: Packet, now: float) -> Packet | None:
        """RFC 5508 §4.2: the packet it quotes is one that this box brought in."""
        quoted = packet.quoted
        endpoints = quoted.endpoints()
        if endpoints is None:
            return None
        remote, inside = endpoints
        port = self.table.port_of(quoted.protocol, inside, remote, now)
        if port is None:
            return None
        error = attrs.evolve(packet, source=self.address, hops=packet.hops - 1)
        mapped: Endpoint = (self.address, port)
        return error.requoted(quoted.readdressed(remote, mapped, whole=False))

    def _without_prefix(self, address: bytes) -> bytes:
        return address[12:] if self.translates_ipv6 else address

    def _with_prefix(self, address: bytes) -> bytes:
        return NAT64_PREFIX + address if self.translates_ipv6 else address

    def _drop(self, reason: str) -> None:
        self.outside.fabric.dropped[reason] += 1
