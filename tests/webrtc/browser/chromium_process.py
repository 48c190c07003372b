"""A page of headless Chromium that does what lines on standard input say.

    python -m tests.webrtc.browser.chromium_process CHROMIUM HOST

Each line is JSON: ``{"call": NAME, "arguments": [...]}`` calls a method of `page` in page.js, and
its value, or what it threw, is printed as a line of JSON. Playwright does not run on trio.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Error, Page, Route, sync_playwright

from tests.interop.browser_call import FLAGS, ORIGIN

HERE = Path(__file__).parent
TIMEOUT_MS = 30_000
KINDS = {".html": "text/html", ".js": "text/javascript"}


def serve(route: Route) -> None:
    name = route.request.url.removeprefix(ORIGIN) or "page.html"
    file = HERE / name
    if file.suffix not in KINDS or not file.is_file():
        route.fulfill(status=404)
        return
    route.fulfill(content_type=KINDS[file.suffix], body=file.read_text())


def answer(page: Page, line: str) -> dict[str, Any]:
    request = json.loads(line)
    try:
        value = page.evaluate("([name, args]) => page[name](...args)", list(request.values()))
    except Error as error:
        return {"error": str(error)}
    return {"value": value}


def talk(page: Page) -> None:
    page.goto(ORIGIN)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(page, line)) + "\n")
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
