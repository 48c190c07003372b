"""The transmission control block: what there is once the peer is known (RFC 9260 §14)."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from webrtc.sctp.cookie import Features
from webrtc.sctp.events import Event
from webrtc.sctp.inbound import Inbound
from webrtc.sctp.outbound import Outbound
from webrtc.sctp.packet import PacketWriter
from webrtc.sctp.reconfiguration import Reconfiguration
from webrtc.sctp.rto import RetransmissionTimeout
from webrtc.sctp.send_queue import SendQueue
from webrtc.sctp.settings import Settings


@attrs.define(eq=False, kw_only=True)
class Tcb:
    """One association's state.

    Attributes:
        peer_tag: in our packets.
        outbound_streams: how many we may send on.
        inbound_streams: how many the peer may.
        features: that both sides have.
        writer: makes our packets.

    """

    peer_tag: int
    outbound_streams: int
    inbound_streams: int
    features: Features
    writer: PacketWriter
    inbound: Inbound
    outbound: Outbound
    reconfiguration: Reconfiguration

    @classmethod
    def create(
        cls,
        settings: Settings,
        queue: SendQueue,
        rto: RetransmissionTimeout,
        emit: Callable[[Event], None],
        *,
        peer_tag: int,
        local_tsn: int,
        peer_tsn: int,
        peer_a_rwnd: int,
        outbound_streams: int,
        inbound_streams: int,
        features: Features,
    ) -> Tcb:
        """Return a fresh one, from what two INITs or a cookie say."""
        queue.interleaving = features.interleaving
        inbound = Inbound(settings, peer_tsn, inbound_streams, features.interleaving)
        outbound = Outbound(
            settings, queue, rto, local_tsn, peer_a_rwnd, features.partial_reliability
        )
        return cls(
            peer_tag=peer_tag,
            outbound_streams=outbound_streams,
            inbound_streams=inbound_streams,
            features=features,
            writer=PacketWriter(settings.local_port, settings.remote_port, peer_tag),
            inbound=inbound,
            outbound=outbound,
            reconfiguration=Reconfiguration(rto, inbound, outbound, peer_tsn, emit),
        )
