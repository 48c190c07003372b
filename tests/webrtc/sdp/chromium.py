"""A headless Chromium that makes and takes descriptions, in a process of its own.

    python -m tests.webrtc.sdp.chromium < SCRIPTS > RESULTS

Playwright does not run on trio or beside it. SCRIPTS is a JSON list of JavaScript functions' text,
each run with its own argument in a page of its own: [[function, argument], …]. RESULTS is the
list of what they returned.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Route, sync_playwright

CHROMIUM = "/usr/bin/chromium"
ORIGIN = "http://127.0.0.1/"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1, EXCLUDE localhost",
]
ROOT = Path(__file__).resolve().parents[3]


def _page(route: Route) -> None:
    route.fulfill(content_type="text/html", body="<!doctype html><title>sdp</title>")


def run(scripts: list[tuple[str, Any]]) -> list[Any]:
    """Evaluate each function in a fresh page."""
    results = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = browser.new_context()
        context.set_default_timeout(30_000)
        context.route(f"{ORIGIN}**", _page)
        for function, argument in scripts:
            page = context.new_page()
            page.goto(ORIGIN)
            results.append(page.evaluate(function, argument))
            page.close()
        browser.close()
    return results


def ask(scripts: list[tuple[str, Any]]) -> list[Any]:
    """Run them in another process; what a test calls."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.webrtc.sdp.chromium"],
        cwd=ROOT,
        input=json.dumps(scripts),
        stdout=subprocess.PIPE,
        text=True,
        timeout=90,
        check=True,
    )
    results: list[Any] = json.loads(done.stdout)
    return results


if __name__ == "__main__":
    json.dump(run(json.load(sys.stdin)), sys.stdout)
