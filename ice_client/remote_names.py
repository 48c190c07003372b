"""Names in the peer's candidates, asked for on the link in the background (RFC 6762).

draft-ietf-mmusic-mdns-ice-candidates §3.2.2. Most agents meet none, so mDNS is spoken from the
first one on, unless the agent was given one to share.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import trio

from ice_client.errors import IceError
from ice_client.interfaces import InterfaceFilter, local_addresses
from ice_client.mdns import Mdns, open_mdns
from stun import Address

MAX_RESOLVING = 32
"""Names that are being asked for at a time."""

_log = logging.getLogger(__name__)


class RemoteNames:
    """Asks for one agent.

    Args:
        mdns: to ask by; None to open one when it is needed.
        interfaces: whose links to ask on then.
        nursery: where it asks.

    Attributes:
        resolving: how many names are being asked for.

    """

    def __init__(
        self, mdns: Mdns | None, interfaces: InterfaceFilter, nursery: trio.Nursery
    ) -> None:
        self.resolving = 0
        self._mdns = mdns
        self._ready: trio.Event | None = None
        self._interfaces = interfaces
        self._nursery = nursery

    def resolve(self, name: str, tell: Callable[[Address | None], None]) -> bool:
        """Ask for a name.

        Args:
            name: under `.local`.
            tell: is given its address (port 0), or None if it has none, or more than one.

        Returns:
            False, and nothing is told, while as many as `MAX_RESOLVING` are asked for.

        """
        if self.resolving >= MAX_RESOLVING:
            return False
        self.resolving += 1
        self._nursery.start_soon(self._resolve, name, tell)
        return True

    async def _resolve(self, name: str, tell: Callable[[Address | None], None]) -> None:
        addresses: tuple[Address, ...] = ()
        try:
            mdns = await self._get_mdns()
            addresses = await mdns.resolve(name) if mdns else ()
        except IceError as error:
            _log.debug("%s is not resolved: %s", name, error)
        finally:
            self.resolving -= 1
        # §3.2.2: exactly one address, or the candidate is ignored.
        tell(addresses[0] if len(addresses) == 1 else None)

    async def _get_mdns(self) -> Mdns | None:
        if self._mdns is None:
            if self._ready is None:
                self._ready = trio.Event()
                self._nursery.start_soon(self._speak_mdns, self._ready)
            await self._ready.wait()
        return self._mdns

    async def _speak_mdns(self, ready: trio.Event) -> None:
        try:
            async with open_mdns(await local_addresses(self._interfaces)) as self._mdns:
                ready.set()
                await trio.sleep_forever()
        except IceError as error:
            _log.debug("no mDNS: %s", error)
        finally:
            ready.set()
