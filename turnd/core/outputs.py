"""What the core wants done or told: values, in the order they happened.

`Transmit`, `LoadCredential`, `CloseClient` and `StepFailed` are for the shell to carry
out; the others are events for logs and metrics.
"""

from __future__ import annotations

import attrs

from stun import Address
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.core.tables import RelayedAddress, Traffic


@attrs.frozen(slots=True)
class Transmit:
    """Send a message to a client.

    Attributes:
        data: the whole message.
        five_tuple: the client, and the server address to send from.
        source: send from this other UDP listener instead (CHANGE-REQUEST, RFC 5780).
        destination: send there instead (RESPONSE-PORT, RFC 5780).

    """

    data: bytes
    five_tuple: FiveTuple
    source: Address | None = None
    destination: Address | None = None


@attrs.frozen(slots=True)
class LoadCredential:
    """Await `CredentialSource.load`, then hand the same request in again."""

    data: bytes
    five_tuple: FiveTuple
    realm: str
    username: str | None
    userhash: bytes | None


@attrs.frozen(slots=True)
class CloseClient:
    """Close a client's stream or DTLS session once what was transmitted to it is out."""

    five_tuple: FiveTuple


@attrs.frozen(slots=True)
class RequestAnswered:
    """A request had an answer: 0 for success, else the STUN error code.

    Attributes:
        username: who asked; with 401 and 438 who the request says that it is.

    """

    five_tuple: FiveTuple
    method: int
    error_code: int
    realm: str
    reason: str = ""
    username: str = ""


@attrs.frozen(slots=True)
class RequestDropped:
    """A message had no answer.

    Attributes:
        reason: a short fixed word, fit for a metric's label: ``"malformed"``,
            ``"rate-limited"``, ``"unknown-method"``, ``"unexpected-class"``, …

    """

    five_tuple: FiveTuple
    reason: str


@attrs.frozen(slots=True)
class AllocationOpened:
    """An allocation began."""

    allocation: int
    five_tuple: FiveTuple
    username: str
    realm: str
    relayed: tuple[RelayedAddress, ...]
    lifetime: int
    tcp: bool = False

    @property
    def opened_over(self) -> Transport:
        """The transport the client came over."""
        return self.five_tuple.transport


@attrs.frozen(slots=True)
class AllocationRefreshed:
    """An allocation lives on for `lifetime` seconds."""

    allocation: int
    five_tuple: FiveTuple
    lifetime: int


@attrs.frozen(slots=True)
class AllocationMoved:
    """A client came back with its mobility ticket from another 5-tuple (RFC 8016)."""

    allocation: int
    five_tuple: FiveTuple
    old_five_tuple: FiveTuple


@attrs.frozen(slots=True)
class AllocationClosed:
    """An allocation ended.

    Attributes:
        reason: ``"refresh-zero"``, ``"expired"``, ``"client-gone"``, ``"shutdown"``,
            ``"failed"``.
        duration: seconds it lived.
        opened_over: the transport its client came over first; it may have moved since.

    """

    allocation: int
    five_tuple: FiveTuple
    username: str
    realm: str
    reason: str
    duration: float
    traffic: Traffic
    opened_over: Transport
    tcp: bool = False


@attrs.frozen(slots=True)
class PermissionInstalled:
    """A permission or a channel (`channel` is its number) was installed or refreshed."""

    allocation: int
    five_tuple: FiveTuple
    peer: Address
    channel: int | None = None


@attrs.frozen(slots=True)
class PeerDenied:
    """A peer address was refused by policy; `rule` names the range and the key that allows it."""

    five_tuple: FiveTuple
    peer: Address
    rule: str


@attrs.frozen(slots=True)
class PeerConnection:
    """A TCP allocation's peer connection changed state (RFC 6062).

    Attributes:
        state: ``"connected"``, ``"failed"``, ``"arrived"``, ``"bound"``, ``"timed-out"``.

    """

    allocation: int
    connection_id: int
    peer: Address
    state: str


@attrs.frozen(slots=True)
class StepFailed:
    """An error of our own, for the log: what it was part of went on without that step."""

    error: Exception


Output = (
    Transmit
    | LoadCredential
    | CloseClient
    | StepFailed
    | RequestAnswered
    | RequestDropped
    | AllocationOpened
    | AllocationRefreshed
    | AllocationMoved
    | AllocationClosed
    | PermissionInstalled
    | PeerDenied
    | PeerConnection
)
