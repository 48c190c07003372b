"""The messages of Linux's routing socket that tell of links, addresses and routes (rtnetlink(7)).

Bytes in, values out: no socket is opened here. `ice_client.netlink` owns those. Only what a
gatherer of candidates wants to know is read; the kernel's other attributes are passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import attrs

from ice_client.errors import IceError
from stun import Address

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE = 24, 25
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_REQUEST, _NLM_F_DUMP = 0x01, 0x300

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_IFINFOMSG = struct.Struct("=BxHiII")  # family, type, index, flags, change
_IFADDRMSG = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
_ATTRIBUTE = struct.Struct("=HH")

_IFLA_IFNAME = 3
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_TYPE_MASK = 0x3FFF
"""The two upper bits of an attribute's type are flags of its own."""

_IFF_UP, _IFF_LOOPBACK, _IFF_RUNNING = 0x1, 0x8, 0x40
_IFA_F_TEMPORARY, _IFA_F_DADFAILED = 0x01, 0x08
_IFA_F_DEPRECATED, _IFA_F_TENTATIVE = 0x20, 0x40
_IFA_F_OPTIMISTIC = 0x04


class NetlinkError(IceError):
    """The kernel refused a request or sent what is no netlink message."""


@attrs.frozen(slots=True)
class Link:
    """A network interface.

    Attributes:
        index: the kernel's number for it.
        name: ``"eth0"``.
        is_up: administratively up.
        is_running: and it has a carrier.
        is_loopback: it is `lo`.
        gone: this message says that it was removed.

    """

    index: int
    name: str
    is_up: bool
    is_running: bool
    is_loopback: bool
    gone: bool = False


@attrs.frozen(slots=True)
class LinkAddress:
    """An address of an interface.

    Attributes:
        index: the interface's number.
        address: with port 0; a link-local one has the interface as its scope.
        prefix_length: bits of its network.
        is_temporary: RFC 8981 made it, to prevent tracking (IPv6 alone: for IPv4 the same flag
            means a secondary address and says nothing of privacy).
        is_deprecated: not for new traffic (RFC 4862 §5.5.4).
        is_usable: duplicate address detection has not failed and is not still at work.
        gone: this message says that it was removed.

    """

    index: int
    address: Address
    prefix_length: int
    is_temporary: bool = False
    is_deprecated: bool = False
    is_usable: bool = True
    gone: bool = False


@attrs.frozen(slots=True)
class RouteChanged:
    """A route came or went; which one doesn't matter to a gatherer."""


NetlinkMessage = Link | LinkAddress | RouteChanged


@attrs.frozen(slots=True)
class DumpEnded:
    """The kernel has said all that a dump request asked for."""

    sequence: int


def dump_request(message_type: int, sequence: int) -> bytes:
    """Encode a request for all links (`RTM_GETLINK`) or all addresses (`RTM_GETADDR`)."""
    # One `struct rtgenmsg`: the family, unspecified, and padding.
    body = bytes(4)
    flags = _NLM_F_REQUEST | _NLM_F_DUMP
    return _HEADER.pack(_HEADER.size + len(body), message_type, flags, sequence, 0) + body


def decode(datagram: bytes) -> Iterator[NetlinkMessage | DumpEnded]:
    """Read what one `recv` of a routing socket returned.

    Raises:
        NetlinkError: the kernel answered with an error, or a length is impossible.

    """
    view = memoryview(datagram)
    while len(view) >= _HEADER.size:
        length, message_type, _, sequence, _ = _HEADER.unpack_from(view)
        if not _HEADER.size <= length <= len(view):
            raise NetlinkError(f"a message of {length} bytes in {len(view)}")
        body = view[_HEADER.size : length]
        if message_type == _NLMSG_DONE:
            yield DumpEnded(sequence)
        elif message_type == _NLMSG_ERROR:
            yield from _error(body)
        else:
            message = _message(message_type, body)
            if message is not None:
                yield message
        view = view[_aligned(length) :]


def _error(body: memoryview) -> Iterator[DumpEnded]:
    code = struct.unpack_from("=i", body)[0] if len(body) >= 4 else 0
    if code:
        raise NetlinkError(f"the kernel answered with errno {-code}")
    return iter(())  # 0 is an acknowledgement


def _message(message_type: int, body: memoryview) -> NetlinkMessage | None:
    if message_type in {RTM_NEWLINK, RTM_DELLINK}:
        return _link(body, gone=message_type == RTM_DELLINK)
    if message_type in {RTM_NEWADDR, RTM_DELADDR}:
        return _address(body, gone=message_type == RTM_DELADDR)
    if message_type in {RTM_NEWROUTE, RTM_DELROUTE}:
        return RouteChanged()
    return None


def _link(body: memoryview, *, gone: bool) -> Link | None:
    if len(body) < _IFINFOMSG.size:
        return None
    _, _, index, flags, _ = _IFINFOMSG.unpack_from(body)
    name = bytes(_attributes(body[_IFINFOMSG.size :]).get(_IFLA_IFNAME, b""))
    return Link(
        index,
        name.rstrip(b"\0").decode("utf-8", "replace"),
        bool(flags & _IFF_UP),
        bool(flags & _IFF_RUNNING),
        bool(flags & _IFF_LOOPBACK),
        gone,
    )


def _address(body: memoryview, *, gone: bool) -> LinkAddress | None:
    if len(body) < _IFADDRMSG.size:
        return None
    _, prefix_length, flags, _, index = _IFADDRMSG.unpack_from(body)
    attributes = _attributes(body[_IFADDRMSG.size :])
    # On a point-to-point link IFA_ADDRESS is the far end; IFA_LOCAL, where there is one, is ours.
    packed = bytes(attributes.get(_IFA_LOCAL, attributes.get(_IFA_ADDRESS, b"")))
    if len(packed) not in {4, 16}:
        return None
    wide = attributes.get(_IFA_FLAGS)
    if wide is not None and len(wide) == 4:
        (flags,) = struct.unpack("=I", wide)
    is_ipv6 = len(packed) == 16
    is_link_local = is_ipv6 and packed[0] == 0xFE and packed[1] & 0xC0 == 0x80
    tentative = flags & _IFA_F_TENTATIVE and not flags & _IFA_F_OPTIMISTIC
    return LinkAddress(
        index,
        Address(packed, 0, index if is_link_local else 0),
        prefix_length,
        is_temporary=is_ipv6 and bool(flags & _IFA_F_TEMPORARY),
        is_deprecated=bool(flags & _IFA_F_DEPRECATED),
        is_usable=not (tentative or flags & _IFA_F_DADFAILED),
        gone=gone,
    )


def _attributes(view: memoryview) -> dict[int, memoryview]:
    found: dict[int, memoryview] = {}
    while len(view) >= _ATTRIBUTE.size:
        length, attribute_type = _ATTRIBUTE.unpack_from(view)
        if not _ATTRIBUTE.size <= length <= len(view):
            break
        found.setdefault(attribute_type & _TYPE_MASK, view[_ATTRIBUTE.size : length])
        view = view[_aligned(length) :]
    return found


def _aligned(length: int) -> int:
    return (length + 3) & ~3
