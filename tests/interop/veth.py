"""An interface that is not loopback: browsers and aioice gather no candidates on `lo`.

A veth pair with its far end in a network namespace of its own. The names and addresses are
drawn at random, so that several test runs on one machine don't meet.
"""

from __future__ import annotations

import contextlib
import ipaddress
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs

from tests.interop.tools import tool

_NETWORKS = ipaddress.ip_network("198.18.0.0/15")
"""For tests of network devices (RFC 2544): nobody routes it, and so nobody has it."""


def _ip(command: str) -> None:
    done = subprocess.run([tool("ip"), *command.split()], capture_output=True, text=True)
    assert not done.returncode, (
        f"ip {command}: {done.stderr.strip()} (interfaces and namespaces need root: "
        "run the tests as root, or in a container with CAP_NET_ADMIN and CAP_SYS_ADMIN)"
    )


NEAR_NAME = "turn.example.org"
_FILES = Path("/etc/netns")
"""What `ip netns exec` puts in the place of files in /etc."""


@attrs.frozen
class Link:
    """Two hosts and what connects them.

    Attributes:
        near: this host's IPv4 address; on the other it is also called `NEAR_NAME`.
        far: the other's, which is the network namespace `namespace`, and sends all it has to say
            to anybody else this way.
        namespace: for `ip netns exec`.

    """

    near: str
    far: str
    namespace: str


@contextlib.contextmanager
def veth_link() -> Iterator[Link]:
    """Give a link to another host, for the length of the block.

    Raises:
        AssertionError: interfaces can't be made here; it says why.

    """
    name = f"io{secrets.token_hex(4)}"
    block = _NETWORKS.network_address + 4 * secrets.randbelow(_NETWORKS.num_addresses // 4)
    near, far = block + 1, block + 2
    with contextlib.ExitStack() as stack:
        _ip(f"netns add {name}")
        # The pair goes with the namespace that holds one end of it.
        stack.callback(_ip, f"netns del {name}")
        _ip(f"link add {name} type veth peer name far netns {name}")
        _ip(f"addr add {near}/30 dev {name}")
        _ip(f"link set {name} up")
        _ip(f"-n {name} addr add {far}/30 dev far")
        _ip(f"-n {name} link set far up")
        _ip(f"-n {name} link set lo up")
        _ip(f"-n {name} route add default via {near}")
        files = _FILES / name
        stack.callback(shutil.rmtree, files)
        files.mkdir(parents=True)
        (files / "hosts").write_text(f"127.0.0.1 localhost\n{near} {NEAR_NAME}\n", encoding="utf-8")
        # Nobody knows another name, and says so at once.
        (files / "resolv.conf").write_text("nameserver 127.0.0.1\n", encoding="utf-8")
        yield Link(str(near), str(far), name)


@contextlib.contextmanager
def veth_address() -> Iterator[str]:
    """Give an IPv4 address of this host that is not loopback, for the length of the block.

    Raises:
        AssertionError: interfaces can't be made here; it says why.

    """
    with veth_link() as link:
        yield link.near
