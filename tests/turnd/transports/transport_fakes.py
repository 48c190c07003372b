"""What the transports' tests share: a datapath that records and echoes, clients of DTLS."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import partial

import trio
from OpenSSL import SSL

from stun import Address
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.datapath.interface import ClientSink
from turnd.transports.dtls_hello import split_records

SERVER = Address.parse("192.0.2.1", 5349)
CLIENT = Address.parse("198.51.100.7", 40000)
DTLS = FiveTuple(Transport.DTLS, CLIENT, SERVER)
UDP = FiveTuple(Transport.UDP, CLIENT, SERVER)

BINDING_REQUEST = bytes.fromhex("000100002112a442") + b"transaction-"
CHANNEL_DATA = bytes.fromhex("40000005") + b"hello" + bytes(3)


class FakeRoad:
    """A datapath without peers: what clients send is kept and, by default, echoed."""

    def __init__(self) -> None:
        self.sinks: dict[FiveTuple, ClientSink] = {}
        self.received: list[tuple[bytes, FiveTuple]] = []
        self.records: list[tuple[bytes, FiveTuple]] = []
        self.gone: list[FiveTuple] = []
        self.holders: set[FiveTuple] = set()
        self.on_message: Callable[[bytes, FiveTuple], None] = self.echo

    def echo(self, data: bytes, five_tuple: FiveTuple) -> None:
        assert self.sinks[five_tuple].send(data)

    def attach(self, five_tuple: FiveTuple, sink: ClientSink) -> None:
        assert five_tuple not in self.sinks
        self.sinks[five_tuple] = sink

    def detach(self, five_tuple: FiveTuple) -> None:
        del self.sinks[five_tuple]

    def receive_from_client(self, data: bytes, five_tuple: FiveTuple) -> None:
        self.received.append((data, five_tuple))
        self.on_message(data, five_tuple)

    def receive_run(self, data: memoryview, five_tuple: FiveTuple) -> int:
        del data, five_tuple
        return 0

    def send_to_client(self, data: bytes, five_tuple: FiveTuple) -> bool:
        self.records.append((data, five_tuple))
        return True

    def take_records(self) -> list[bytes]:
        """Return the datagrams sent since the last call."""
        records, self.records = self.records, []
        return [data for data, _ in records]

    def on_client_gone(self, five_tuple: FiveTuple) -> None:
        self.gone.append(five_tuple)

    def has_allocation(self, five_tuple: FiveTuple) -> bool:
        return five_tuple in self.holders


class DtlsClient:
    """OpenSSL's client over memory BIOs, one datagram at a time."""

    def __init__(self, mtu: int = 1200, alpn: list[bytes] | None = None) -> None:
        context = SSL.Context(SSL.DTLS_CLIENT_METHOD)
        context.set_options(SSL.OP_NO_QUERY_MTU)
        if alpn:
            context.set_alpn_protos(alpn)
        self.ssl = SSL.Connection(context, None)
        self.ssl.set_connect_state()
        self.ssl.set_ciphertext_mtu(mtu)
        self.done = False

    def handshake(self) -> list[bytes]:
        """Go on with the handshake; return the records to send, one a datagram."""
        try:
            self.ssl.do_handshake()
            self.done = True
        except SSL.WantReadError:
            pass
        return self.drain()

    def drain(self) -> list[bytes]:
        written = b""
        try:
            while True:
                written += self.ssl.bio_read(65536)
        except SSL.WantReadError:
            return split_records(written)

    def feed(self, datagrams: list[bytes]) -> list[bytes]:
        """Take what the server sent; return what the handshake answers."""
        answers: list[bytes] = []
        for datagram in datagrams:
            self.ssl.bio_write(datagram)
            answers += self.handshake()
        return answers

    def send(self, message: bytes) -> list[bytes]:
        self.ssl.send(message)
        return self.drain()

    def receive(self, datagrams: list[bytes]) -> list[bytes]:
        """Take what the server sent; return the messages in it."""
        messages: list[bytes] = []
        for datagram in datagrams:
            self.ssl.bio_write(datagram)
            try:
                while True:
                    messages.append(self.ssl.recv(65536))
            except SSL.WantReadError:
                pass
        return messages


async def start_s_client(
    nursery: trio.Nursery, arguments: list[str]
) -> tuple[trio.abc.SendStream, trio.abc.ReceiveStream, trio.Process]:
    """Run the system's `openssl s_client`; return its standard input, output, and itself."""
    process: trio.Process = await nursery.start(
        partial(
            trio.run_process,
            ["openssl", "s_client", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    )
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout, process
