"""How an association begins, also when both sides begin it, or begin it again (RFC 9260 §5)."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from webrtc.sctp.chunks import ChunkType, Init, ParameterChunk, PlainChunk
from webrtc.sctp.cookie import KEY_SIZE, StateCookie
from webrtc.sctp.events import AssociationState, Closed, CloseReason, Restarted
from webrtc.sctp.handshake import (
    Offer,
    RefusedError,
    make_init,
    make_init_ack,
    own_features,
    read_offer,
)
from webrtc.sctp.packet import PacketWriter, RawChunk
from webrtc.sctp.parameters import CauseCode, Parameter
from webrtc.sctp.tcb import Tcb

if TYPE_CHECKING:
    from webrtc.sctp.control import Control

_State = AssociationState
_COOKIE_ACK = PlainChunk(ChunkType.COOKIE_ACK).encode()
_MAX_STALE = 3


class Opening:
    """INIT, INIT ACK, COOKIE ECHO and COOKIE ACK, and T1 over them.

    One tag and one first TSN serve every INIT and INIT ACK until there is an association: they
    are random, the peer is who DTLS says it is, and when both sides send INIT every cookie is
    then for the same association, whichever arrives first.

    Args:
        control: of the association.
        random_bytes: for tags, TSNs and the key of our cookies.

    Attributes:
        tag: what the peer must put into its packets.
        deadline: when T1 runs out, `math.inf` if it does not run.

    """

    def __init__(self, control: Control, random_bytes: Callable[[int], bytes]) -> None:
        self._control = control
        self._random_bytes = random_bytes
        self._key = random_bytes(KEY_SIZE)
        self.tag = self._draw() or 1
        self._tsn = self._draw()
        self._own = own_features(control.settings)
        self._packet = b""
        self._retransmits = 0
        self._timeout = 0.0
        self._sent_at = 0.0
        self._stale = 0
        self.deadline = math.inf

    def start(self, now: float) -> None:
        """Send an INIT."""
        control = self._control
        control.state = _State.COOKIE_WAIT
        settings = control.settings
        control.expected = PacketWriter(settings.remote_port, settings.local_port, self.tag)
        init = make_init(settings, self.tag, self._tsn).encode()
        self._begin_t1(PacketWriter(settings.local_port, settings.remote_port, 0).write(init), now)

    def stop_timer(self) -> None:
        """Stop T1."""
        self.deadline = math.inf
        self._packet = b""

    def on_timeout(self, now: float) -> None:
        """Send INIT or COOKIE ECHO again (§5.1 A, §4 step 3)."""
        control = self._control
        self._retransmits += 1
        if self._retransmits > control.settings.max_init_retransmits:
            control.close(Closed(CloseReason.NO_ANSWER, "to INIT or COOKIE ECHO"))
            return
        control.datagrams.append(self._packet)
        self._timeout = min(2 * self._timeout, control.settings.rto_max)
        self.deadline = now + self._timeout

    def on_init(self, chunk: RawChunk, now: float) -> None:
        """Answer an INIT, in any state, keeping nothing (§5.1.3, §5.2.1, §5.2.2)."""
        control = self._control
        init = Init.decode(chunk)
        if not init.initiate_tag:
            control.statistics.ignored += 1
            return
        if control.is_over:
            cause = Parameter(CauseCode.OUT_OF_RESOURCE)
            abort = ParameterChunk(ChunkType.ABORT, (cause,)).encode()
            control.send_apart(init.initiate_tag, abort)
            return
        if control.state is _State.SHUTDOWN_ACK_SENT:
            control.teardown.request(now)
            return
        try:
            offer = read_offer(init, self._own)
        except RefusedError as refusal:
            abort = ParameterChunk(ChunkType.ABORT, (refusal.cause,)).encode()
            control.send_apart(init.initiate_tag, abort)
            return
        tcb = control.tcb
        tag, tsn, ties = self.tag, self._tsn, (0, 0)
        if tcb is not None:
            ties = (self.tag, tcb.peer_tag)
            if control.state is not _State.COOKIE_ECHOED:
                # §5.2.2: the peer may have restarted, which only its cookie will prove.
                tag, tsn = self._draw() or 1, self._draw()
        cookie = StateCookie(
            now,
            tag,
            offer.tag,
            tsn,
            offer.tsn,
            offer.a_rwnd,
            offer.outbound_streams,
            offer.inbound_streams,
            offer.features,
            *ties,
        )
        # pion/sctp 1.8.6 drops a chunk with a parameter unknown to it, against §3.2.1; its own
        # INIT can still be answered, and RFC 9653 is no use but with a peer that knows it.
        zero_checksum = offer.features.zero_checksum
        own = make_init(attrs.evolve(control.settings, zero_checksum=zero_checksum), tag, tsn)
        answer = make_init_ack(own, cookie.seal(self._key), offer.unrecognized)
        control.send_apart(offer.tag, answer.encode())

    def on_init_ack(self, chunk: RawChunk, now: float) -> bool:
        """Send the cookie back; a second INIT ACK is dropped (§5.2.3)."""
        control = self._control
        if control.state is not _State.COOKIE_WAIT:
            return False
        init_ack = Init.decode(chunk)
        try:
            offer = read_offer(init_ack, self._own)
        except RefusedError as refusal:
            if init_ack.initiate_tag:
                abort = ParameterChunk(ChunkType.ABORT, (refusal.cause,)).encode()
                control.send_apart(init_ack.initiate_tag, abort)
            control.close(Closed(CloseReason.PROTOCOL_VIOLATION, "INIT ACK", refusal.cause.type))
            return True
        self._create_tcb(offer)
        control.state = _State.COOKIE_ECHOED
        chunks = PlainChunk(ChunkType.COOKIE_ECHO, offer.cookie).encode()
        if offer.unrecognized:
            causes = b"".join(each.encode() for each in offer.unrecognized)
            cause = Parameter(CauseCode.UNRECOGNIZED_PARAMETERS, causes)
            chunks += ParameterChunk(ChunkType.ERROR, (cause,)).encode()
        if control.tcb is not None:
            self._begin_t1(control.tcb.writer.write(chunks), now)
        return True

    def on_cookie_echo(self, sealed: bytes, tag: int, now: float) -> bool:
        """Take a cookie of ours back; return whether there is an association by it (§5.1.5)."""
        control = self._control
        cookie = StateCookie.open(sealed, self._key)
        if cookie is None or tag != cookie.local_tag or control.is_over:
            control.statistics.ignored += 1
            return False
        tcb = control.tcb
        is_ours = cookie.local_tag == self.tag
        is_theirs = tcb is not None and cookie.peer_tag == tcb.peer_tag
        if not (is_ours and is_theirs) and self._is_stale(cookie, now):
            return False
        if tcb is None or (is_ours and not is_theirs and control.state is _State.COOKIE_ECHOED):
            # The first, or §5.2.4 B: both began, and the peer's INIT is newer than its INIT ACK.
            if not is_ours:
                control.statistics.ignored += 1
                return False
            self._accept(cookie)
        elif is_ours and is_theirs:
            # §5.2.4 D: both began, or our COOKIE ACK was lost.
            pass
        elif (cookie.local_tie_tag, cookie.peer_tie_tag) == (self.tag, tcb.peer_tag):
            if not self._restart(cookie, now):
                return False
        else:
            # §5.2.4 C, and what fits no row of the table.
            control.statistics.ignored += 1
            return False
        if control.state in (_State.CLOSED, _State.COOKIE_WAIT, _State.COOKIE_ECHOED):
            control.establish(now)
        control.put(_COOKIE_ACK)
        return True

    def on_cookie_ack(self, now: float) -> bool:
        """Enter ESTABLISHED."""
        control = self._control
        if control.state is not _State.COOKIE_ECHOED:
            return False
        if not self._retransmits:
            control.rto.measured(now - self._sent_at)
        control.establish(now)
        return True

    def on_stale_cookie(self, now: float) -> bool:
        """Begin again, a few times (§5.2.6)."""
        control = self._control
        if control.state is not _State.COOKIE_ECHOED:
            return False
        self._stale += 1
        if self._stale > _MAX_STALE:
            control.close(Closed(CloseReason.NO_ANSWER, "cookies are stale"))
            return True
        control.tcb = None
        self.start(now)
        return True

    def _restart(self, cookie: StateCookie, now: float) -> bool:
        """Begin anew with a peer that lost its state (§5.2.4 A, §5.2.4.1)."""
        control = self._control
        if control.state is _State.SHUTDOWN_ACK_SENT:
            cause = Parameter(CauseCode.COOKIE_WHILE_SHUTTING_DOWN)
            error = ParameterChunk(ChunkType.ERROR, (cause,)).encode()
            control.send_apart(cookie.peer_tag, error)
            control.teardown.request(now)
            return False
        control.queue.clear()
        control.teardown.stop()
        control.events.append(Restarted())
        control.state = _State.CLOSED
        self.tag, self._tsn = cookie.local_tag, cookie.local_tsn
        self._accept(cookie)
        return True

    def _accept(self, cookie: StateCookie) -> None:
        offer = Offer(
            cookie.peer_tag,
            cookie.peer_tsn,
            cookie.peer_a_rwnd,
            cookie.outbound_streams,
            cookie.inbound_streams,
            cookie.features,
            (),
            b"",
        )
        self._create_tcb(offer)

    def _create_tcb(self, offer: Offer) -> None:
        control = self._control
        settings = control.settings
        control.expected = PacketWriter(settings.remote_port, settings.local_port, self.tag)
        control.tcb = Tcb.create(
            settings,
            control.queue,
            control.rto,
            control.emit,
            peer_tag=offer.tag,
            local_tsn=self._tsn,
            peer_tsn=offer.tsn,
            peer_a_rwnd=offer.a_rwnd,
            outbound_streams=offer.outbound_streams,
            inbound_streams=offer.inbound_streams,
            features=offer.features,
        )
        control.write = control.tcb.writer.write
        control.set_packet_size(control.packet_size)

    def _is_stale(self, cookie: StateCookie, now: float) -> bool:
        age = now - cookie.created_at - self._control.settings.cookie_lifetime
        if age <= 0:
            return False
        staleness = struct.pack("!I", min(int(age * 1e6), 0xFFFFFFFF))
        cause = Parameter(CauseCode.STALE_COOKIE, staleness)
        error = ParameterChunk(ChunkType.ERROR, (cause,)).encode()
        self._control.send_apart(cookie.peer_tag, error)
        return True

    def _begin_t1(self, packet: bytes, now: float) -> None:
        self._packet = packet
        self._retransmits = 0
        self._timeout = self._control.settings.rto_initial
        self._sent_at = now
        self.deadline = now + self._timeout
        self._control.datagrams.append(packet)

    def _draw(self) -> int:
        return int.from_bytes(self._random_bytes(4), "big")
