"""Two peer connections of ours on two hosts of a lab, in one process, whose lines may be bad."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

import attrs
import trio

from tests.natlab import Host, Lab, Topology, inhabiting, lab
from tests.webrtc.peer.peers import TIMEOUT, wait_connected
from webrtc import Configuration, PeerConnection

LEFT, RIGHT = "left", "right"
HOSTS = Topology(hosts=(Host(LEFT), Host(RIGHT)))


@contextlib.contextmanager
def two_hosts() -> Iterator[Lab]:
    """Two hosts that reach each other without a NAT; their lines are good at first."""
    with lab(HOSTS) as net:
        yield net


@attrs.frozen
class Peers:
    """Who is where."""

    left: PeerConnection
    right: PeerConnection


@contextlib.asynccontextmanager
async def two_peers(configuration: Configuration | None = None) -> AsyncIterator[Peers]:
    """Open two peer connections; they are nowhere yet, and `call` sends each to its host.

    Transceivers made before that keep their codecs' threads out of the namespaces: the right
    one must be made with `add_track`, so that the left one's offer meets it.
    """
    configuration = configuration or Configuration()
    async with PeerConnection(configuration) as left, PeerConnection(configuration) as right:
        yield Peers(left, right)


async def call(net: Lab, peers: Peers) -> None:
    """Have the left one call the right one, and return when they are connected.

    Whole descriptions go over, so that nothing is begun later from outside of the namespaces.
    """
    left, right = peers.left, peers.right
    with trio.fail_after(TIMEOUT):
        with inhabiting(net[LEFT]):
            await left.set_local_description()
            await left.gathered()
        offer, answer = left.local_description, None
        assert offer is not None
        with inhabiting(net[RIGHT]):
            await right.set_remote_description(offer)
            await right.set_local_description()
            await right.gathered()
        answer = right.local_description
        assert answer is not None
        with inhabiting(net[LEFT]):
            await left.set_remote_description(answer)
    await wait_connected(left, right)
