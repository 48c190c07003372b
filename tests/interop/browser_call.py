"""Two pages of headless Chromium call each other, in a process of their own.

    python -m tests.interop.browser_call CHROMIUM TURN_URL USER PASSWORD MESSAGES FRAMES

Playwright does not run on trio. What both pages saw is printed as JSON, see `call.js`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Route, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
    # Covers turns: with the certificate that turnd made for itself.
    "--ignore-certificate-errors",
    # No name leads out of here. TCP goes by this even to an address: let the server's be.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1, EXCLUDE {server}",
]
ORIGIN = "http://127.0.0.1/"
"""A secure context, which cameras need. Nothing listens there: the pages come from `serve`."""
SCRIPT = Path(__file__).with_name("call.js")
TIMEOUT_MS = 60_000


def serve(route: Route) -> None:
    route.fulfill(
        content_type="text/html",
        body=f"<!doctype html><title>call</title><script>{SCRIPT.read_text()}</script>",
    )


def converse(alice: Page, bob: Page, ice_servers: list[Any], messages: int, frames: int) -> None:
    """Connect two pages, and wait until each has seen and heard enough of the other."""
    for page in (alice, bob):
        page.goto(ORIGIN)
        page.evaluate("servers => begin(servers)", ice_servers)
    offer = alice.evaluate("() => offer()")
    answer = bob.evaluate("description => answer(description)", offer)
    alice.evaluate("description => take(description)", answer)
    # Not awaited, so that both send at the same time.
    for page in (alice, bob):
        page.evaluate("count => void send(count)", messages)
    for page in (alice, bob):
        page.evaluate("wanted => arrived(...wanted)", [messages, frames, TIMEOUT_MS])


def run(chromium: str, url: str, user: str, password: str, messages: int, frames: int) -> Any:
    """Make the call; return what both pages saw, and an error if it did not come to an end."""
    ice_servers = [{"urls": [url], "username": user, "credential": password}]
    with sync_playwright() as playwright:
        flags = [flag.format(server=url.split(":")[1]) for flag in FLAGS]
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        context = browser.new_context()
        context.set_default_timeout(TIMEOUT_MS)
        context.route(f"{ORIGIN}**", serve)
        alice, bob = context.new_page(), context.new_page()
        error = None
        try:
            converse(alice, bob, ice_servers, messages, frames)
        except Exception as problem:  # the pages know more about it
            error = str(problem)
        pages = [page.evaluate("() => result()") for page in (alice, bob)]
        for page in (alice, bob):
            page.evaluate("() => hangUp()")
        browser.close()
    return {"error": error, "pages": pages}


if __name__ == "__main__":
    _, program, turn_url, name, credential, count, pictures = sys.argv
    sys.stdout.write(
        json.dumps(run(program, turn_url, name, credential, int(count), int(pictures)))
    )
