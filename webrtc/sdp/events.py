"""What a change of descriptions means to the peer connection, as values in order."""

from __future__ import annotations

import enum
from typing import TypeAlias

import attrs

from ice_client.core import Candidate
from webrtc.sdp.parameters import DataParameters, Transport
from webrtc.sdp.transceiver import Transceiver


class SignalingState(enum.Enum):
    """Where the exchange stands (RFC 9429 §3.2), by W3C's names."""

    STABLE = "stable"
    HAVE_LOCAL_OFFER = "have-local-offer"
    HAVE_REMOTE_OFFER = "have-remote-offer"
    HAVE_LOCAL_PRANSWER = "have-local-pranswer"
    HAVE_REMOTE_PRANSWER = "have-remote-pranswer"
    CLOSED = "closed"


@attrs.frozen
class SignalingStateChanged:
    """The exchange stands elsewhere."""

    state: SignalingState


@attrs.frozen
class TransportChanged:
    """A transport is new, or other than it was: credentials, the peer's end, roles, sections.

    Compare with the one of the same id before: other `local_credentials` mean an ICE restart.
    Its remote candidates may have been seen before.
    """

    transport: Transport


@attrs.frozen
class TransportRemoved:
    """A transport is no longer used: bundled into another, rejected, or rolled back."""

    transport_id: int


@attrs.frozen
class RemoteCandidateAdded:
    """A trickled candidate of a transport; None: there will be no more."""

    transport_id: int
    candidate: Candidate | None


@attrs.frozen
class TransceiverAdded:
    """The peer's offer made a transceiver."""

    transceiver: Transceiver


@attrs.frozen
class TransceiverRemoved:
    """A rollback took away a transceiver that the peer's offer had made."""

    transceiver: Transceiver


@attrs.frozen
class TransceiverStopped:
    """A transceiver has stopped for good."""

    transceiver: Transceiver


@attrs.frozen
class ParametersChanged:
    """A transceiver's `send`, `receive` or `current_direction` is other than before."""

    transceiver: Transceiver


@attrs.frozen
class RemoteTrackAdded:
    """The peer sends on this transceiver from now on, or in other streams (W3C: track)."""

    transceiver: Transceiver
    stream_ids: tuple[str, ...]


@attrs.frozen
class RemoteTrackRemoved:
    """The peer no longer sends on this transceiver (W3C: the track is muted)."""

    transceiver: Transceiver
    stream_ids: tuple[str, ...]


@attrs.frozen
class DataChanged:
    """Data channels were agreed on, or on other terms; None: what asked for them was refused."""

    data: DataParameters | None


Event: TypeAlias = (
    SignalingStateChanged
    | TransportChanged
    | TransportRemoved
    | RemoteCandidateAdded
    | TransceiverAdded
    | TransceiverRemoved
    | TransceiverStopped
    | ParametersChanged
    | RemoteTrackAdded
    | RemoteTrackRemoved
    | DataChanged
)
