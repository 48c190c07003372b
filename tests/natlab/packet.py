"""IP packets: as much of them as a NAT reads and writes.

IPv4 (RFC 791) and IPv6 (RFC 8200) in one form, so that a translator need not ask which of
the two it holds, and a change of family is nothing but a change of addresses. Fragments are
passed on but not translated; IPv4 options are dropped, extension headers kept as payload.
"""

from __future__ import annotations

import struct

import attrs

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58

Endpoint = tuple[bytes, int]
"""A packed address and a port; for ICMP echo the identifier is the port (RFC 5508 §3)."""

_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_IPV6 = struct.Struct("!IHBB16s16s")
_CHECKSUM_OFFSET = {ICMP: 2, TCP: 16, UDP: 6, ICMPV6: 2}
_ECHO_REPLY, _ECHO_REQUEST = 0, 8
_ICMP_ERRORS = {3, 11, 12}
"""Unreachable, time exceeded, parameter problem (RFC 792)."""
_FRAGMENT = 0x3FFF
"""More fragments, and the offset."""


class MalformedPacketError(Exception):
    """These bytes are no IP packet."""


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071) of some bytes.

    65536 is 1 modulo 65535: the sum of all 16-bit words is the remainder of the number that
    they spell, which Python finds much faster than it adds words.
    """
    if len(data) % 2:
        data += b"\0"
    return 0xFFFF - int.from_bytes(data) % 0xFFFF


@attrs.define(slots=True)
class Packet:
    """An IP packet.

    Attributes:
        source: packed address, 4 or 16 bytes, which tells the family.
        destination: the same.
        protocol: the transport protocol, or IPv6's next header.
        payload: the transport header and what follows.
        hops: time to live, or hop limit.
        traffic_class: DSCP and ECN.
        identification: IPv4's; 0 with IPv6.
        fragment: IPv4's flags and fragment offset, as 16 bits; 0 with IPv6.

    """

    source: bytes
    destination: bytes
    protocol: int
    payload: bytes
    hops: int = 64
    traffic_class: int = 0
    identification: int = 0
    fragment: int = 0

    @classmethod
    def parse(cls, data: bytes) -> Packet:
        """Read a packet. Runs for every packet.

        An ICMP error quotes the beginning of a packet, so it may end early.

        Raises:
            MalformedPacketError: it has no complete IP header.

        """
        try:
            version = data[0] >> 4
            if version == 4:
                first, tos, length, ident, fragment, ttl, protocol, _, source, destination = (
                    _IPV4.unpack_from(data)
                )
                start = (first & 0x0F) * 4
                payload = data[start:length]
                return cls(
                    source, destination, protocol, payload, ttl, tos, ident, fragment
                )  # fmt: skip
            if version == 6:
                first, length, protocol, hops, source, destination = _IPV6.unpack_from(data)
                payload = data[40 : 40 + length]
                return cls(source, destination, protocol, payload, hops, first >> 20 & 0xFF)
        except (IndexError, struct.error) as error:
            raise MalformedPacketError(data.hex()) from error
        raise MalformedPacketError(f"IP version {version}")

    def __bytes__(self) -> bytes:
        """Write the packet. Runs for every packet."""
        if len(self.source) == 4:
            fields = (
                0x45, self.traffic_class, 20 + len(self.payload), self.identification,
                self.fragment, self.hops, self.protocol,
            )  # fmt: skip
            bare = _IPV4.pack(*fields, 0, self.source, self.destination)
            return _IPV4.pack(*fields, checksum(bare), self.source, self.destination) + self.payload
        header = _IPV6.pack(
            6 << 28 | self.traffic_class << 20,
            len(self.payload),
            self.protocol,
            self.hops,
            self.source,
            self.destination,
        )
        return header + self.payload

    @property
    def is_fragment(self) -> bool:
        """Whether it is a part of an IPv4 datagram, whose ports may be in another part."""
        return bool(self.fragment & _FRAGMENT)

    @property
    def is_icmp_error(self) -> bool:
        """Whether it tells of the fate of another packet, which it quotes (RFC 792)."""
        return self.protocol == ICMP and len(self.payload) > 28 and self.payload[0] in _ICMP_ERRORS

    @property
    def quoted(self) -> Packet:
        """The packet that an ICMP error is about, or as much of it as is there."""
        return Packet.parse(self.payload[8:])

    def requoted(self, quoted: Packet) -> Packet:
        """Return the same ICMP error about another packet."""
        return attrs.evolve(self, payload=_summed(self, self.payload[:8] + bytes(quoted)))

    def endpoints(self) -> tuple[Endpoint, Endpoint] | None:
        """Return where it comes from and goes to; None if its protocol has no such thing."""
        payload = self.payload
        if self.protocol in (UDP, TCP) and len(payload) >= 8:
            source, destination = struct.unpack_from("!HH", payload)
            return (self.source, source), (self.destination, destination)
        if self.protocol == ICMP and len(payload) >= 8:
            if payload[0] not in (_ECHO_REPLY, _ECHO_REQUEST):
                return None
            # One number serves both ends: the side that asks has chosen it.
            identifier = int.from_bytes(payload[4:6])
            return (self.source, identifier), (self.destination, identifier)
        return None

    def readdressed(self, source: Endpoint, destination: Endpoint, *, whole: bool = True) -> Packet:
        """Return the packet between two other endpoints, of whichever family.

        An ICMP echo has one identifier: that of the endpoint which differs is taken.

        Args:
            source: where it shall seem to come from.
            destination: where it shall go.
            whole: False for a quoted beginning, whose checksum nobody can compute.

        """
        payload = self.payload
        if self.protocol == ICMP:
            identifier = int.from_bytes(payload[4:6])
            changed = source[1] if source[1] != identifier else destination[1]
            payload = payload[:4] + changed.to_bytes(2) + payload[6:]
        else:
            payload = struct.pack("!HH", source[1], destination[1]) + payload[4:]
        same_family = len(source[0]) == len(self.source)
        packet = Packet(
            source[0],
            destination[0],
            self.protocol,
            payload,
            self.hops - 1,
            self.traffic_class,
            # RFC 7915 §5.1: without a fragment header, don't fragment.
            self.identification if same_family else 0,
            self.fragment if same_family else (0x4000 if len(source[0]) == 4 else 0),
        )
        if whole:
            packet.payload = _summed(packet, payload)
        return packet


def _summed(packet: Packet, payload: bytes) -> bytes:
    """Return a payload for a packet with its checksum made right."""
    offset = _CHECKSUM_OFFSET[packet.protocol]
    bare = payload[:offset] + b"\0\0" + payload[offset + 2 :]
    pseudo = b""
    if packet.protocol != ICMP:
        pseudo = packet.source + packet.destination
        pseudo += struct.pack("!II", len(payload), packet.protocol)
    return payload[:offset] + checksum(pseudo + bare).to_bytes(2) + payload[offset + 2 :]
