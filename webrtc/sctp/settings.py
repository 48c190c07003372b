"""What can be chosen about an association, with RFC 9260 §16's names where it has them."""

from __future__ import annotations

import attrs

SCTP_PORT = 5000
"""What WebRTC endpoints use unless their `a=sctp-port` differs (RFC 8841 §5)."""
MAX_STREAMS = 65535
MIN_PATH_MTU = 576
_KIB = 1024


@attrs.frozen(kw_only=True)
class Settings:
    """An endpoint's parameters. Times are seconds, sizes bytes.

    Attributes:
        local_port: ours.
        remote_port: the peer's, from its `a=sctp-port`.
        path_mtu: the largest UDP payload sent. 1200 and the headers of IPv6, UDP and a TURN
            channel stay below IPv6's least MTU of 1280.
        lower_overhead: what DTLS adds to a packet: 37 with AES-GCM.
        max_message_size: the longest message taken, for the SDP (RFC 8841 §6).
        receive_buffer: what a_rwnd offers; messages count until the application takes them.
        send_buffer: what may be queued in all channels together.
        rto_initial: before any measurement. RFC 9260 §16 says 1 s for the whole Internet; DTLS
            has just gone over this very path.
        rto_min: RFC 9260's 1 s is five times any peer's delayed SACK; this is just above it.
        rto_max: an endpoint that moved networks is heard again within that time.
        rto_spread: at least so much is added to the smoothed round trip, for the peer's SACK
            delay of up to 200 ms.
        sack_delay: how long one packet may wait for a second before it is acknowledged.
        max_init_retransmits: of INIT and COOKIE ECHO each.
        max_retransmits: in a row, before the peer counts as gone.
        max_burst: packets sent at once beyond what an incoming SACK released.
        initial_window: packets (RFC 6928 says 10, and browsers do it; RFC 9260 says 4).
        heartbeat_interval: between HEARTBEATs on an idle path; ICE's consent is quicker.
        cookie_lifetime: how long a peer may keep a state cookie.
        interleaving: offer I-DATA (RFC 8260); used if the peer offers it too.
        zero_checksum: leave integrity to DTLS if the peer accepts that (RFC 9653).

    """

    local_port: int = SCTP_PORT
    remote_port: int = SCTP_PORT
    path_mtu: int = attrs.field(default=1200, validator=attrs.validators.ge(MIN_PATH_MTU))
    lower_overhead: int = attrs.field(default=37, validator=attrs.validators.ge(0))
    max_message_size: int = attrs.field(default=256 * _KIB, validator=attrs.validators.gt(0))
    receive_buffer: int = attrs.field(default=2048 * _KIB)
    send_buffer: int = attrs.field(default=16384 * _KIB, validator=attrs.validators.gt(0))
    rto_initial: float = attrs.field(default=0.5, validator=attrs.validators.gt(0))
    rto_min: float = attrs.field(default=0.25, validator=attrs.validators.gt(0))
    rto_max: float = attrs.field(default=8.0, validator=attrs.validators.gt(0))
    rto_spread: float = 0.22
    sack_delay: float = attrs.field(default=0.04, validator=attrs.validators.le(0.5))
    max_init_retransmits: int = 8
    max_retransmits: int = 10
    max_burst: int = attrs.field(default=4, validator=attrs.validators.gt(0))
    initial_window: int = attrs.field(default=10, validator=attrs.validators.gt(0))
    heartbeat_interval: float = attrs.field(default=30.0, validator=attrs.validators.gt(0))
    cookie_lifetime: float = 60.0
    interleaving: bool = True
    zero_checksum: bool = True

    @receive_buffer.validator
    def _holds_a_message(self, _attribute: attrs.Attribute[int], value: int) -> None:
        # A message that does not fit would close the window on its own rest.
        if value < self.max_message_size:
            raise ValueError("receive_buffer must hold a message of max_message_size")

    @property
    def packet_size(self) -> int:
        """The largest SCTP packet, a multiple of four as packets are."""
        return packet_size(self.path_mtu, self.lower_overhead)


def packet_size(path_mtu: int, lower_overhead: int) -> int:
    """Return the largest SCTP packet that fits a path."""
    return (path_mtu - lower_overhead) & ~3
