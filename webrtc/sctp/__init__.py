"""SCTP for data channels, without I/O: RFC 9260 over DTLS, with RFC 3758, 6525, 8260 and 8832.

A peer connection holds one `DataChannels` and moves its packets; `Association` is what lies
below, for those who want streams and messages.
"""

from webrtc.sctp.association import Association
from webrtc.sctp.channel import (
    BufferedAmountLow,
    ChannelClosed,
    ChannelClosing,
    ChannelOpened,
    ChannelOptions,
    ChannelState,
    DataChannel,
    MessagesReady,
)
from webrtc.sctp.channels import DEFAULT_MAX_MESSAGE_SIZE, ChannelEvent, DataChannels
from webrtc.sctp.dcep import Ppid, Priority
from webrtc.sctp.errors import (
    MessageTooLongError,
    NoStreamError,
    SctpDecodeError,
    SctpError,
    SctpStateError,
    SendBufferFullError,
)
from webrtc.sctp.events import (
    AssociationState,
    Closed,
    CloseReason,
    Established,
    Event,
    IncomingStreamsReset,
    OutgoingStreamsReset,
    ResetAsked,
    Restarted,
)
from webrtc.sctp.outgoing import RELIABLE, Reliability
from webrtc.sctp.settings import SCTP_PORT, Settings
from webrtc.sctp.statistics import Statistics

__all__ = [
    "DEFAULT_MAX_MESSAGE_SIZE",
    "RELIABLE",
    "SCTP_PORT",
    "Association",
    "AssociationState",
    "BufferedAmountLow",
    "ChannelClosed",
    "ChannelClosing",
    "ChannelEvent",
    "ChannelOpened",
    "ChannelOptions",
    "ChannelState",
    "CloseReason",
    "Closed",
    "DataChannel",
    "DataChannels",
    "Established",
    "Event",
    "IncomingStreamsReset",
    "MessageTooLongError",
    "MessagesReady",
    "NoStreamError",
    "OutgoingStreamsReset",
    "Ppid",
    "Priority",
    "Reliability",
    "ResetAsked",
    "Restarted",
    "SctpDecodeError",
    "SctpError",
    "SctpStateError",
    "SendBufferFullError",
    "Settings",
    "Statistics",
]
