"""What a foreign peer is told on its command line, as one JSON object.

Only the standard library is used here: libnice's peer runs in Debian's Python.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

LIFETIME = 30.0
"""Seconds after which a peer ends by itself, so that none stays behind."""


@dataclass(frozen=True)
class PeerOptions:
    """How a peer is to be.

    Attributes:
        library: whose agent, where one program has several.
        controlling: its role.
        address: the only one of the host's that it should use.
        transport: "udp" or "tcp", of host candidates.
        trickle: tell candidates as they come, not all at once.
        lite: be an ICE-lite agent.
        relay_port: of the TURN server on `address` through which alone to connect; 0 for none.
        username: for the TURN server.
        password: for the TURN server.

    """

    library: str
    controlling: bool
    address: str
    transport: str
    trickle: bool
    lite: bool
    relay_port: int
    username: str
    password: str

    def as_json(self) -> str:
        """Write it as an argument."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> PeerOptions:
        """Read an argument."""
        return cls(**json.loads(text))
