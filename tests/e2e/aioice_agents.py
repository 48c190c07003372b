"""Two aioice agents, relay only, numbered messages both ways. Run as a program (asyncio).

Arguments: server, port, transport (udp or tcp), username, password, messages.
"""

import asyncio
import sys

import aioice


def agent(
    server: str, port: int, transport: str, username: str, password: str, *, first: bool
) -> aioice.Connection:
    return aioice.Connection(
        ice_controlling=first,
        turn_server=(server, port),
        turn_username=username,
        turn_password=password,
        turn_transport=transport,
        transport_policy=aioice.TransportPolicy.RELAY,
    )


async def receive(connection: aioice.Connection, count: int) -> list[int]:
    return [int(await connection.recv()) for _ in range(count)]


async def main() -> None:
    server, port, transport, username, password, count = sys.argv[1:]
    agents = [
        agent(server, int(port), transport, username, password, first=first)
        for first in (True, False)
    ]
    one, two = agents
    for each in agents:
        await each.gather_candidates()
        assert each.local_candidates
        assert {candidate.type for candidate in each.local_candidates} == {"relay"}
    for each, other in ((one, two), (two, one)):
        each.remote_username, each.remote_password = other.local_username, other.local_password
        for candidate in other.local_candidates:
            await each.add_remote_candidate(candidate)
        await each.add_remote_candidate(None)
    await asyncio.gather(*(each.connect() for each in agents))
    expected = list(range(int(count)))
    receivers = [asyncio.create_task(receive(each, int(count))) for each in agents]
    for number in expected:
        await asyncio.gather(*(each.send(str(number).encode()) for each in agents))
    received = await asyncio.wait_for(asyncio.gather(*receivers), 30)
    assert received == [expected, expected], received
    await asyncio.gather(*(each.close() for each in agents))
    print("all received")  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())
