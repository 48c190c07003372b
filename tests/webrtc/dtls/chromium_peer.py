"""A page of headless Chromium that offers a data channel and shakes hands, in its own process.

    python -m tests.webrtc.dtls.chromium_peer CHROMIUM SETUP FINGERPRINT

SETUP and FINGERPRINT are what our answer says. It prints its ICE credentials and candidates as a
line of JSON and its fingerprint as another, reads ours of the former, prints the state its DTLS
transport comes to, and ends when its input does.
"""

from __future__ import annotations

import json
import sys

from playwright.sync_api import Page, sync_playwright

from tests.ice_client.shell.chromium_peer import SCRIPT, TIMEOUT_MS, say, serve, values
from tests.interop.browser_call import FLAGS, ORIGIN

CONNECT = """
async (answer) => {
  await pc.setRemoteDescription({ type: "answer", sdp: answer });
  const transport = pc.sctp.transport;
  while (!["connected", "failed", "closed"].includes(transport.state))
    await new Promise((resolve) => (transport.onstatechange = resolve));
  return transport.state;
}
"""


def talk(page: Page, setup: str, fingerprint: str) -> None:
    page.goto(ORIGIN)
    offer = page.evaluate(SCRIPT)
    say(
        {
            "username_fragment": values(offer, "ice-ufrag")[0],
            "password": values(offer, "ice-pwd")[0],
            "candidates": values(offer, "candidate"),
        }
    )
    say(values(offer, "fingerprint")[0])
    ours = json.loads(sys.stdin.readline())
    lines = [
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        "a=mid:0",
        "a=sctp-port:5000",
        f"a=fingerprint:{fingerprint}",
        f"a=setup:{setup}",
        f"a=ice-ufrag:{ours['username_fragment']}",
        f"a=ice-pwd:{ours['password']}",
        *(f"a=candidate:{candidate}" for candidate in ours["candidates"]),
        "a=end-of-candidates",
        "",
    ]
    say(page.evaluate(CONNECT, "\r\n".join(lines)))
    sys.stdin.read()


if __name__ == "__main__":
    with sync_playwright() as playwright:
        flags = [flag.format(server="127.0.0.1") for flag in FLAGS]
        browser = playwright.chromium.launch(executable_path=sys.argv[1], args=flags)
        context = browser.new_context()
        context.set_default_timeout(TIMEOUT_MS)
        context.route(f"{ORIGIN}**", serve)
        talk(context.new_page(), sys.argv[2], sys.argv[3])
        browser.close()
