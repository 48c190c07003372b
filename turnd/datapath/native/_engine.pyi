"""The C engine as a Python object: addresses in and out of C, and no policy.

Times are nanoseconds of CLOCK_MONOTONIC, rates bytes per second. Traffic is packets and
bytes to peers, then packets and bytes to clients.
"""

from collections.abc import Iterable

from stun import Address
from turnd.core.challenge import Challenge
from turnd.core.five_tuple import FiveTuple, Transport

_Traffic = tuple[int, int, int, int]

class Engine:
    """An engine with its threads; all calls come from one thread."""

    def __init__(self, shards: int, known_attributes: Iterable[int]) -> None: ...
    def start(self) -> None:
        """Start the threads."""

    def stop(self) -> None:
        """Stop the threads and wait for them."""

    @property
    def up_fd(self) -> int:
        """An eventfd that is readable when `take` has something and `may_wait` said yes."""

    def set_clock(self, now: int) -> None:
        """Go by this time from now on, and no more by the system's."""

    def add_listener(self, shard: int, fd: int, address: Address) -> None:
        """Take over a descriptor of a listener; OSError where there are too many."""

    def open_relay(
        self,
        number: int,
        five_tuple: FiveTuple,
        fd: int,
        local: Address,
        public: Address,
        rate: int,
        shared: bool,
    ) -> int:
        """Take over a relay socket's file descriptor; 0, or an errno (it is closed then).

        For a shared relay that is open already it is -1.
        """

    def shared_relay(self, five_tuple: FiveTuple, ip: bytes) -> Address | None:
        """Return where the relay is bound that such clients share on that IP address."""

    def close_relay(self, number: int, v6: bool) -> None:
        """Close an allocation's relay of one family."""

    def close_allocation(self, number: int) -> _Traffic | None:
        """Drop an allocation; None if there is none."""

    def close_all(self) -> None:
        """Drop every allocation."""

    def close_listeners(self) -> None:
        """Close the listeners' descriptors; after `stop` and `close_all`."""

    def traffic(self, number: int) -> _Traffic | None:
        """Return what an allocation has moved; None if there is none."""

    def move_allocation(self, number: int, five_tuple: FiveTuple) -> bool:
        """Give an allocation to another client; False if there is none."""

    def set_permission(self, number: int, ip: bytes, deadline: int, internal_only: bool) -> bool:
        """Install a permission; False if there is no allocation (or no memory)."""

    def remove_permission(self, number: int, ip: bytes) -> None:
        """Drop a permission."""

    def set_channel(
        self, number: int, channel: int, peer: Address, deadline: int, announced: bool
    ) -> bool:
        """Install a channel; False if there is no allocation (or no memory).

        Until it is announced, the client may use it and still gets Data indications.
        """

    def remove_channel(self, number: int, channel: int) -> None:
        """Drop a channel."""

    def is_relayed_address(self, address: Address) -> bool:
        """Whether a live relay has that local or public address."""

    def receive(self, data: bytes, five_tuple: FiveTuple) -> None:
        """Relay or drop what a client on a stream or DTLS sent."""

    def reconfigure(
        self,
        own_ips: list[Address],
        denied: list[Address],
        total_rate: int,
        plain_ports: list[int],
        answer_interval: int,
        answer_burst: int,
        answers_bindings: bool,
        challenge: Challenge | None,
    ) -> None:
        """Put other settings in force.

        Strangers are answered here at those ports: each prefix once in so many nanoseconds, after a
        quiet time as often as the burst's nanoseconds are worth; 0 is no limit.
        """

    def receive_tos(self, on: bool) -> None:
        """Have relay sockets tell each datagram's DSCP and ECN, or no longer."""

    def receive_run(self, data: bytes | bytearray | memoryview, five_tuple: FiveTuple) -> int:
        """Relay or drop the packets that a stream begins with; return their bytes."""

    def takes_runs(self, five_tuple: FiveTuple, on: bool) -> None:
        """Say whether several messages to that client may be taken as one."""

    def take(self) -> tuple[int, bytes, FiveTuple, int] | None:
        """Take what is handed up: 0 request, 1 DTLS, 2 data for a client's sink.

        3 is data of an allocation that is gone since. Last comes how many messages it is.
        """

    def taken(self) -> None:
        """Count what `take` returned last as delivered."""

    def may_wait(self) -> bool:
        """Whether `take` has nothing, and `up_fd` will tell of what comes."""

    def woken(self) -> None:
        """Make `up_fd` unreadable again."""

    def totals(
        self,
    ) -> tuple[dict[tuple[Transport, int], _Traffic], list[int], int, int, int, int, int]:
        """Return what was counted.

        Traffic by transport and family (0 IPv4, 1 IPv6), drops, packets inside, Binding requests
        answered, challenges given, requests not answered as too many, and packets that came in by
        another thread.
        """
