"""FEC with Chromium: what a call loses and nobody sends again comes back by it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio

from tests.browsers.browser import Browser
from tests.interop.veth import Link
from tests.webrtc.browser.far_end import TIMEOUT, offer
from tests.webrtc.browser.pages import chromium, open_pair
from tests.webrtc.peer.media import pictures
from tests.webrtc.robust.running_call import transport_of
from webrtc import PeerConnection
from webrtc.rtp import fec_control
from webrtc.rtp.packet import is_rtcp

LOST = 10
"""Every so many packets one is lost."""
ENOUGH_FEC = 0.2
LOSSES = 12


class BadLine:
    """Loses every tenth media packet of a peer; `sends_again` lets retransmissions pass."""

    def __init__(self, peer: PeerConnection, patch: pytest.MonkeyPatch) -> None:
        transport = transport_of(peer)
        self.lost = 0
        self.sends_again = True
        self._rtx_ssrc = peer.transceivers[0].sender.sources.rtx_ssrc
        self._sent = 0
        self._send: Callable[[bytes], None] = transport._send
        patch.setattr(transport, "_send", self.send)

    def send(self, datagram: bytes) -> None:
        is_rtp = 128 <= datagram[0] < 192 and not is_rtcp(datagram)
        if is_rtp and int.from_bytes(datagram[8:12]) == self._rtx_ssrc:
            if self.sends_again:
                self._send(datagram)
            return
        self._sent += is_rtp
        if is_rtp and self._sent % LOST == 0:
            self.lost += 1
        else:
            self._send(datagram)


@chromium
async def test_what_is_lost_and_not_sent_again_comes_back_by_fec(
    browser: Browser, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The way to a browser on the same machine is too short for FEC, otherwise.
    monkeypatch.setattr(fec_control, "SHORT_ROUND_TRIP", 0.0)
    async with open_pair(browser, link.near) as (page, peer, nursery):
        sender = peer.add_transceiver("video", pictures(1000), direction="sendonly").sender
        await offer(peer, page, nursery)
        line = BadLine(peer, monkeypatch)
        (encoding,) = sender.encodings
        with trio.fail_after(TIMEOUT):
            while sender.fec_ratio < ENOUGH_FEC:
                await trio.sleep(0.05)
            line.sends_again = False
            lost, sent = line.lost, encoding.frames_sent
            (before,) = await page.call("stats", "inbound-rtp")
            while line.lost < lost + LOSSES:
                await trio.sleep(0.05)
            (after,) = await page.call("stats", "inbound-rtp")
            # Without FEC the first loss would stop the picture, for seconds each time.
            decoded = after["framesDecoded"] - before["framesDecoded"]
            assert decoded >= 0.6 * (encoding.frames_sent - sent)
            seen = await page.call("pictures", 10)
        assert max(reading["error"] for reading in seen) < 30
