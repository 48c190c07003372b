"""The table of theory is right: by RFC 4787's words, and by holes punched in the lab."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from itertools import combinations_with_replacement

import attrs
import pytest

from tests.natlab import Lab, lab
from tests.natlab.pairs import KIND_PAIRS, PAIRS, SERVER, left_host, right_host
from tests.natlab.theory import BEHAVIOURS, REACH, TABLE, Path, Reach, can_be_direct, expected

_ROUNDS = 4
"""Of checks: one to open the filters, one to get in, one for the answer, one to spare."""
_WITH_UDP_AND_IPV4 = [
    pair for pair in KIND_PAIRS if not {REACH[kind] for kind in pair} & {Reach.NAT64, Reach.NOBODY}
]


@pytest.fixture(scope="module")
def net() -> Iterator[Lab]:
    with lab(PAIRS) as running:
        yield running


def test_table_has_every_pair_once() -> None:
    assert {frozenset(pair) for pair in TABLE} == {
        frozenset(pair) for pair in combinations_with_replacement(Reach, 2)
    }
    assert len(TABLE) == len({frozenset(pair) for pair in TABLE})


@pytest.mark.parametrize(("first", "second"), [*combinations_with_replacement(BEHAVIOURS, 2)])
def test_table_says_what_the_words_of_rfc_4787_say(first: str, second: str) -> None:
    direct = can_be_direct(BEHAVIOURS[first], BEHAVIOURS[second])
    assert direct == (expected(first, second).path is Path.DIRECT)


Address = tuple[str, int]


@attrs.define
class Puncher:
    """As much of an ICE agent as a hole takes: checks, answers, and triggered checks."""

    sock: socket.socket
    host: Address
    reflexive: Address
    remotes: list[Address] = attrs.field(factory=list)
    seen_as: dict[Address, Address] = attrs.field(factory=dict)
    """By the remote that answered: where it saw the check come from."""

    def send(self) -> None:
        for remote in self.remotes:
            self.sock.sendto(b"check", remote)

    def receive(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                data, source = self.sock.recvfrom(100)
                if data == b"check":
                    self.sock.sendto(f"{source[0]} {source[1]}".encode(), source)
                    if source not in self.remotes:
                        self.remotes.append(source)
                else:
                    host, port = data.decode().split()
                    self.seen_as[source] = (host, int(port))

    def type_of(self, address: Address) -> str:
        """Return the type of one of its own addresses as a candidate."""
        if address == self.host:
            return "host"
        return "srflx" if address == self.reflexive else "prflx"


def puncher(net: Lab, host: str, stack: contextlib.ExitStack) -> Puncher:
    """Open a socket on a host and find out its server-reflexive address."""
    sock = stack.enter_context(net[host].bound_socket())
    server = stack.enter_context(net[SERVER].bound_socket())
    sock.setblocking(False)
    server.setblocking(False)
    sock.sendto(b"who am I?", server.getsockname())
    net.settle()
    return Puncher(sock, sock.getsockname(), server.recvfrom(100)[1])


@pytest.mark.parametrize(("first", "second"), _WITH_UDP_AND_IPV4)
def test_hole_punching_gets_as_far_as_the_table_says(first: str, second: str, net: Lab) -> None:
    with contextlib.ExitStack() as stack:
        left = puncher(net, left_host(first), stack)
        right = puncher(net, right_host(second), stack)
        left.remotes.append(right.reflexive)
        right.remotes.append(left.reflexive)
        for _ in range(_ROUNDS):
            for one in (left, right):
                one.send()
                net.settle()
            for one in (left, right):
                one.receive()
                net.settle()
    outcome = expected(first, second)
    if outcome.path is Path.RELAY:
        assert not left.seen_as
        assert not right.seen_as
        return
    assert outcome.types is not None
    assert types(left, right) == outcome.types
    assert types(right, left) == outcome.mirrored.types


def types(one: Puncher, other: Puncher) -> tuple[str, str]:
    """Return the candidate types of the pair that a puncher ended up with."""
    ((remote, local),) = one.seen_as.items()
    return one.type_of(local), other.type_of(remote)
