"""PROXY protocol headers, versions 1 and 2: a parser without I/O.

A proxy in front of a TCP listener (HAProxy, nginx, a cloud's load balancer) says here
whom it speaks for. The text is HAProxy's `doc/proxy-protocol.txt`, sections 2.1 and 2.2.
Whether a source may send one is the caller's question (`StreamTransports`).
"""

from __future__ import annotations

import socket

import attrs

from stun import Address, AddressError, DecodeError
from turnd.transports.crc32c import crc32c

V1_SIGNATURE = b"PROXY "
V1_MAX_SIZE = 107
"""The longest version 1 line, CRLF included (section 2.1)."""
V2_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V2_FIXED_SIZE = 16
V2_MAX_SIZE = V2_FIXED_SIZE + 4096
"""The field allows 65,535 bytes of addresses and TLVs; nobody's header is near that."""

_COMMAND_LOCAL, _COMMAND_PROXY = 0x0, 0x1
_FAMILY_UNSPEC, _FAMILY_INET, _FAMILY_INET6, _FAMILY_UNIX = 0x0, 0x1, 0x2, 0x3
_PROTOCOL_UNSPEC, _PROTOCOL_STREAM = 0x0, 0x1
_ADDRESS_SIZES = {_FAMILY_UNSPEC: 0, _FAMILY_INET: 12, _FAMILY_INET6: 36, _FAMILY_UNIX: 216}
_TLV_CRC32C = 0x03


@attrs.frozen(slots=True)
class ProxyHeader:
    """A whole header.

    Attributes:
        size: bytes it takes on the stream; the client's own bytes follow.
        source: the client's transport address; None when the header names none (LOCAL,
            UNKNOWN, UNSPEC, UNIX): the connection's own addresses then stand.
        destination: the transport address the client connected to, or None likewise.

    """

    size: int
    source: Address | None
    destination: Address | None


def may_be_proxy_header(data: bytes) -> bool:
    """Whether bytes from a stream's start are, or may become, a header of either version."""
    return any(
        data[: len(signature)] == signature[: len(data)]
        for signature in (V1_SIGNATURE, V2_SIGNATURE)
    )


def parse_proxy_header(data: bytes) -> ProxyHeader | None:
    """Read a header from the start of a stream.

    Args:
        data: the bytes received so far.

    Returns:
        None when more bytes are needed; never when there are `V2_MAX_SIZE` of them.

    Raises:
        DecodeError: this is no header, or a malformed one.

    """
    if not may_be_proxy_header(data):
        raise DecodeError("the stream does not begin with a PROXY protocol header")
    if data.startswith(V2_SIGNATURE):
        return _parse_v2(data)
    if data.startswith(V1_SIGNATURE):
        return _parse_v1(data)
    return None


def _parse_v1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, V1_MAX_SIZE)
    if end < 0:
        if len(data) >= V1_MAX_SIZE:
            raise DecodeError(f"a PROXY line has at most {V1_MAX_SIZE} bytes")
        return None
    try:
        fields = data[:end].decode("ascii").split(" ")
    except UnicodeDecodeError as error:
        raise DecodeError("a PROXY line is ASCII") from error
    size = end + 2
    protocol = fields[1]
    if protocol == "UNKNOWN":  # §2.1: anything else before the CRLF is ignored
        return ProxyHeader(size, None, None)
    if protocol not in {"TCP4", "TCP6"}:
        raise DecodeError("a PROXY line names TCP4, TCP6 or UNKNOWN")
    if len(fields) != 6:
        raise DecodeError("a PROXY line has two addresses and two ports")
    source = _text_address(protocol, fields[2], fields[4])
    destination = _text_address(protocol, fields[3], fields[5])
    return ProxyHeader(size, source, destination)


def _text_address(protocol: str, host: str, port: str) -> Address:
    if not (port.isdigit() and str(int(port[:6])) == port):
        raise DecodeError("a port in a PROXY line is a decimal number without leading zeros")
    if (":" in host) != (protocol == "TCP6") or "%" in host:
        raise DecodeError(f"an address in a PROXY line is not of the family {protocol} names")
    try:
        return Address.parse(host, int(port))
    except AddressError as error:
        raise DecodeError(f"PROXY line: {error}") from error


def _parse_v2(data: bytes) -> ProxyHeader | None:
    if len(data) < V2_FIXED_SIZE:
        return None
    version, command = data[12] >> 4, data[12] & 0x0F
    family, protocol = data[13] >> 4, data[13] & 0x0F
    size = V2_FIXED_SIZE + int.from_bytes(data[14:16], "big")
    if version != 2:
        raise DecodeError(f"PROXY protocol version {version} is unknown")
    if size > V2_MAX_SIZE:
        raise DecodeError(f"a PROXY header of {size} bytes is longer than {V2_MAX_SIZE}")
    if command not in {_COMMAND_LOCAL, _COMMAND_PROXY}:
        raise DecodeError(f"PROXY command {command} is unknown")
    if len(data) < size:
        return None
    header = data[:size]
    if command == _COMMAND_LOCAL:
        # §2.2: the receiver must use the connection's own addresses and discard the
        # protocol block, family included: a health check may have put anything there.
        return ProxyHeader(size, None, None)
    if family not in _ADDRESS_SIZES:
        raise DecodeError(f"PROXY address family {family} is unknown")
    addresses_end = V2_FIXED_SIZE + _ADDRESS_SIZES[family]
    if size < addresses_end:
        raise DecodeError("a PROXY header is too short for its addresses")
    _check_tlvs(header, addresses_end)
    if family in {_FAMILY_UNSPEC, _FAMILY_UNIX} or protocol == _PROTOCOL_UNSPEC:
        return ProxyHeader(size, None, None)
    if protocol != _PROTOCOL_STREAM:
        raise DecodeError("a PROXY header on a stream speaks for a datagram")
    source, destination = _packed_addresses(header[V2_FIXED_SIZE:addresses_end])
    return ProxyHeader(size, source, destination)


def _packed_addresses(block: bytes) -> tuple[Address, Address]:
    width = (len(block) - 4) // 2
    family = socket.AF_INET if width == 4 else socket.AF_INET6
    source, destination = (
        socket.inet_ntop(family, block[start : start + width]) for start in (0, width)
    )
    ports = block[2 * width :]
    # By way of text, because that is where IPv4-mapped addresses become IPv4.
    return (
        Address.parse(source, int.from_bytes(ports[:2], "big")),
        Address.parse(destination, int.from_bytes(ports[2:], "big")),
    )


def _check_tlvs(header: bytes, offset: int) -> None:
    """Walk the TLVs: each must end within the header, and a checksum must be right."""
    while offset < len(header):
        if len(header) - offset < 3:
            raise DecodeError("a PROXY TLV is cut short")
        start = offset + 3
        end = start + int.from_bytes(header[offset + 1 : start], "big")
        if end > len(header):
            raise DecodeError("a PROXY TLV runs past the header")
        if header[offset] == _TLV_CRC32C:
            if end - start != 4:
                raise DecodeError("a PROXY checksum has 4 bytes")
            # §2.2.3: the checksum is over the header with the checksum itself as zeros.
            if crc32c(header[:start] + bytes(4) + header[end:]) != int.from_bytes(
                header[start:end], "big"
            ):
                raise DecodeError("a PROXY header's checksum is wrong")
        offset = end
