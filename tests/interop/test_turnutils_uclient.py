"""coturn's turnutils_uclient relays through turnd and loses nothing, over every transport.

The kinds of traffic are one table; all of a transport's run at the same time against one
server, because each client of this program waits up to six seconds for no reason of ours.
"""

from __future__ import annotations

import signal

import attrs
import pytest
import trio

from tests.interop.conftest import StartServer
from tests.interop.server_under_test import PASSWORD, SECRET, USER, ServerUnderTest
from tests.interop.tools import Finished
from tests.interop.turnutils import Totals, echo_peer, totals, uclient

LOGIN = f"-u {USER} -w {PASSWORD}"
MESSAGES = 40
MESSAGE_SIZE = 170
PACE = f"-n {MESSAGES} -l {MESSAGE_SIZE} -z 15"
"""Messages, bytes of each, milliseconds between them."""
MOBILE_ATTEMPTS = 20
"""Half of them fail by `shot_itself`: that all do happens once in a million."""
CRASHES = {-signal.SIGSEGV, -signal.SIGABRT}


@attrs.frozen(slots=True)
class Case:
    """One run.

    Attributes:
        flags: of turnutils_uclient; "{peer}" is the echo peer's port.
        senders: how many sessions of it send `MESSAGES` each.
        host: where it finds the server.
        login: its flags for credentials.

    """

    flags: str
    senders: int = 1
    host: str = "127.0.0.1"
    login: str = LOGIN


V4_PEER = "-e 127.0.0.1 -r {peer}"
V6_PEER = "-e ::1 -r {peer}"

UDP_RELAYS = {
    "channels to a peer": Case(f"-c {V4_PEER}"),
    "Send indications to a peer": Case(f"-c -s {V4_PEER}"),
    "RTP and RTCP, on an even port and the next": Case(V4_PEER, senders=2),
    "channels from client to client": Case("-c -y", senders=2),
    "Send indications from client to client": Case("-c -y -s", senders=2),
    "RTP and RTCP from client to client": Case("-y", senders=4),
    "an IPv6 client to an IPv6 peer": Case(f"-c -x {V6_PEER}", host="::1"),
    "an IPv6 client to an IPv4 peer": Case(f"-c -X {V4_PEER}", host="::1"),
    "an IPv4 client to an IPv6 peer": Case(f"-c -x {V6_PEER}"),
    "an IPv4 client's Send indications to an IPv6 peer": Case(f"-c -s -x {V6_PEER}"),
    "IPv6 relays from client to client": Case("-c -y -x", senders=2),
    "relays of both families in one allocation": Case(f"-c -Z {V4_PEER}"),
    "a time-limited credential": Case(f"-c {V4_PEER}", login=f"-u someone -W {SECRET}"),
    "DONT-FRAGMENT": Case(f"-c -g -s {V4_PEER}"),
    "permissions and channels asked for again": Case(f"-c -G {V4_PEER}"),
    "padded channel data": Case(f"-c -D -l 171 {V4_PEER}"),
    "large messages": Case(f"-c -l 1200 {V4_PEER}"),
    "six clients at once": Case(f"-c -m 6 {V4_PEER}", senders=6),
}

MOBILE = {
    "channels of a client that has moved": Case(f"-c -M {V4_PEER}"),
    "Send indications of a client that has moved": Case(f"-c -M -s {V4_PEER}"),
}

TCP_RELAYS = {
    "Connect to another allocation": Case("-T", senders=2),
    "Connect among four allocations": Case("-T -m 4", senders=4),
}


async def outcome(server: ServerUnderTest, transport: str, case: Case, peer: int) -> str:
    """Run one case; return what was wrong with it, or nothing."""
    flags = f"{case.login} {PACE} {case.flags.format(peer=peer)}"
    finished = await uclient(server, transport, flags, host=case.host)
    if " -M " in flags:
        shoots_itself = transport in {"tls", "dtls"}
        for _ in range(MOBILE_ATTEMPTS):
            bad_luck = shoots_itself and shot_itself(finished)
            if not (bad_luck or moved_to_a_taken_port(finished)):
                break
            finished = await uclient(server, transport, flags, host=case.host)
    return judge(finished, case.senders * MESSAGES)


