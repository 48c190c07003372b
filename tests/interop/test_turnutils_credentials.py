"""coturn's turnutils_uclient logs in: shared secrets, access tokens; and what happens if not."""

from __future__ import annotations

import pytest
import trio

from tests.interop.conftest import StartServer
from tests.interop.server_under_test import PASSWORD, SECRET, USER, ServerUnderTest
from tests.interop.turnutils import TRANSPORT_FLAGS, Totals, echo_peer, totals, uclient

# The keys of "uclient -J" (mainuclient.c, okdr_array), of which it takes one at random for
# each session. In coturn's source each ends in a newline that is no part of the key.
OAUTH_KEYS = [
    {
        "kid": "north",
        "key": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
        "algorithm": "A256GCM",
    },
    {"kid": "union", "key": "MTIzNDU2Nzg5MDEyMzQ1Ng==", "algorithm": "A128GCM"},
    {
        "kid": "oldempire",
        "key": "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=",
        "algorithm": "A256GCM",
    },
]
OAUTH = {"auth": {"oauth_keys": OAUTH_KEYS, "oauth_server_name": "turn.example.org"}}

WRONG = {
    "password": f"-u {USER} -w wrong",
    "user": f"-u nobody -w {PASSWORD}",
    "shared secret": "-u someone -W another-secret-of-a-decent-length",
    "password of no length": f"-u {USER}",
}


async def test_access_tokens_open_relays_over_every_transport(start_server: StartServer) -> None:
    clients, messages = 4, 10
    async with start_server(OAUTH) as server, echo_peer() as peer:

        async def relay(transport: str) -> None:
            flags = f"-J -c -m {clients} -n {messages} -z 10 -e 127.0.0.1 -r {peer}"
            finished = await uclient(server, transport, flags)
            expected = Totals(clients * messages, clients * messages, lost=0, dropped=0)
            assert totals(finished) == expected, str(finished)
            assert finished.exit_code == 0

        async with trio.open_nursery() as nursery:
            for transport in TRANSPORT_FLAGS:
                nursery.start_soon(relay, transport)
        assert server.transports() == set(TRANSPORT_FLAGS)
        kids = {line["user"] for line in server.events("allocation-opened")}
        assert kids <= {"north", "union", "oldempire"}
        # That all of 32 sessions take the same of three keys happens to nobody.
        assert len(kids) > 1


@pytest.mark.parametrize("separator", [":", "-"])
async def test_time_limited_credentials_of_all_secrets_open_relays(
    separator: str, start_server: StartServer
) -> None:
    newer = "the-secret-that-is-rotated-in"
    auth = {"secrets": [SECRET, newer], "rest_separator": separator}
    async with start_server({"auth": auth}) as server, echo_peer() as peer:

        async def relay(secret: str) -> None:
            flags = f"-u someone -W {secret} -C {separator} -c -n 10 -z 10 -e 127.0.0.1 -r {peer}"
            finished = await uclient(server, "udp", flags)
            assert totals(finished) == Totals(10, 10, lost=0, dropped=0), str(finished)
            assert finished.exit_code == 0

        async with trio.open_nursery() as nursery:
            nursery.start_soon(relay, SECRET)
            nursery.start_soon(relay, newer)
    users = {line["user"] for line in server.events("allocation-opened")}
    assert all(user.endswith(f"{separator}someone") for user in users)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls", "dtls"])
async def test_strangers_are_told_so_at_once_over(
    transport: str, start_server: StartServer
) -> None:
    async with start_server({}) as server:
        async with trio.open_nursery() as nursery:
            for flags in WRONG.values():
                nursery.start_soon(_be_refused, server, transport, flags)
        assert not server.events("allocation-opened")
        refusals = {(line["code"], line["reason"]) for line in server.events("request-rejected")}
        assert {code for code, _ in refusals} == {401}
        assert all(reason for _, reason in refusals), "the log does not say why"


async def _be_refused(server: ServerUnderTest, transport: str, flags: str) -> None:
    with trio.fail_after(10):
        finished = await uclient(server, transport, f"{flags} -c -n 5 -e 127.0.0.1")
    assert finished.exit_code == 255, str(finished)
    assert "Cannot complete Allocation" in finished.output, str(finished)
