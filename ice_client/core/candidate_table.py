"""The candidates of one generation, ours and the peer's, with those that checks brought to light.

RFC 8445 §5.1.3 (redundant ones), §7.2.5.3.1 and §7.3.1.3 (peer-reflexive ones), RFC 8838
(trickling). Every list is bounded.
"""

from __future__ import annotations

import attrs

from ice_client.core.candidate import (
    Base,
    Candidate,
    CandidateType,
    peer_reflexive_priority,
)
from stun import Address

MAX_LOCAL_CANDIDATES = 200
"""Of one stream, peer-reflexive ones included; a host has a few dozen at the very most."""


@attrs.define(slots=True)
class _Stream:
    local: list[Candidate] = attrs.Factory(list)
    remote: list[Candidate] = attrs.Factory(list)


class CandidateTable:
    """Candidates by stream.

    Args:
        streams: how many there are.
        max_remote: how many candidates of the peer's to hold, per stream.

    Attributes:
        local_ended: no more of ours come.
        remote_ended: no more of the peer's are signalled.

    """

    def __init__(self, streams: int, max_remote: int) -> None:
        self._streams = [_Stream() for _ in range(streams)]
        self._max_remote = max_remote
        self._base_streams: dict[Base, int] = {}
        self.local_ended = False
        self.remote_ended = False

    def local(self, stream: int) -> list[Candidate]:
        """Return ours."""
        return self._streams[stream].local

    def remote(self, stream: int) -> list[Candidate]:
        """Return the peer's."""
        return self._streams[stream].remote

    def stream_of(self, base: Base) -> int | None:
        """Return whose stream's candidates have that base; None if none do."""
        return self._base_streams.get(base)

    def sender_of(self, base: Base) -> tuple[int, int] | None:
        """Return the stream and component that send from `base`."""
        stream = self._base_streams.get(base)
        sender = None if stream is None else self.sender(stream, base)
        return None if stream is None or sender is None else (stream, sender.component)

    def add_local(self, stream: int, candidate: Candidate) -> bool:
        """Take one of ours; return False if it is redundant, comes too late or is too much."""
        held = self._streams[stream].local
        if self.local_ended or len(held) >= MAX_LOCAL_CANDIDATES:
            return False
        redundant = self.find_local(stream, candidate.base, candidate.address)
        if redundant is not None:
            # RFC 8445 §5.1.3: the one of lower priority goes. One that checks found first
            # gives way to the gathered one, whose foundation and type the peer was told.
            if redundant.type is not CandidateType.PEER_REFLEXIVE:
                return False
            held.remove(redundant)
        held.append(candidate)
        self._base_streams[candidate.base] = stream
        return True

    def find_local(self, stream: int, base: Base, address: Address) -> Candidate | None:
        """Return ours of that base and transport address."""
        return next(
            (
                one
                for one in self._streams[stream].local
                if one.address == address and one.base == base
            ),
            None,
        )

    def sender(self, stream: int, base: Base) -> Candidate | None:
        """Return our candidate that stands for sending from `base`.

        The host or relayed candidate that it is; a reflexive one where policy kept that one
        from being a candidate.
        """
        of_base = (one for one in self._streams[stream].local if one.base == base)
        return max(of_base, key=lambda one: one.priority, default=None)

    def learn_local(self, stream: int, sender: Candidate, mapped: Address) -> Candidate:
        """Make the peer-reflexive candidate that a check's answer tells of."""
        candidate = Candidate(
            # RFC 8445 §5.1.1.3: one foundation for a type, a base's IP and a transport.
            foundation=f"p{sender.foundation}"[:32],
            component=sender.component,
            transport=sender.transport,
            priority=peer_reflexive_priority(sender),
            address=mapped,
            type=CandidateType.PEER_REFLEXIVE,
            base_address=sender.base_address,
            related_address=sender.base_address,
        )
        held = self._streams[stream].local
        if len(held) < MAX_LOCAL_CANDIDATES:
            held.append(candidate)
        return candidate

    def find_remote(self, stream: int, candidate: Candidate) -> Candidate | None:
        """Return the peer's candidate with that component, transport and address."""
        wanted = candidate.component, candidate.transport, candidate.address
        return next(
            (
                one
                for one in self._streams[stream].remote
                if (one.component, one.transport, one.address) == wanted
            ),
            None,
        )

    def add_remote(self, stream: int, candidate: Candidate) -> bool:
        """Take one of the peer's; return False if there are too many."""
        held = self._streams[stream].remote
        if len(held) >= self._max_remote:
            return False
        held.append(candidate)
        return True

    def replace_remote(self, stream: int, old: Candidate, new: Candidate) -> None:
        """Put what was signalled in the place of what was peer-reflexive."""
        held = self._streams[stream].remote
        held[held.index(old)] = new

    def unused_foundation(self, stream: int) -> str:
        """Return a foundation that none of the peer's candidates has (RFC 8445 §7.3.1.3)."""
        used = {one.foundation for one in self._streams[stream].remote}
        number = len(used)
        while f"p{number}" in used:
            number += 1
        return f"p{number}"

    def remove_base(self, base: Base) -> None:
        """Forget our candidates of that base."""
        stream = self._base_streams.pop(base, None)
        if stream is not None:
            held = self._streams[stream]
            held.local = [one for one in held.local if one.base != base]
