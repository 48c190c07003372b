"""`openssl s_client` and `s_server` as the peer, over UDP on loopback."""

from __future__ import annotations

import contextlib
import re
import select
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from webrtc.dtls import (
    Certificate,
    Connected,
    DataReceived,
    DtlsEndpoint,
    DtlsState,
    Event,
)

TIMEOUT = 15.0
_KEYING_MATERIAL = re.compile(rb"Keying material: ([0-9A-F]+)")


class OpensslPeer:
    """The process, and a socket of ours that is connected with it."""

    def __init__(self, process: subprocess.Popen[bytes], sock: socket.socket) -> None:
        self._process = process
        self._socket = sock
        self.output = b""
        self.datagrams: list[bytes] = []

    def enter(self, line: bytes) -> None:
        """Have the process send a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def read_until(self, pattern: re.Pattern[bytes]) -> re.Match[bytes]:
        """Wait for a text in what the process prints."""
        assert self._process.stdout is not None
        deadline = time.monotonic() + TIMEOUT
        while (match := pattern.search(self.output)) is None:
            remaining = deadline - time.monotonic()
            assert select.select([self._process.stdout], [], [], max(remaining, 0))[0], self.output
            chunk = self._process.stdout.read1(65536)  # type: ignore[attr-defined]
            assert chunk, self.output
            self.output += chunk
        return match

    @property
    def keying_material(self) -> bytes:
        return bytes.fromhex(self.read_until(_KEYING_MATERIAL)[1].decode())

    def run(
        self,
        endpoint: DtlsEndpoint,
        wanted: type[Event],
        lose: Callable[[bytes], bool] = lambda _datagram: False,
    ) -> list[Event]:
        """Carry datagrams until the endpoint says something of a kind; return all it said.

        `lose` tells which datagrams of the peer do not arrive.
        """
        events: list[Event] = []
        deadline = time.monotonic() + TIMEOUT
        while True:
            for datagram in endpoint.take_datagrams():
                self.datagrams.append(datagram)
                with contextlib.suppress(ConnectionRefusedError):
                    self._socket.send(datagram)
            events += endpoint.take_events()
            now = time.monotonic()
            if any(isinstance(event, wanted) for event in events):
                return events
            assert now < deadline, (endpoint.state, endpoint.statistics, events)
            due = endpoint.next_deadline()
            self._socket.settimeout(max(min(deadline, due or deadline) - now, 0.001))
            try:
                datagram = self._socket.recv(65536)
                if not lose(datagram):
                    endpoint.receive(datagram, time.monotonic())
            except (TimeoutError, ConnectionRefusedError):
                endpoint.on_deadline(time.monotonic())

    def first_client_of(self, sock: socket.socket, endpoint: DtlsEndpoint) -> None:
        """Take the process's first datagram, and answer nobody else from now on."""
        sock.settimeout(TIMEOUT)
        datagram, address = sock.recvfrom(65536)
        sock.connect(address)
        endpoint.receive(datagram, time.monotonic())


def _write(certificate: Certificate, directory: Path) -> list[str]:
    pem, key = certificate.to_pem()
    (directory / "certificate.pem").write_bytes(pem)
    (directory / "key.pem").write_bytes(key)
    return ["-cert", str(directory / "certificate.pem"), "-key", str(directory / "key.pem")]


@contextlib.contextmanager
def _running(arguments: list[str], sock: socket.socket) -> Iterator[OpensslPeer]:
    process = subprocess.Popen(
        ["timeout", "60", "openssl", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with process, sock:
        try:
            yield OpensslPeer(process, sock)
        finally:
            process.terminate()


def _common(certificate: Certificate, directory: Path, profiles: str, material: int) -> list[str]:
    return [
        "-dtls1_2",
        *(["-use_srtp", profiles] if profiles else []),
        *_write(certificate, directory),
        *("-keymatexport", "EXTRACTOR-dtls_srtp", "-keymatexportlen", str(material)),
    ]


@contextlib.contextmanager
def openssl_server(
    certificate: Certificate, directory: Path, profiles: str, material: int, *options: str
) -> Iterator[OpensslPeer]:
    """Run `s_server`, which asks for a certificate; ours is connected to it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(("127.0.0.1", port))
    common = _common(certificate, directory, profiles, material)
    arguments = ["s_server", "-accept", f"127.0.0.1:{port}", "-Verify", "1", *common, *options]
    with _running(arguments, sock) as peer:
        peer.read_until(re.compile(b"ACCEPT"))
        yield peer


@contextlib.contextmanager
def openssl_client(
    certificate: Certificate,
    directory: Path,
    endpoint: DtlsEndpoint,
    profiles: str,
    material: int,
    *options: str,
) -> Iterator[OpensslPeer]:
    """Run `s_client`; its first datagram is given to the endpoint."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    address = f"127.0.0.1:{sock.getsockname()[1]}"
    common = _common(certificate, directory, profiles, material)
    with _running(["s_client", "-connect", address, *common, *options], sock) as peer:
        peer.first_client_of(sock, endpoint)
        yield peer


def assert_talks(peer: OpensslPeer, endpoint: DtlsEndpoint, events: list[Event]) -> Connected:
    """Check the keys, and a line in each direction."""
    (connected,) = [event for event in events if isinstance(event, Connected)]
    assert endpoint.state is DtlsState.CONNECTED
    assert connected.srtp is not None
    assert endpoint.role is not None
    assert connected.srtp.profile.split(peer.keying_material, endpoint.role) == connected.srtp
    peer.enter(b"from there\n")
    assert DataReceived(b"from there\n") in peer.run(endpoint, DataReceived)
    endpoint.send(b"from here\n")
    for datagram in endpoint.take_datagrams():
        peer.datagrams.append(datagram)
        peer._socket.send(datagram)
    peer.read_until(re.compile(b"from here"))
    return connected
