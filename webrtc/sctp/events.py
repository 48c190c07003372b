"""What an association tells its owner; the whole vocabulary."""

from __future__ import annotations

import enum

import attrs


class AssociationState(enum.Enum):
    """RFC 9260 §4's states; SHUTDOWN-... as they are spelled there."""

    CLOSED = "closed"
    COOKIE_WAIT = "cookie-wait"
    COOKIE_ECHOED = "cookie-echoed"
    ESTABLISHED = "established"
    SHUTDOWN_PENDING = "shutdown-pending"
    SHUTDOWN_SENT = "shutdown-sent"
    SHUTDOWN_RECEIVED = "shutdown-received"
    SHUTDOWN_ACK_SENT = "shutdown-ack-sent"


class CloseReason(enum.Enum):
    """Why an association ended."""

    SHUTDOWN = "both sides shut it down"
    ABORTED_LOCALLY = "aborted here"
    ABORTED_BY_PEER = "aborted by the peer"
    PROTOCOL_VIOLATION = "the peer broke the protocol"
    NO_ANSWER = "the peer does not answer"


@attrs.frozen(slots=True)
class Established:
    """Data can be sent.

    Attributes:
        outbound_streams: identifiers below this can be sent on.
        inbound_streams: identifiers below this can arrive.

    """

    outbound_streams: int
    inbound_streams: int


@attrs.frozen(slots=True)
class Restarted:
    """The peer lost its state and began again: what was under way is gone (RFC 9260 §5.2.4.1)."""


@attrs.frozen(slots=True)
class Closed:
    """The association has ended.

    Attributes:
        reason: in kind.
        detail: what the peer said, or what it did.
        cause_code: SCTP's, where an ABORT carried one.

    """

    reason: CloseReason
    detail: str = ""
    cause_code: int | None = None


@attrs.frozen(slots=True)
class IncomingStreamsReset:
    """The peer started streams over, having sent everything (RFC 6525 §5.2.2).

    Attributes:
        stream_ids: None if it is all of them.

    """

    stream_ids: tuple[int, ...] | None


@attrs.frozen(slots=True)
class OutgoingStreamsReset:
    """What `reset_streams` asked for is done, or was refused; streams can be used anew if done."""

    stream_ids: tuple[int, ...]
    done: bool


@attrs.frozen(slots=True)
class ResetAsked:
    """The peer wants us to reset streams; it is under way (RFC 6525 §5.2.3)."""

    stream_ids: tuple[int, ...]


Event = Established | Restarted | Closed | IncomingStreamsReset | OutgoingStreamsReset | ResetAsked
