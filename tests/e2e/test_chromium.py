"""Two pages in headless Chromium call each other through turnd, relay only."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.e2e.server import PASSWORD, SECRET, USER, ServerUnderTest, require
from turnd.store.rest_credentials import mint

MESSAGES = 500
FRAMES = 30
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
    "--ignore-certificate-errors",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
]
SCRIPT = Path(__file__).with_name("page.js").read_text()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"<!doctype html><title>call</title><script>{SCRIPT}</script>".encode()
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def page_url() -> Iterator[str]:
    """Serve the page from 127.0.0.1, which browsers trust with cameras."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser(veth: str) -> Iterator[Browser]:
    # The machine has no network: let Chromium look for nothing but us. TURN over TCP goes
    # through its resolver even for an IP address.
    rules = f"--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1, EXCLUDE {veth}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=require("chromium"), args=[*FLAGS, rules]
        )
        yield browser
        browser.close()


def stats(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate("window.side.stats()")
    return found


def call(
    browser: Browser, page_url: str, ice_servers: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Make a call and return both sides' statistics once everything has arrived."""
    context = browser.new_context()
    try:
        pages = [context.new_page(), context.new_page()]
        for page in pages:
            page.goto(page_url)
            page.evaluate(f"window.side = new Side({json.dumps(ice_servers)}); null")
        one, two = pages
        offer = one.evaluate("window.side.offer()")
        answer = two.evaluate("offer => window.side.answer(offer)", offer)
        one.evaluate("answer => window.side.pc.setRemoteDescription(answer)", answer)
        for page in pages:
            page.evaluate(f"window.side.send({MESSAGES})")
        deadline = time.monotonic() + 40
        while time.monotonic() < deadline:
            found = [stats(page) for page in pages]
            if all(s["received"] >= MESSAGES and s["framesDecoded"] >= FRAMES for s in found):
                break
            one.wait_for_timeout(100)
        numbers = [page.evaluate("window.side.received") for page in pages]
        assert numbers == [list(range(MESSAGES))] * 2, found
        return [stats(page) for page in pages]
    finally:
        context.close()


@pytest.mark.parametrize(
    ("url", "protocol"),
    [
        ("turn:{host}:{port}?transport=udp", "udp"),
        ("turn:{host}:{port}?transport=tcp", "tcp"),
        ("turns:{host}:{tls_port}?transport=tcp", "tls"),
    ],
    ids=["turn over UDP", "turn over TCP", "turns over TCP"],
)
def test_pages_exchange_data_and_video_through_the_relay(
    browser: Browser, page_url: str, server: ServerUnderTest, veth: str, url: str, protocol: str
) -> None:
    where = url.format(host=veth, port=server.port, tls_port=server.tls_port)
    servers = [{"urls": [where], "username": USER, "credential": PASSWORD}]
    for side in call(browser, page_url, servers):
        assert side["state"] == "connected", side
        assert side["local"] == {"type": "relay", "protocol": protocol}, side
        assert side["remote"] == "relay"
        assert side["framesDecoded"] >= FRAMES
    # Counted as it went, and between two relays of one server without leaving it.
    metrics = server.metrics()
    line = f'turnd_packets_total{{direction="to_peer",family="ipv4",transport="{protocol}"}}'
    (packets,) = [row.split()[-1] for row in metrics.splitlines() if row.startswith(line)]
    assert float(packets) > MESSAGES
    assert "turnd_internal_packets_total 0.0" not in metrics


def test_time_limited_credentials_work_in_a_browser(
    browser: Browser, page_url: str, server: ServerUnderTest, veth: str
) -> None:
    username, password = mint(SECRET, "page", 3600, time.time())
    urls = [f"turn:{veth}:{server.port}?transport=udp"]
    servers = [{"urls": urls, "username": username, "credential": password}]
    for side in call(browser, page_url, servers):
        assert side["state"] == "connected"


def test_wrong_credentials_fail_in_a_browser(
    browser: Browser, page_url: str, server: ServerUnderTest, veth: str
) -> None:
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(page_url)
        urls = [f"turn:{veth}:{server.port}?transport=udp"]
        servers = json.dumps([{"urls": urls, "username": USER, "credential": "wrong"}])
        page.evaluate(f"window.side = new Side({servers}); null")
        offer = page.evaluate("window.side.offer()")
        assert "candidate:" not in offer["sdp"]
        (error,) = {entry.split()[0] for entry in stats(page)["errors"]}
        assert error == "401"
    finally:
        context.close()
