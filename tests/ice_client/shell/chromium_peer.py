"""A page of headless Chromium that offers a data channel, in a process of its own.

    python -m tests.ice_client.shell.chromium_peer CHROMIUM

It prints its ICE credentials and candidates as a line of JSON, reads ours as one, prints the ICE
state it comes to, and ends when its input does. Playwright does not run on trio.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from playwright.sync_api import Page, Route, sync_playwright

from tests.interop.browser_call import FLAGS, ORIGIN

TIMEOUT_MS = 30_000
ANSWER = "\r\n".join(
    [
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        "a=mid:0",
        "a=sctp-port:5000",
        # Nobody answers its DTLS: ICE is all there is to see.
        f"a=fingerprint:sha-256 {':'.join(['AB'] * 32)}",
        "a=setup:passive",
        "a=ice-options:trickle",
    ]
)
SCRIPT = """
async () => {
  // Who may use the camera is told the host's addresses; others get mDNS names.
  const camera = await navigator.mediaDevices.getUserMedia({ audio: true });
  for (const track of camera.getTracks()) track.stop();
  window.pc = new RTCPeerConnection();
  pc.createDataChannel("x");
  const gathered = new Promise((resolve) => {
    pc.onicecandidate = (event) => event.candidate || resolve();
  });
  await pc.setLocalDescription();
  await gathered;
  return pc.localDescription.sdp;
}
"""
CONNECT = """
async (answer) => {
  await pc.setRemoteDescription({ type: "answer", sdp: answer });
  while (!["connected", "completed", "failed"].includes(pc.iceConnectionState))
    await new Promise((resolve) => (pc.oniceconnectionstatechange = resolve));
  return pc.iceConnectionState;
}
"""


def values(sdp: str, name: str) -> list[str]:
    start = f"a={name}:"
    return [line.removeprefix(start) for line in sdp.splitlines() if line.startswith(start)]


def say(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def talk(page: Page) -> None:
    page.goto(ORIGIN)
    offer = page.evaluate(SCRIPT)
    say(
        {
            "username_fragment": values(offer, "ice-ufrag")[0],
            "password": values(offer, "ice-pwd")[0],
            "candidates": values(offer, "candidate"),
        }
    )
    ours = json.loads(sys.stdin.readline())
    lines = [
        ANSWER,
        f"a=ice-ufrag:{ours['username_fragment']}",
        f"a=ice-pwd:{ours['password']}",
        *(f"a=candidate:{candidate}" for candidate in ours["candidates"]),
        "a=end-of-candidates",
        "",
    ]
    say(page.evaluate(CONNECT, "\r\n".join(lines)))
    sys.stdin.read()


def serve(route: Route) -> None:
    route.fulfill(content_type="text/html", body="<!doctype html><title>ice</title>")


if __name__ == "__main__":
    with sync_playwright() as playwright:
        flags = [flag.format(server="127.0.0.1") for flag in FLAGS]
        browser = playwright.chromium.launch(executable_path=sys.argv[1], args=flags)
        context = browser.new_context()
        context.set_default_timeout(TIMEOUT_MS)
        context.route(f"{ORIGIN}**", serve)
        talk(context.new_page())
        browser.close()
