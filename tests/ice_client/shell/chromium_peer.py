"""A page of headless Chromium that offers a data channel: what peers made of one have in common.

Such a peer is a process of its own, as Playwright does not run on trio. It prints its ICE
credentials and candidates as a line of JSON, and reads ours as one (`echo_peer.py`).
"""

from __future__ import annotations

import json
import sys
from typing import Any

from playwright.sync_api import Route

TIMEOUT_MS = 30_000
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


def values(sdp: str, name: str) -> list[str]:
    start = f"a={name}:"
    return [line.removeprefix(start) for line in sdp.splitlines() if line.startswith(start)]


def say(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def serve(route: Route) -> None:
    route.fulfill(content_type="text/html", body="<!doctype html><title>ice</title>")
