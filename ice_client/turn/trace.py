"""What an observer of a session sees, stage by stage, each with its time."""

from __future__ import annotations

import enum
from collections.abc import Callable

import attrs

from ice_client.turn.outputs import Exchange
from stun import Address


class Stage(enum.Enum):
    """What comes before a link can carry messages."""

    RESOLVE = "resolve"
    CONNECT = "connect"
    TLS_HANDSHAKE = "tls-handshake"
    DTLS_HANDSHAKE = "dtls-handshake"


@attrs.frozen(slots=True, kw_only=True)
class TlsDetails:
    """What a TLS or DTLS handshake has agreed on.

    Attributes:
        version: ``"TLSv1.3"``, ``"DTLSv1.2"``.
        cipher: the suite's name.
        alpn: the protocol chosen (RFC 7443), None if none was.
        certificate: the server's own, DER.

    """

    version: str
    cipher: str
    alpn: str | None
    certificate: bytes | None = attrs.field(repr=False)


@attrs.frozen(slots=True, kw_only=True)
class StageEnded:
    """A stage of making the link ended.

    Attributes:
        stage: which.
        remote: the server's address, once known.
        started_at: monotonic seconds.
        ended_at: monotonic seconds.
        tls: of a handshake that ended well.
        addresses: of a resolution that ended well.
        error: what it ended with; None for success.

    """

    stage: Stage
    remote: Address | None
    started_at: float
    ended_at: float
    tls: TlsDetails | None = None
    addresses: tuple[Address, ...] = ()
    error: BaseException | None = None


TraceEvent = StageEnded | Exchange
"""`Exchange` has one request and its answer: Binding, Allocate, CreatePermission, …"""

Observer = Callable[[TraceEvent], None]
"""Called from the session's tasks as things happen. It must not block, and not raise."""


def observe_nothing(_event: TraceEvent) -> None:
    """Be the observer where nobody looks."""
