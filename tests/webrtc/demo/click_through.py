"""Clicks through the demo's page in headless Chromium, in a process of its own.

    python -m tests.webrtc.demo.click_through CHROMIUM HOST URL POLICY FILE [SCREENSHOT]

POLICY is ``all`` or ``relay``. What the page shows is printed as JSON. Playwright does not run on
trio.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from playwright.sync_api import Page, expect, sync_playwright

from tests.interop.browser_call import FLAGS

TIMEOUT_MS = 40_000
PICTURES = 30
POINTS = 3
"""Seconds of statistics."""


def click_through(page: Page, url: str, policy: str, file: str) -> dict[str, Any]:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.goto(url)
    expect(page.locator("#relay")).to_be_enabled()
    page.locator("#relay").set_checked(policy == "relay")
    page.locator("#call").click()
    expect(page.locator("#state")).to_have_text("connected")
    page.locator("#text").fill("Good morning")
    page.locator("#chat button").click()
    expect(page.locator("#log .theirs").last).to_contain_text("You said 'Good morning'")
    page.locator("#file").set_input_files(file)
    expect(page.locator("#file-state")).to_contain_text("came back")
    page.wait_for_function(
        "wanted => document.getElementById('remote').getVideoPlaybackQuality().totalVideoFrames"
        " >= wanted && document.getElementById('seen').dataset.pictures >= wanted",
        arg=PICTURES,
    )
    page.wait_for_function(
        "wanted => [...document.querySelectorAll('polyline')].every(line =>"
        " (line.getAttribute('points') ?? '').split(' ').length >= wanted)",
        arg=POINTS,
    )
    expect(page.locator("#path")).to_contain_text("⇄")
    seen = {
        "file": page.locator("#file-state").inner_text(),
        "path": page.locator("#path").evaluate("element => ({ ...element.dataset })"),
        "figures": page.locator("figure b.there").all_inner_texts(),
    }
    # Python shows our own picture: green, as Chromium's fake camera is.
    page.locator("input[value=mirror]").check()
    page.wait_for_function(IS_MIRRORED)
    if len(sys.argv) > 6:
        page.screenshot(path=sys.argv[6], full_page=True)
    page.locator("#hang-up").click()
    expect(page.locator("#state")).to_have_text("not connected")
    # Once more: nothing of the first call is in the way.
    page.locator("#call").click()
    expect(page.locator("#state")).to_have_text("connected")
    page.locator("#hang-up").click()
    assert page.evaluate("() => document.getElementById('local').srcObject") is None
    # And on a machine without a camera.
    page.evaluate(WITHOUT_CAMERA)
    page.locator("#call").click()
    expect(page.locator("#log .theirs").last).to_contain_text("no camera")
    expect(page.locator("#state")).to_have_text("connected")
    page.wait_for_function(
        "() => document.getElementById('remote').getVideoPlaybackQuality().totalVideoFrames > 0"
    )
    # The browser ends with the call, and soon after Ctrl-C the server does.
    return seen | {"errors": errors}


WITHOUT_CAMERA = """
() => {
  navigator.mediaDevices.getUserMedia = async () => {
    throw new DOMException("Requested device not found", "NotFoundError");
  };
}
"""


IS_MIRRORED = """
() => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 16, height: 12 });
  const context = canvas.getContext("2d");
  context.drawImage(document.getElementById("remote"), 0, 0, 16, 12);
  const [red, green, blue] = context.getImageData(1, 5, 1, 1).data;
  return green > 100 && green > 1.5 * red && green > 1.5 * blue;
}
"""


if __name__ == "__main__":
    _, chromium, host, url, policy, file = sys.argv[:6]
    with sync_playwright() as playwright:
        flags = [flag.format(server=host) for flag in FLAGS]
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        expect.set_options(timeout=TIMEOUT_MS)
        context = browser.new_context()
        context.set_default_timeout(TIMEOUT_MS)
        seen = click_through(context.new_page(), url, policy, file)
        browser.close()
    sys.stdout.write(json.dumps(seen))
