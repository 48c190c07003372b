"""The part of the datapath that client transports use (see `turnd.datapath.interface`)."""

from __future__ import annotations

from typing import Protocol

from turnd.core.five_tuple import FiveTuple
from turnd.datapath.interface import ClientSink


class PacketRoad(Protocol):
    """Where messages of TCP, TLS and DTLS clients go, and come from by the sinks attached."""

    def attach(self, five_tuple: FiveTuple, sink: ClientSink) -> None:
        """Say how to reach a client."""

    def detach(self, five_tuple: FiveTuple) -> None:
        """Forget a client; nothing happens if it is not known."""

    def receive_from_client(self, data: bytes, five_tuple: FiveTuple) -> None:
        """Take one datagram or one frame of an attached client."""

    def receive_run(self, data: memoryview, five_tuple: FiveTuple) -> int:
        """Take the packets that a client's stream begins with; return how many bytes they are."""

    def send_to_client(self, data: bytes, five_tuple: FiveTuple) -> bool:
        """Send a datagram to a UDP client, as which DTLS records travel; False if it could not."""
