"""Asks the relay for permissions it should not give; only with `--i-own-this-server`.

Nothing is sent to these peers: the answer to CreatePermission says it all (RFC 8656 §9.2).
"""

from __future__ import annotations

from typing import Literal

import trio

from ice_client.check.exchange import TIMING
from ice_client.check.results import PeerAccess
from ice_client.errors import IceError
from ice_client.turn import AllocateOptions, ForbiddenError, ResponseError, TurnServer, open_relay
from stun import Address, Family

TIMEOUT = 15.0
_PEERS: tuple[tuple[str, Literal["loopback", "private", "metadata"]], ...] = (
    ("127.0.0.1", "loopback"),
    ("0.0.0.0", "loopback"),  # noqa: S104 - Linux delivers it to itself
    ("10.0.0.1", "private"),
    ("172.16.0.1", "private"),
    ("192.168.0.1", "private"),
    ("100.64.0.1", "private"),
    ("169.254.169.254", "metadata"),
    ("::1", "loopback"),
    ("::ffff:127.0.0.1", "loopback"),
    ("64:ff9b::7f00:1", "loopback"),
    ("fd00::1", "private"),
    ("fd00:ec2::254", "metadata"),
)


async def probe_peers(server: TurnServer) -> tuple[PeerAccess, ...]:
    """Ask for a permission for each peer that a relay should refuse."""
    results: list[PeerAccess] = []
    with trio.move_on_after(TIMEOUT):
        for family in (Family.IPV4, Family.IPV6):
            peers = [each for each in _PEERS if (":" in each[0]) == (family is Family.IPV6)]
            results += await _ask(server, family, peers)
    return tuple(results)


async def _ask(
    server: TurnServer,
    family: Family,
    peers: list[tuple[str, Literal["loopback", "private", "metadata"]]],
) -> list[PeerAccess]:
    results: list[PeerAccess] = []
    options = AllocateOptions(family=family if family is Family.IPV6 else None)
    try:
        async with open_relay(server, options=options, timing=TIMING) as relay:
            for text, kind in peers:
                address = Address.parse(text, 9)
                if address.family is not family:
                    continue  # an IPv4-mapped one is IPv4 to everybody who parses it
                permitted: bool | None = True
                detail = ""
                try:
                    await relay.permit(address)
                except ForbiddenError:
                    permitted = False
                except ResponseError as error:
                    permitted, detail = False, str(error)
                results.append(PeerAccess(text, kind, permitted, detail))
    except IceError as error:
        # What was not asked is not told; a server without that family has nothing to reach there.
        asked = {each.peer for each in results}
        results += [
            PeerAccess(text, kind, None, str(error)) for text, kind in peers if text not in asked
        ]
    return results
