"""SQLite users as the server sees them: a bounded cache, filled from a worker thread."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

import structlog
import trio

from turnd.core.credentials import Credential, NotYet
from turnd.store.user_database import UserDatabase, UserDatabaseError

CACHE_SECONDS = 5.0
"""How long a change made by `turnd user` may take to be seen."""
CACHE_SIZE = 10_000

log = structlog.get_logger("turnd.store")

T = TypeVar("T")
_Key = tuple[str, str | bytes]


class SqliteUsers:
    """Looks users up without waiting, as far as they were loaded lately.

    Args:
        database: the open file; closed by `close`.
        clock: monotonic seconds.

    """

    def __init__(
        self, database: UserDatabase, clock: Callable[[], float] = trio.current_time
    ) -> None:
        self._database = database
        self._clock = clock
        self._cache: OrderedDict[_Key, tuple[float, Credential | None]] = OrderedDict()
        self._secrets: dict[str, tuple[str, ...]] = {}
        # SQLite connections take one statement at a time.
        self._limiter = trio.CapacityLimiter(1)

    @property
    def secrets(self) -> dict[str, tuple[str, ...]]:
        """Shared secrets by realm, newest first, as last read by `load_secrets`."""
        return self._secrets

    def find(self, realm: str, name: str | bytes) -> Credential | NotYet | None:
        """Return what is known of a user name (or USERHASH), or that it must be loaded."""
        entry = self._cache.get((realm, name))
        if entry is None or entry[0] <= self._clock():
            return NotYet.PENDING
        self._cache.move_to_end((realm, name))
        return entry[1]

    async def load(self, realm: str, name: str | bytes) -> None:
        """Read a user into the cache; one that is not there too, so that it is not asked again.

        Where the database fails, what was known of the user stays, as shared secrets do. Without
        that its request is dropped and the client sends it again: for a moment's lock, a 401
        would turn a good client away.
        """
        try:
            if isinstance(name, str):
                credential = await self._call(lambda: self._database.find(realm, name))
            else:
                credential = await self._call(lambda: self._database.find_by_userhash(realm, name))
        except UserDatabaseError as error:
            log.error("user-database-failed", error=str(error))
            if (realm, name) not in self._cache:
                return
            credential = self._cache[realm, name][1]
        self._cache[realm, name] = (self._clock() + CACHE_SECONDS, credential)
        # One read again keeps its old place otherwise, and the busiest user is dropped first.
        self._cache.move_to_end((realm, name))
        if len(self._cache) > CACHE_SIZE:
            self._cache.popitem(last=False)

    async def load_secrets(self) -> None:
        """Read the shared secrets; after an error the old ones stay."""
        try:
            entries = await self._call(self._database.secrets)
        except UserDatabaseError as error:
            log.error("user-database-failed", error=str(error))
            return
        secrets: dict[str, list[str]] = {}
        for entry in entries:
            secrets.setdefault(entry.realm, []).append(entry.value)
        self._secrets = {realm: tuple(values) for realm, values in secrets.items()}

    async def run(self) -> None:
        """Keep the shared secrets fresh until cancelled."""
        while True:
            await trio.sleep(CACHE_SECONDS)
            await self.load_secrets()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    async def _call(self, read: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(read, limiter=self._limiter)
