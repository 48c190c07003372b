"""What happens to one packet: look-ups, checks, and where it goes (RFC 8656 §11, §12). Hot.

A packet names its peer in its own way (channel number, XOR-PEER-ADDRESS, socket address);
the allocation remembers what the tables say of that name as a `Route`. Deadlines are
compared for every packet all the same.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Hashable

from stun import Address
from turnd.datapath.interface import DatapathSettings, Drop
from turnd.datapath.portable.ancillary import set_dont_fragment, tos_ancillary
from turnd.datapath.portable.counters import Counters
from turnd.datapath.portable.icmp_errors import IcmpError
from turnd.datapath.portable.rows import MAX_ROUTES, AllocationRow, RelayRow, Route
from turnd.datapath.portable.send_errors import drop_of, may_be_of_earlier
from turnd.datapath.portable.token_bucket import TokenBucket, bucket_of
from turnd.datapath.portable.wire import (
    PADDING,
    SEND_INDICATION,
    TransactionIds,
    data_indication,
    icmp_indication,
    read_send_indication,
    read_xor_address,
    write_xor_address,
)


class Upward(enum.Enum):
    """What a client's datagram or frame is if it is not for this road."""

    REQUEST = enum.auto()
    DTLS = enum.auto()


class Road:
    """The packet road of the portable engine.

    Args:
        settings: see `DatapathSettings`.
        counters: counts here.
        relays: live relays by local and by public address.
        clock: monotonic seconds.

    """

    def __init__(
        self,
        settings: DatapathSettings,
        counters: Counters,
        relays: dict[Address, RelayRow],
        clock: Callable[[], float],
    ) -> None:
        self._counters = counters
        self._drops = counters.drops
        self._relays = relays
        self._clock = clock
        self._transaction_ids = TransactionIds()
        self.now = clock()
        self._settings = settings
        self._to_peer = bucket_of(settings.total_bandwidth, self.now)
        self._to_client = bucket_of(settings.total_bandwidth, self.now)

    def reconfigure(self, settings: DatapathSettings) -> None:
        """Put other settings in force; allocations must forget their routes."""
        if settings.total_bandwidth != self._settings.total_bandwidth:
            self._to_peer = bucket_of(settings.total_bandwidth, self.now)
            self._to_client = bucket_of(settings.total_bandwidth, self.now)
        self._settings = settings

    def tick(self) -> None:
        """Read the clock, once for a batch of packets."""
        self.now = self._clock()

    # From clients

    def from_client(self, data: bytes, allocation: AllocationRow | None, tos: int) -> Upward | None:
        """Relay or drop a client's datagram or frame, or say what else it is. Hot."""
        first = data[0] if data else 0xFF
        if 0x40 <= first < 0x80:
            size = len(data) - 4
            # RFC 8656 §12.5: a datagram may be padded, by up to three bytes.
            if size < 0 or not 0 <= size - (length := data[2] << 8 | data[3]) <= 3:
                self._drops[Drop.MALFORMED] += 1
            elif allocation is None:
                self._drops[Drop.NO_ALLOCATION] += 1
            else:
                number = data[:2]
                route = allocation.routes.get(number) or self._channel_route(allocation, number)
                if route is not None:
                    self._channel_data(route, data[4 : 4 + length], tos)
            return None
        if first < 4:
            if data[:2] != SEND_INDICATION:
                return Upward.REQUEST
            self._send_indication(data, allocation, tos)
            return None
        # RFC 7983 §7; RFC 8489 §18.2 keeps STUN's methods below 0x100, so that it starts with 0-3.
        if 20 <= first < 64:
            return Upward.DTLS
        self._drops[Drop.MALFORMED] += 1
        return None

    def _channel_data(self, route: Route, data: bytes, tos: int) -> None:
        channel = route.channel
        if channel is None or channel.deadline <= self.now:
            self._drops[Drop.NO_CHANNEL] += 1
        else:
            self._to(route, data, tos, dont_fragment=False)

    def _send_indication(self, message: bytes, allocation: AllocationRow | None, tos: int) -> None:
        indication = read_send_indication(message)
        if indication is None:
            self._drops[Drop.MALFORMED] += 1
            return
        value, data, dont_fragment = indication
        # An IPv4 peer's value is the same each time, an IPv6 peer's has the transaction id in it.
        route = allocation.routes.get(value) if allocation and len(value) == 8 else None
        if route is None:
            peer = read_xor_address(value, message)
            if peer is None:
                self._drops[Drop.MALFORMED] += 1
                return
            if allocation is None:
                self._drops[Drop.NO_ALLOCATION] += 1
                return
            key: Hashable = value if len(value) == 8 else peer
            route = self._route(allocation, peer, key)
            if route is None:
                return
        self._to(route, data, tos, dont_fragment=dont_fragment)

    def _to(self, route: Route, data: bytes, tos: int, *, dont_fragment: bool) -> None:
        """Send to a peer whatever way it is reached, if the client may. Hot."""
        permission = route.permission
        relay = route.relay
        if permission.deadline <= self.now:
            self._drops[Drop.NO_PERMISSION] += 1
            return
        target = self._relays.get(route.peer) if route.is_own else None
        if target is None and (permission.internal_only or route.is_denied):
            self._drops[Drop.PEER_DENIED] += 1
            return
        allocation = relay.allocation
        size = len(data)
        own, total = allocation.to_peer, self._to_peer
        if (own or total) and not self._may_pass(own, total, size):
            return
        if target is None:
            if dont_fragment is not relay.dont_fragment and not self._set_df(
                relay, on=dont_fragment
            ):
                return
            try:
                if tos:
                    ancillary = tos_ancillary(tos, v4=relay.v4)
                    relay.sock.sendmsg((data,), ancillary, 0, route.sockaddr)
                else:
                    relay.sock.sendto(data, route.sockaddr)
            except OSError as error:
                if not self._send_again(error, route, data, tos):
                    return
        sent, traffic = relay.sent, allocation.traffic.to_peer
        sent.packets += 1
        sent.bytes += size
        traffic.packets += 1
        traffic.bytes += size
        if target is not None:
            self._deliver_inside(target, relay.relayed.public, data, tos)

    def _deliver_inside(self, target: RelayRow, source: Address, data: bytes, tos: int) -> None:
        """Give data to another allocation's client. No loop: it ends at a client's transport."""
        allocation = target.allocation
        route = allocation.routes.get(source) or self._route(allocation, source, source)
        if route is not None and self.from_peer(route, data, tos):
            self._counters.internal += 1

    def _set_df(self, relay: RelayRow, *, on: bool) -> bool:
        # RFC 8656 §13: where UDP is translated between families, and from IPv6 to IPv6,
        # DONT-FRAGMENT is ignored; §15: not so for what comes by TCP.
        allocation = relay.allocation
        if on and not (allocation.pads or (allocation.keeps_df and relay.v4)):
            return True
        if not set_dont_fragment(relay.sock, v4=relay.v4, on=on):
            # RFC 8656 §11.2: as if the attribute were unknown, that is, to be discarded.
            self._drops[Drop.SEND_FAILED] += 1
            return False
        relay.dont_fragment = on
        return True

    def _send_again(self, error: OSError, route: Route, data: bytes, tos: int) -> bool:
        if may_be_of_earlier(error):
            try:
                ancillary = tos_ancillary(tos, v4=route.relay.v4) if tos else []
                route.relay.sock.sendmsg((data,), ancillary, 0, route.sockaddr)
            except OSError as second:
                error = second
            else:
                return True
        self._drops[drop_of(error)] += 1
        return False

    # From peers

    def from_peer(self, route: Route, data: bytes, tos: int) -> bool:
        """Relay a peer's datagram to the client; False (and counted) if it went nowhere. Hot."""
        now = self.now
        if route.permission.deadline <= now:
            self._drops[Drop.NO_PERMISSION] += 1
            return False
        relay = route.relay
        allocation = relay.allocation
        size = len(data)
        own, total = allocation.to_client, self._to_client
        if (own or total) and not self._may_pass(own, total, size):
            return False
        channel = route.channel
        if channel is not None and channel.deadline > now:
            message = channel.prefix + size.to_bytes(2, "big") + data
            if allocation.pads:
                message += PADDING[size & 3]
        else:
            transaction_id = self._transaction_ids.next()
            xor_address = route.xor_address or write_xor_address(route.peer, transaction_id)
            indication = data_indication(xor_address, data, transaction_id)
            if indication is None:
                self._drops[Drop.TOO_LARGE] += 1
                return False
            message = indication
        if not allocation.send(message, tos):
            return False
        received, traffic = relay.received, allocation.traffic.to_client
        received.packets += 1
        received.bytes += size
        traffic.packets += 1
        traffic.bytes += size
        return True

    def route_from(self, relay: RelayRow, sender: tuple[object, ...]) -> Route | None:
        """Find out whether a sender that `recvmsg` named is a peer; None (and counted) if not.

        Strangers leave nothing behind: only a peer with a permission is remembered.
        """
        return self._route(relay.allocation, Address.from_sockaddr(sender), sender)

    def icmp(self, relay: RelayRow, error: IcmpError) -> None:
        """Tell the client what became of a datagram to a peer (RFC 8656 §11.5)."""
        permission = relay.allocation.permissions.get(error.peer.packed)
        if permission is None or permission.deadline <= self.now:
            return
        if not relay.errors.take(1, self.now):
            return
        transaction_id = self._transaction_ids.next()
        xor_address = write_xor_address(error.peer, transaction_id)
        message = icmp_indication(xor_address, error.type, error.code, error.data, transaction_id)
        relay.allocation.send(message, 0)

    # Look-ups

    def _channel_route(self, allocation: AllocationRow, number: bytes) -> Route | None:
        channel = allocation.channels.get(number)
        if channel is None or channel.deadline <= self.now:
            self._drops[Drop.NO_CHANNEL] += 1
            return None
        return self._route(allocation, channel.peer, number)

    def _route(self, allocation: AllocationRow, peer: Address, key: Hashable) -> Route | None:
        """Ask the tables for a peer, and remember the answer under the name a packet gave it."""
        packed = peer.packed
        v4 = len(packed) == 4
        relay = allocation.relays.get(len(packed))
        if relay is None:
            self._drops[Drop.FAMILY_MISMATCH] += 1
            return None
        permission = allocation.permissions.get(packed)
        if permission is None or permission.deadline <= self.now:
            self._drops[Drop.NO_PERMISSION] += 1
            return None
        if len(allocation.routes) >= MAX_ROUTES:
            allocation.routes.clear()
        route = allocation.routes[key] = Route(
            peer,
            peer.sockaddr,
            relay,
            permission,
            allocation.channel_of.get(peer),
            packed in self._settings.own_ips,
            peer in self._settings.denied_endpoints,
            write_xor_address(peer, b"") if v4 else b"",
        )
        return route

    def _may_pass(self, own: TokenBucket | None, total: TokenBucket | None, size: int) -> bool:
        if own is not None and not own.take(size, self.now):
            self._drops[Drop.BANDWIDTH] += 1
            return False
        if total is not None and not total.take(size, self.now):
            if own is not None:
                own.give_back(size)
            self._drops[Drop.TOTAL_BANDWIDTH] += 1
            return False
        return True
