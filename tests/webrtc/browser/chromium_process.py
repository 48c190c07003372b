"""A page of headless Chromium that does what lines on standard input say.

    python -m tests.webrtc.browser.chromium_process CHROMIUM HOST

Each line is JSON: ``{"id": ID, "call": NAME, "arguments": [...]}`` calls a method of `page` in
page.js, and its value, or what it threw, is printed as a line of JSON when it is there. Playwright
does not run on trio.
"""

from __future__ import annotations

import json
import os
import select
import sys
from pathlib import Path

from playwright.sync_api import Page, Route, sync_playwright

from tests.interop.browser_call import FLAGS, ORIGIN

HERE = Path(__file__).parent
TIMEOUT_MS = 30_000
POLL = 0.01
"""Seconds between looks for what has finished."""
KINDS = {".html": "text/html", ".js": "text/javascript"}


def serve(route: Route) -> None:
    name = route.request.url.removeprefix(ORIGIN) or "page.html"
    file = HERE / name
    if file.suffix not in KINDS or not file.is_file():
        route.fulfill(status=404)
        return
    route.fulfill(content_type=KINDS[file.suffix], body=file.read_text())


START = """
([id, name, args]) => {
  Promise.resolve()
    .then(() => page[name](...args))
    .then((value) => page.finished.push({ id, value: value ?? null }))
    .catch((error) => page.finished.push({ id, error: String(error.stack ?? error) }));
}
"""


def talk(page: Page) -> None:
    """Start calls as their lines come, and print what became of them in whatever order."""
    page.goto(ORIGIN)
    running, rest = 0, b""
    while True:
        ready, _, _ = select.select([0], [], [], POLL if running else None)
        if ready:
            chunk = os.read(0, 1 << 20)
            if not chunk:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                request = json.loads(line)
                page.evaluate(START, [request["id"], request["call"], request["arguments"]])
                running += 1
        for finished in page.evaluate("() => page.finished.splice(0)"):
            running -= 1
            sys.stdout.write(json.dumps(finished) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    with sync_playwright() as playwright:
        flags = [flag.format(server=sys.argv[2]) for flag in FLAGS]
        browser = playwright.chromium.launch(executable_path=sys.argv[1], args=flags)
        context = browser.new_context()
        context.set_default_timeout(TIMEOUT_MS)
        context.route(f"{ORIGIN}**", serve)
        talk(context.new_page())
        browser.close()
