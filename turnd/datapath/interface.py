"""What every engine offers to the shell, and what it needs from it.

The core speaks to an engine through `turnd.core.tables.Tables`; the transports and
the application speak to it through `Datapath`. Packets of UDP clients never leave
the engine; those of TCP, TLS and DTLS clients enter it by `receive_from_client` and
leave it by the `ClientSink` that the transport attached.
"""

from __future__ import annotations

import enum
import socket
from collections.abc import Mapping
from typing import Protocol

import attrs
import trio

from stun import Address, Family
from turnd.core.challenge import Challenge
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.core.tables import Tables


class Direction(enum.Enum):
    """Which way a packet went; the values are the metrics' label values."""

    TO_PEER = "to_peer"
    TO_CLIENT = "to_client"


class Drop(enum.Enum):
    """Why a packet went nowhere; the values are the metrics' label values."""

    MALFORMED = "malformed"
    NO_ALLOCATION = "no-allocation"
    NO_CHANNEL = "no-channel"
    NO_PERMISSION = "no-permission"
    PEER_DENIED = "peer-denied"
    FAMILY_MISMATCH = "family-mismatch"
    BANDWIDTH = "bandwidth"
    TOTAL_BANDWIDTH = "total-bandwidth"
    TOO_LARGE = "too-large"
    SEND_BUFFER_FULL = "send-buffer-full"
    SEND_FAILED = "send-failed"
    CLIENT_QUEUE_FULL = "client-queue-full"
    CLIENT_GONE = "client-gone"
    SOCKET_OVERFLOW = "socket-overflow"
    PEER_TAKEN = "peer-taken"


@attrs.frozen(slots=True)
class PacketCount:
    """Packets and their payload bytes."""

    packets: int
    bytes: int


@attrs.frozen(slots=True)
class Totals:
    """Everything since the start.

    Attributes:
        relayed: by direction, the client's transport, and the relay's address family.
        drops: packets by reason.
        internal: packets delivered between two allocations without leaving the engine.
        bindings: Binding requests that the engine answered itself.
        challenges: Allocate requests that it answered with 401 itself.
        answers_limited: those it dropped because their prefix had enough answers.
        passed_on: packets that one of its threads had to give to another.

    """

    relayed: Mapping[tuple[Direction, Transport, Family], PacketCount]
    drops: Mapping[Drop, int]
    internal: int
    bindings: int = 0
    challenges: int = 0
    answers_limited: int = 0
    passed_on: int = 0


@attrs.frozen(slots=True)
class OwnAnswers:
    """What an engine may answer by itself: requests of strangers that need no judgement.

    An engine need not: what it hands up is answered by the core.

    Attributes:
        ports: the listeners' ports where it may.
        rate: answers per second to one prefix of strangers (as the core has it), 0 for no limit.
        burst: answers at once after a quiet time.
        bindings: answer Binding requests that ask for nothing but an address.
        challenge: what to answer an Allocate request without credentials; None: hand it up.

    """

    ports: frozenset[int] = frozenset()
    rate: float = 0.0
    burst: float = 0.0
    bindings: bool = False
    challenge: Challenge | None = None


@attrs.frozen(slots=True)
class DatapathSettings:
    """What an engine has to know beyond the rows.

    Attributes:
        own_ips: packed IP addresses that are this server's, public names included: peers
            there are looked up among the live relayed addresses first.
        denied_endpoints: transport addresses never to send to (listeners, admin, databases).
        total_bandwidth: payload bytes per second of all allocations together in each
            direction, 0 for no limit.
        preserve_dscp: copy DSCP and ECN from incoming to outgoing packets (RFC 8656 §14).
        receive_buffer: SO_RCVBUF of the UDP listeners in bytes, 0 for the system's default.
        relay_receive_buffer: SO_RCVBUF of relay sockets in bytes, 0 for the system's default.
        answers: what an engine may answer by itself.

    """

    own_ips: frozenset[bytes] = frozenset()
    denied_endpoints: frozenset[Address] = frozenset()
    total_bandwidth: int = 0
    preserve_dscp: bool = True
    receive_buffer: int = 4 * 1024 * 1024
    relay_receive_buffer: int = 0
    answers: OwnAnswers = OwnAnswers()


class RequestHandler(Protocol):
    """Where an engine hands up what is not for the packet road. Neither call may raise."""

    def on_request(self, data: bytes, five_tuple: FiveTuple) -> None:
        """Take a datagram or frame that looks like a STUN message and is no Send indication."""

    def on_dtls(self, data: bytes, five_tuple: FiveTuple) -> None:
        """Take a datagram in DTLS's range (RFC 7983); `five_tuple.transport` is DTLS."""


class ClientSink(Protocol):
    """The way to a client that is not on bare UDP.

    Attributes:
        takes_runs: whether `send` may be given several whole messages at once, as on plain TCP.

    """

    @property
    def takes_runs(self) -> bool:
        """See above."""

    def send(self, data: bytes) -> bool:
        """Queue one message (already padded for streams); False when the queue is full."""


class Datapath(Tables, Protocol):
    """An engine."""

    def add_listener(self, sock: socket.socket) -> None:
        """Take over a bound, non-blocking UDP socket that clients send to.

        It may be bound to a wildcard address: the engine then learns each datagram's
        own destination address, and answers from it.
        """

    async def run(
        self,
        handler: RequestHandler,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Move packets until cancelled; then close every socket."""

    def reconfigure(self, settings: DatapathSettings) -> None:
        """Put other settings in force."""

    def attach(self, five_tuple: FiveTuple, sink: ClientSink) -> None:
        """Say how to reach a TCP, TLS or DTLS client."""

    def detach(self, five_tuple: FiveTuple) -> None:
        """Forget a client that `attach` named; nothing happens if it is not known."""

    def receive_from_client(self, data: bytes, five_tuple: FiveTuple) -> None:
        """Take one datagram or one frame of an attached client and relay it or hand it up."""

    def receive_run(self, data: memoryview, five_tuple: FiveTuple) -> int:
        """Take the packets that a client's stream begins with, as many as are whole.

        Returns:
            how many bytes they are. 0 says nothing of the first frame: it goes, when it is
            whole, to `receive_from_client`.

        """

    def send_to_client(
        self,
        data: bytes,
        five_tuple: FiveTuple,
        *,
        source: Address | None = None,
        destination: Address | None = None,
    ) -> bool:
        """Send a reply (UDP: by the listener the client sent to; else: by its sink).

        Args:
            data: one whole message. For a five-tuple whose transport is DTLS this goes
                through the attached sink; the DTLS transport itself sends its records
                with the same client and server addresses and `Transport.UDP`.
            five_tuple: the client.
            source: another UDP listener's address to send from (RFC 5780).
            destination: another address to send to (RFC 5780).

        Returns:
            False when it could not be sent: no such client, queue or socket buffer full.

        """

    def totals(self) -> Totals:
        """Read the counters."""
