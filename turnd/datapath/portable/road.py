"""What happens to one packet: look-ups, checks, and where it goes (RFC 8656 §11, §12). Hot."""

from __future__ import annotations

import errno
import secrets
from collections.abc import Callable

from stun import Address
from turnd.datapath.interface import DatapathSettings, Direction, Drop
from turnd.datapath.portable.counters import Counters
from turnd.datapath.portable.rows import AllocationRow, RelayRow
from turnd.datapath.portable.sockets import IcmpError, set_dont_fragment, tos_ancillary
from turnd.datapath.portable.token_bucket import TokenBucket
from turnd.datapath.portable.wire import (
    SEND_INDICATION,
    data_indication,
    icmp_indication,
    read_send_indication,
)

_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")
_FULL = {errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM}
_PENDING = {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH}
"""Errors of an earlier datagram, told in place of a send: that send may be tried again."""


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
        self._transaction_prefix = secrets.token_bytes(4)
        self._transactions = 0
        self.now = clock()
        self.reconfigure(settings)

    def reconfigure(self, settings: DatapathSettings) -> None:
        """Put other settings in force."""
        self._settings = settings
        self._own_ips = settings.own_ips
        self._denied = settings.denied_endpoints
        self._to_peer = TokenBucket(settings.total_bandwidth, self.now)
        self._to_client = TokenBucket(settings.total_bandwidth, self.now)

    def tick(self) -> None:
        """Read the clock, once for a batch of packets."""
        self.now = self._clock()

    def from_client(self, data: bytes, allocation: AllocationRow | None, tos: int) -> bool:
        """Relay a client's datagram or frame.

        Returns:
            False if it is not for this road: a STUN message that is no Send indication.

        """
        first = data[0]
        if 0x40 <= first < 0x80:
            self._channel_data(data, allocation, tos)
            return True
        if data[:2] != SEND_INDICATION:
            return False
        indication = read_send_indication(data)
        if indication is None:
            self._drops[Drop.MALFORMED] += 1
        elif allocation is None:
            self._drops[Drop.NO_ALLOCATION] += 1
        else:
            self._send(
                allocation,
                indication.peer,
                indication.data,
                tos,
                dont_fragment=indication.dont_fragment,
            )
        return True

    def _channel_data(self, data: bytes, allocation: AllocationRow | None, tos: int) -> None:
        size = len(data) - 4
        # RFC 8656 §12.5: a datagram may be padded, by up to three bytes.
        if size < 0 or not 0 <= size - (length := data[2] << 8 | data[3]) <= 3:
            self._drops[Drop.MALFORMED] += 1
            return
        if allocation is None:
            self._drops[Drop.NO_ALLOCATION] += 1
            return
        channel = allocation.channels.get(data[0] << 8 | data[1])
        if channel is None or channel.deadline <= self.now:
            self._drops[Drop.NO_CHANNEL] += 1
            return
        self._send(allocation, channel.peer, data[4 : 4 + length], tos)

    def _send(
        self,
        allocation: AllocationRow,
        peer: Address,
        data: bytes,
        tos: int,
        *,
        dont_fragment: bool = False,
    ) -> None:
        """Send to a peer whatever way it is reached, if the client may."""
        packed = peer.packed
        relay = allocation.relays.get(len(packed))
        if relay is None:
            self._drops[Drop.FAMILY_MISMATCH] += 1
            return
        permission = allocation.permissions.get(packed)
        if permission is None or permission.deadline <= self.now:
            self._drops[Drop.NO_PERMISSION] += 1
            return
        target = self._relays.get(peer) if packed in self._own_ips else None
        if target is None and (permission.internal_only or peer in self._denied):
            self._drops[Drop.PEER_DENIED] += 1
            return
        if not self._may_pass(allocation.to_peer, self._to_peer, len(data)):
            return
        if target is None and not self._transmit(relay, peer, data, tos, dont_fragment):
            return
        self._count(allocation, Direction.TO_PEER, relay, len(data))
        if target is not None:
            # No loop: what is delivered inside ends at a client's transport.
            self._counters.internal += 1
            self.from_peer(target, relay.relayed.public, data, tos)

    def _transmit(
        self, relay: RelayRow, peer: Address, data: bytes, tos: int, dont_fragment: bool
    ) -> bool:
        v4 = len(peer.packed) == 4
        if relay.dont_fragment is not dont_fragment:
            set_dont_fragment(relay.sock, v4=v4, on=dont_fragment)
            relay.dont_fragment = dont_fragment
        for _ in range(2):
            try:
                if tos:
                    relay.sock.sendmsg([data], tos_ancillary(tos, v4=v4), 0, peer.sockaddr)
                else:
                    relay.sock.sendto(data, peer.sockaddr)
            except OSError as error:
                if error.errno in _PENDING:
                    continue
                self._drops[_drop_of(error)] += 1
                return False
            return True
        self._drops[Drop.SEND_FAILED] += 1
        return False

    def from_peer(self, relay: RelayRow, peer: Address, data: bytes, tos: int) -> None:
        """Relay a peer's datagram to the client, if the client has let the peer in."""
        allocation = relay.allocation
        permission = allocation.permissions.get(peer.packed)
        if permission is None or permission.deadline <= self.now:
            self._drops[Drop.NO_PERMISSION] += 1
            return
        size = len(data)
        if not self._may_pass(allocation.to_client, self._to_client, size):
            return
        channel = allocation.channel_of.get(peer)
        if channel is not None and channel.deadline > self.now:
            message = channel.prefix + size.to_bytes(2, "big") + data
            if allocation.pads:
                message += _PADDING[size & 3]
        else:
            message = data_indication(peer, data, self._transaction_id())
        self._count(allocation, Direction.TO_CLIENT, relay, size)
        allocation.send(message, tos)

    def icmp(self, relay: RelayRow, error: IcmpError) -> None:
        """Tell the client what became of a datagram to a peer (RFC 8656 §11.5)."""
        allocation = relay.allocation
        permission = allocation.permissions.get(error.peer.packed)
        if permission is None or permission.deadline <= self.now:
            return
        message = icmp_indication(
            error.peer, error.type, error.code, error.data, self._transaction_id()
        )
        allocation.send(message, 0)

    def _may_pass(self, own: TokenBucket, total: TokenBucket, size: int) -> bool:
        if not own.take(size, self.now):
            self._drops[Drop.BANDWIDTH] += 1
            return False
        if not total.take(size, self.now):
            self._drops[Drop.TOTAL_BANDWIDTH] += 1
            return False
        return True

    def _count(
        self, allocation: AllocationRow, direction: Direction, relay: RelayRow, size: int
    ) -> None:
        total = self._counters.relayed[direction, allocation.five_tuple.transport, relay.family]
        total.packets += 1
        total.bytes += size
        traffic = allocation.traffic
        count = traffic.to_peer if direction is Direction.TO_PEER else traffic.to_client
        count.packets += 1
        count.bytes += size

    def _transaction_id(self) -> bytes:
        # RFC 8656 §11.3 wants one; nobody answers it, so it need only differ each time.
        self._transactions += 1
        return self._transaction_prefix + self._transactions.to_bytes(8, "big")


def _drop_of(error: OSError) -> Drop:
    if error.errno in _FULL:
        return Drop.SEND_BUFFER_FULL
    return Drop.TOO_LARGE if error.errno == errno.EMSGSIZE else Drop.SEND_FAILED


def count_send_failure(drops: dict[Drop, int], error: OSError) -> None:
    """Count a send that failed."""
    drops[_drop_of(error)] += 1