def shot_itself(finished: Finished) -> bool:
    """Whether a mobile client over TLS or DTLS ended by a bug of its own.

    One of the three ways in which turnutils_uclient 4.6.1 leaves its old address, taken at
    random, frees the old session twice (startuclient.c, "close_now"). The second time that
    is the new session: it sends close_notify and can't send any more, or crashes.
    """
    gave_up = finished.exit_code == 1 and finished.output.endswith("send: Success\n")
    return gave_up or finished.exit_code in CRASHES


def moved_to_a_taken_port(finished: Finished) -> bool:
    """Whether a mobile client moved to a 5-tuple that another's allocation still has.

    Each of these programs first makes an allocation as a probe and leaves it behind when it
    closes the socket; the kernel may give that port to another's new socket. The 437 that a
    Refresh gets there is RFC 8656's, and the program gives up (for an Allocate it tries
    again). Seen once in two hundred runs; by one in ten where ports are few.
    """
    return finished.exit_code == 255 and "error 437 (Allocation Mismatch)" in finished.output


def judge(finished: Finished, messages: int) -> str:
    """Return what is wrong with a run that should have sent so many messages, or nothing."""
    try:
        counted = totals(finished)
    except AssertionError as error:
        return str(error)
    if finished.exit_code or counted != Totals(messages, messages, lost=0, dropped=0):
        return f"{counted} of {messages}\n{finished}"
    return ""


async def failures(server: ServerUnderTest, transport: str, cases: dict[str, Case]) -> str:
    """Run cases at the same time; return what was wrong with which."""
    wrong: dict[str, str] = {}

    async def run(name: str, case: Case, peer: int) -> None:
        problem = await outcome(server, transport, case, peer)
        if problem:
            wrong[name] = problem

    async with echo_peer() as peer, trio.open_nursery() as nursery:
        for name, case in cases.items():
            nursery.start_soon(run, name, case, peer)
    return "\n".join(f"{name}: {problem}" for name, problem in wrong.items())


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls", "dtls"])
async def test_relays_udp_for_clients_over(transport: str, start_server: StartServer) -> None:
    async with start_server({"mobility": {"enabled": True}}) as server:
        problems = await failures(server, transport, UDP_RELAYS | MOBILE)
        assert not problems, problems
        assert server.transports() == {transport}
        moved = {line["session"] for line in server.events("allocation-moved")}
        assert len(moved & carriers(server)) == len(MOBILE)


def carriers(server: ServerUnderTest) -> set[int]:
    """Return the sessions that by the server's count carried a run's messages both ways."""
    return {
        line["session"]
        for line in server.events("allocation-closed")
        if line["packets_to_peer"] == line["packets_to_client"] == MESSAGES
    }


@pytest.mark.parametrize("transport", ["tcp", "tls"])
async def test_relays_tcp_for_clients_over(transport: str, start_server: StartServer) -> None:
    async with start_server({}) as server:
        problems = await failures(server, transport, TCP_RELAYS)
        assert not problems, problems
        assert server.transports() == {transport}
        assert {line["relays"] for line in server.events("allocation-opened")} == {"tcp"}


async def test_relays_tcp_from_peers_that_connect_by_themselves(start_server: StartServer) -> None:
    async with start_server({}) as server:
        finished = await uclient(server, "tcp", f"{LOGIN} {PACE} -T -P")
        # As a peer this program sends and never reads: what it was sent counts as lost,
        # coturn as server or turnd. How much that was the server has to say.
        counted = totals(finished)
        assert counted == Totals(2 * MESSAGES, MESSAGES, MESSAGES, dropped=0), str(finished)
        (arrived,) = (
            line for line in server.events("peer-connection") if line["state"] == "arrived"
        )
        (closed,) = (
            line
            for line in server.events("allocation-closed")
            if line["session"] == arrived["session"]
        )
        assert closed["bytes_to_client"] == closed["bytes_to_peer"] == MESSAGES * MESSAGE_SIZE
