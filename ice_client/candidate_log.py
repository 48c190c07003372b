"""The candidates of one generation, as they are found, for any number of readers."""

from __future__ import annotations

import trio

from ice_client.core import Candidate


class CandidateLog:
    """Candidates, with their streams, as they were found, and whether there will be more.

    It holds what the core has taken, which is bounded.
    """

    def __init__(self) -> None:
        self.candidates: list[tuple[int, Candidate]] = []
        self.is_ended = False
        self._news = trio.Event()

    def add(self, stream: int, candidate: Candidate) -> None:
        """Tell every reader of a candidate."""
        self.candidates.append((stream, candidate))
        self._wake()

    def end(self) -> None:
        """Tell every reader that there are no more."""
        self.is_ended = True
        self._wake()

    async def wait(self) -> None:
        """Return when there is more to read."""
        await self._news.wait()

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()


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
