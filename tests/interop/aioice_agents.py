"""Two aioice agents that may use relays alone, in a process of their own: aioice is asyncio.

    python -m tests.interop.aioice_agents HOST PORT TRANSPORT USER PASSWORD MESSAGES

Each sends numbered messages to the other. What arrived where and how is printed as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from aioice import Connection, TransportPolicy

CONNECT_TIMEOUT = 40.0
MESSAGE_TIMEOUT = 20.0
PACE = 0.001


def make_agent(arguments: list[str], *, controlling: bool) -> Connection:
    host, port, transport, user, password = arguments
    return Connection(
        ice_controlling=controlling,
        turn_server=(host, int(port)),
        turn_username=user,
        turn_password=password,
        turn_transport="udp" if transport == "udp" else "tcp",
        turn_ssl=transport == "tls",
        use_ipv6=False,
        transport_policy=TransportPolicy.RELAY,
    )


async def tell(teller: Connection, listener: Connection) -> None:
    """Carry an agent's candidates over to the other, as signalling would."""
    listener.remote_username = teller.local_username
    listener.remote_password = teller.local_password
    for candidate in teller.local_candidates:
        await listener.add_remote_candidate(candidate)
    await listener.add_remote_candidate(None)


async def send(agent: Connection, messages: int) -> None:
    for number in range(messages):
        await agent.send(b"%d" % number)
        await asyncio.sleep(PACE)


async def receive(agent: Connection, messages: int) -> list[int]:
    """Take so many messages, or as many as come."""
    received: list[int] = []
    try:
        async with asyncio.timeout(MESSAGE_TIMEOUT):
            while len(received) < messages:
                received.append(int(await agent.recv()))
    except TimeoutError:
        pass
    return received


async def talk(arguments: list[str], messages: int) -> dict[str, Any]:
    """Connect two agents, let them talk both ways, and return what they saw."""
    alice, bob = (make_agent(arguments, controlling=controls) for controls in (True, False))
    async with asyncio.timeout(CONNECT_TIMEOUT):
        await asyncio.gather(alice.gather_candidates(), bob.gather_candidates())
        await asyncio.gather(tell(alice, bob), tell(bob, alice))
        await asyncio.gather(alice.connect(), bob.connect())
    to_alice, to_bob, *_ = await asyncio.gather(
        receive(alice, messages), receive(bob, messages), send(alice, messages), send(bob, messages)
    )
    types = [candidate.type for each in (alice, bob) for candidate in each.local_candidates]
    await asyncio.gather(alice.close(), bob.close())
    return {"to_alice": to_alice, "to_bob": to_bob, "candidates": types}


if __name__ == "__main__":
    result = asyncio.run(talk(sys.argv[1:6], int(sys.argv[6])))
    sys.stdout.write(json.dumps(result))
