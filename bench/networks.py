"""Where the load meets the server: loopback, or a veth pair between two network namespaces.

Over veth the receive work is the kernel's own, in NAPI. Threaded NAPI makes it a thread for each
device, which is pinned to its side's core and counted with its side.
"""

import array
import contextlib
import fcntl
import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs

from bench.process import PROC

SERVER_CORE = 0
LOAD_CORE = 1

_SIOCETHTOOL = 0x8946
_ETHTOOL_SGRO = 0x2C

_SERVER_ADDRESS = "10.77.0.1"
_LOAD_ADDRESS = "10.77.0.2"
# Every address in it is one of the load's own (a local route), so that flows need no more setup.
_LOAD_NETWORK = "10.78.0.0/16"
_FIRST_LOAD_ADDRESS = "10.78.0.1"


class NetworkError(Exception):
    """The namespaces could not be made; the message is the tool's."""


@attrs.frozen
class Network:
    """A way from the load to the server.

    Attributes:
        name: what the command line calls it.
        server_address: where the server listens and relays.
        first_load_address: the first client's and peer's; flows count up from it.
        load_network: all of these, which the server lets be peers.
        server_prefix: what comes before the server's command line; `load_prefix` the load's.
        server_threads: threads of the kernel that work for the server: its core's softirq thread
            and its device's NAPI thread. `load_threads` work for the load.
    """

    name: str
    server_address: str
    first_load_address: str
    load_network: str
    server_prefix: tuple[str, ...] = ()
    load_prefix: tuple[str, ...] = ()
    server_threads: tuple[int, ...] = ()
    load_threads: tuple[int, ...] = ()


def kernel_threads(prefix: str, root: Path = PROC) -> tuple[int, ...]:
    """Return the processes whose command's name begins so."""
    found = []
    for path in root.glob("[0-9]*/comm"):
        # A process may end between being listed and being read.
        with contextlib.suppress(OSError):
            if path.read_text().startswith(prefix):
                found.append(int(path.parent.name))
    return tuple(sorted(found))


@contextlib.contextmanager
def loopback() -> Iterator[Network]:
    """Give the host's own loopback."""
    yield Network(
        name="loopback",
        server_address="127.0.0.1",
        first_load_address="127.2.0.1",
        load_network="127.0.0.0/8",
        server_threads=kernel_threads(f"ksoftirqd/{SERVER_CORE}\n"),
        load_threads=kernel_threads(f"ksoftirqd/{LOAD_CORE}\n"),
    )


@contextlib.contextmanager
def veth() -> Iterator[Network]:
    """Make two namespaces with a veth pair between them, GRO on, and remove them after the body.

    Raises:
        NetworkError: it takes root, `ip` of iproute2 and a kernel with veth.
    """
    server, load = (f"bench{os.getpid()}{side}" for side in "sl")
    try:
        _make(server, load)
        yield Network(
            name="veth",
            server_address=_SERVER_ADDRESS,
            first_load_address=_FIRST_LOAD_ADDRESS,
            load_network=_LOAD_NETWORK,
            server_prefix=("ip", "netns", "exec", server),
            load_prefix=("ip", "netns", "exec", load),
            server_threads=(
                *kernel_threads(f"ksoftirqd/{SERVER_CORE}\n"),
                *_pinned_napi(server, SERVER_CORE),
            ),
            load_threads=(
                *kernel_threads(f"ksoftirqd/{LOAD_CORE}\n"),
                *_pinned_napi(load, LOAD_CORE),
            ),
        )
    finally:
        for name in (server, load):
            # The devices go with their namespaces; a namespace may never have been made.
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def _make(server: str, load: str) -> None:
    queues = "numtxqueues 1 numrxqueues 1"
    _run(f"ip netns add {server}")
    _run(f"ip netns add {load}")
    # A namespace and its device share their name.
    _run(f"ip link add {server} {queues} type veth peer name {load} {queues}")
    for device, address in ((server, _SERVER_ADDRESS), (load, _LOAD_ADDRESS)):
        _set_gro(device)
        _run(f"ip link set {device} netns {device}")
        _run(f"ip -n {device} link set lo up")
        _run(f"ip -n {device} address add {address}/24 dev {device}")
        _run(f"ip -n {device} link set {device} up")
    for device in (server, load):
        # `ip netns exec` shows the namespace's own devices under /sys.
        _run(f"ip netns exec {device} tee /sys/class/net/{device}/threaded", told="1")
    _run(f"ip -n {load} route add local {_LOAD_NETWORK} dev lo")
    _run(f"ip -n {server} route add {_LOAD_NETWORK} via {_LOAD_ADDRESS}")


def _set_gro(device: str) -> None:
    """Turn GRO on (ethtool -K DEVICE gro on), which makes veth receive by NAPI."""
    value = array.array("I", [_ETHTOOL_SGRO, 1])
    request = struct.pack("16sP", device.encode(), value.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            fcntl.ioctl(any_socket, _SIOCETHTOOL, request)
        except OSError as error:
            raise NetworkError(f"GRO on {device}: {error}") from None


def _pinned_napi(device: str, core: int) -> tuple[int, ...]:
    threads = kernel_threads(f"napi/{device}-")
    if not threads:
        raise NetworkError(f"the kernel gave {device} no NAPI thread")
    for thread in threads:
        os.sched_setaffinity(thread, {core})
    return threads


def _run(line: str, told: str = "") -> None:
    done = subprocess.run(line.split(), input=told, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NetworkError(f"{line}: {done.stderr.strip()}")


NETWORKS = {"loopback": loopback, "veth": veth}
