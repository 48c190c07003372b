"""The candidates of one generation, as they are found, for any number of readers."""

from __future__ import annotations

from collections.abc import Callable

import trio

from ice_client.core import Candidate


class CandidateLog:
    """Candidates, with their streams, as they were found, and whether there will be more.

    It holds what the core has taken, which is bounded.
    """

    def __init__(self) -> None:
        self.candidates: list[tuple[int, Candidate]] = []
        self.is_ended = False
        self._readers = trio.lowlevel.ParkingLot()
        self._tell: Callable[[Candidate | None], None] | None = None

    def add(self, stream: int, candidate: Candidate) -> None:
        """Tell every reader of a candidate."""
        self.candidates.append((stream, candidate))
        self._readers.unpark_all()
        if self._tell is not None and stream == 0:
            self._tell(candidate)

    def end(self) -> None:
        """Tell every reader that there are no more."""
        was_ended, self.is_ended = self.is_ended, True
        self._readers.unpark_all()
        if self._tell is not None and not was_ended:
            self._tell(None)

    def succeed(self) -> CandidateLog:
        """End it for another generation's log, with the same function to tell."""
        successor = CandidateLog()
        successor._tell, self._tell = self._tell, None
        self.end()
        return successor

    def hand_to(self, tell: Callable[[Candidate | None], None]) -> None:
        """Have a function told the first stream's candidates, and None after the last."""
        self._tell = tell
        for stream, candidate in self.candidates:
            if stream == 0:
                tell(candidate)
        if self.is_ended:
            tell(None)

    async def wait(self) -> None:
        """Return when there is more to read."""
        await self._readers.park()


class LocalCandidates:
    """An async iterator over a stream's part of a log; made by `Agent.local_candidates`."""

    def __init__(self, log: CandidateLog, stream: int) -> None:
        self._log = log
        self._stream = stream
        self._place = 0

    def __aiter__(self) -> LocalCandidates:
        return self

    async def __anext__(self) -> Candidate:
        await trio.lowlevel.checkpoint()
        while True:
            while self._place < len(self._log.candidates):
                stream, candidate = self._log.candidates[self._place]
                self._place += 1
                if stream == self._stream:
                    return candidate
            if self._log.is_ended:
                raise StopAsyncIteration
            await self._log.wait()
