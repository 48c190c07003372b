"""One TCP or TLS client: its stream cut into messages, until it becomes a data connection.

A stream begins as a control connection (RFC 8656 §3.1: STUN messages and ChannelData).
A successful ConnectionBind turns it into a client data connection (RFC 6062 §5.4):
from the frame after that request on, its bytes belong to a peer.
"""

from __future__ import annotations

import enum
from typing import Protocol

import trio

from stun.framer import StreamFramer
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.transports.byte_stream import ByteStream
from turnd.transports.packet_road import PacketRoad
from turnd.transports.totals import CloseReason


class DataPeer(Protocol):
    """The peer's end of a data connection (RFC 6062)."""

    async def pump(self, client: ByteStream, first: bytes) -> None:
        """Move bytes both ways until it is over.

        Args:
            client: the client data connection; what is queued on it goes out first.
            first: what the client has sent after its ConnectionBind request.

        """

    def close(self) -> None:
        """Close the peer's connection; nothing happens if it is closed."""


class StreamState(enum.Enum):
    """What a client's stream is."""

    CONTROL = "control"
    DATA = "data"
    CLOSING = "closing"
    """Our direction has ended, or will once what is queued is out; what comes in is ignored."""
    CLOSED = "closed"


class StreamClient:
    """A connected client; the `ClientSink` that the datapath sends to.

    Args:
        stream: its connection, TLS handshake done.
        five_tuple: the client.

    """

    def __init__(self, stream: ByteStream, five_tuple: FiveTuple) -> None:
        self.stream = stream
        self.five_tuple = five_tuple
        self.state = StreamState.CONTROL
        self.last_message_at = trio.current_time()
        self.data_peer: DataPeer | None = None
        self._framing = trio.CancelScope()

    @property
    def takes_runs(self) -> bool:
        """Whether it is plain TCP.

        Some TLS clients (turnutils_uclient) lose what follows a message in its record.
        """
        return self.five_tuple.transport is Transport.TCP

    def send(self, data: bytes) -> bool:
        """Queue one message or more; False when the client is too far behind. Per packet."""
        return self.stream.send(data)

    def finish(self) -> None:
        """Close our direction once what is queued is out."""
        if self.state in {StreamState.CONTROL, StreamState.DATA}:
            self.state = StreamState.CLOSING
            self.stream.send_eof()

    def become_data_connection(self, peer: DataPeer) -> bool:
        """Hand every byte after the current frame to `peer`; False if it is too late for that."""
        if self.state is not StreamState.CONTROL:
            return False
        self.state = StreamState.DATA
        self.data_peer = peer
        # The reading task may be waiting, if the request was judged after a look into a
        # store: it has to come out and let the peer's bytes pass.
        self._framing.cancel()
        return True

    async def run(self, road: PacketRoad) -> CloseReason:
        """Read until the stream is over.

        Args:
            road: takes what comes, STUN messages and ChannelData.

        Raises:
            DecodeError: the stream holds something else; it can't be resynchronised.
            OSError: the connection broke.
            TlsError: the client broke the protocol.
            trio.ClosedResourceError: the stream was closed from this side.

        """
        framer = StreamFramer()
        late = b""
        with self._framing:
            while data := await self.stream.receive():
                if self.state is StreamState.DATA:
                    late = data  # it had arrived before the cancellation did
                    break
                if self.state is StreamState.CONTROL:
                    framer.feed(data)
                    self._deliver(framer, road)
        if self.data_peer is not None:
            await self.data_peer.pump(self.stream, framer.take_rest() + late)
            return CloseReason.RELAY_CLOSED
        return CloseReason.SERVER if self.state is StreamState.CLOSING else CloseReason.CLIENT

    def _deliver(self, framer: StreamFramer, road: PacketRoad) -> None:
        while self.state is StreamState.CONTROL:
            passed = framer.skip(lambda data: road.receive_run(data, self.five_tuple))
            frame = framer.next_frame()
            if frame is not None or passed:
                self.last_message_at = trio.current_time()
            if frame is None:
                return
            road.receive_from_client(frame, self.five_tuple)
