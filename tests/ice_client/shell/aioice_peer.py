"""An aioice agent in a process of its own that says back what it is told: aioice is asyncio.

    python -m tests.ice_client.shell.aioice_peer controlling|controlled host|relay [TURN-PORT HOST]

It prints its credentials and candidates as a line of JSON, reads ours as one, and echoes.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from aioice import Candidate, Connection, TransportPolicy

from tests.interop.server_under_test import PASSWORD, USER

TIMEOUT = 30.0


def make_connection(role: str, kind: str, server: list[str]) -> Connection:
    options: dict[str, Any] = {}
    if kind == "relay":
        options = {
            "turn_server": (server[0], int(server[1])),
            "turn_username": USER,
            "turn_password": PASSWORD,
            "transport_policy": TransportPolicy.RELAY,
        }
    return Connection(ice_controlling=role == "controlling", use_ipv6=False, **options)


async def talk(role: str, kind: str, server: list[str]) -> None:
    connection = make_connection(role, kind, server)
    await connection.gather_candidates()
    ours = {
        "username_fragment": connection.local_username,
        "password": connection.local_password,
        "candidates": [candidate.to_sdp() for candidate in connection.local_candidates],
    }
    sys.stdout.write(json.dumps(ours) + "\n")
    sys.stdout.flush()
    theirs = json.loads(await asyncio.to_thread(sys.stdin.readline))
    connection.remote_username = theirs["username_fragment"]
    connection.remote_password = theirs["password"]
    for candidate in theirs["candidates"]:
        await connection.add_remote_candidate(Candidate.from_sdp(candidate))
    await connection.add_remote_candidate(None)
    await connection.connect()
    while (data := await connection.recv()) != b"\x80 over":
        await connection.send(data)
    await connection.close()


if __name__ == "__main__":
    asyncio.run(asyncio.wait_for(talk(sys.argv[1], sys.argv[2], sys.argv[3:]), TIMEOUT))
