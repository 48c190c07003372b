"""Serves the page, and a WebSocket for each call, with hypercorn and starlette on trio."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Mapping
from functools import partial
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

import attrs
import trio
from hypercorn.config import Config as HypercornConfig
from hypercorn.config import Sockets
from hypercorn.trio import serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from ice_client import AgentOptions, InterfaceFilter
from webrtc import Configuration, SignallingError, WebRtcError
from webrtc.demo.call import Call
from webrtc.demo.turn_service import TurnService

MAX_CALLS = 16
"""At once: each encodes and decodes video."""
TRY_AGAIN_LATER = 1013
"""A WebSocket's close codes (RFC 6455's registry)."""
POLICY_VIOLATION = 1008

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "connect-src 'self'; media-src blob: mediastream:; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_log = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class DemoSettings:
    """What the demo's calls are made with.

    Attributes:
        turn: STUN and TURN servers, for both ends.
        interfaces: which of our addresses to use.

    """

    turn: TurnService = attrs.field(factory=TurnService)
    interfaces: InterfaceFilter = attrs.field(factory=InterfaceFilter)


class WebSocketLine:
    """A WebSocket of JSON objects."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    async def send(self, message: dict[str, Any]) -> None:
        """Send one; into a socket that is closed, none."""
        try:
            await self._websocket.send_json(message)
        except (WebSocketDisconnect, RuntimeError) as error:
            _log.debug("the browser has left: %s", error)

    def __aiter__(self) -> WebSocketLine:
        return self

    async def __anext__(self) -> Mapping[str, Any]:
        while True:
            try:
                message = await self._websocket.receive_json()
            except WebSocketDisconnect:
                raise StopAsyncIteration from None
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise SignallingError("the page sent something other than JSON") from error
            if isinstance(message, dict):
                return message


def demo_app(settings: DemoSettings) -> Starlette:
    """Return the application."""
    page = resources.files("webrtc.demo").joinpath("page.html").read_text(encoding="utf-8")
    calls = trio.Semaphore(MAX_CALLS)

    async def show_page(_request: Request) -> Response:
        return HTMLResponse(page, headers={"content-security-policy": _POLICY})

    async def ice(_request: Request) -> Response:
        servers = settings.turn.rtc_servers()
        headers = {"cache-control": "no-store"}
        found = {"iceServers": servers, "hasRelay": settings.turn.has_relay}
        return JSONResponse(found, headers=headers)

    async def call(websocket: WebSocket) -> None:
        # Another site's page may open a WebSocket to us in its visitor's name.
        origin = urlsplit(websocket.headers.get("origin", "")).netloc
        if origin != websocket.headers.get("host"):
            await websocket.close(POLICY_VIOLATION)
            return
        await websocket.accept()
        try:
            calls.acquire_nowait()
        except trio.WouldBlock:
            await websocket.close(TRY_AGAIN_LATER)
            return
        try:
            await _talk(websocket, settings)
        finally:
            calls.release()

    return Starlette(
        routes=[
            Route("/", show_page),
            Route("/ice", ice),
            WebSocketRoute("/call", call),
        ]
    )


async def _talk(websocket: WebSocket, settings: DemoSettings) -> None:
    servers = settings.turn.ice_servers(settings.turn.rtc_servers())
    is_relayed = websocket.query_params.get("policy") == "relay"
    configuration = Configuration(
        ice_servers=servers,
        ice_transport_policy="relay" if is_relayed else "all",
        ice=AgentOptions(interfaces=settings.interfaces),
    )
    try:
        await Call(WebSocketLine(websocket), configuration).run()
    except* (WebRtcError, ValueError) as errors:
        # What the page said made no sense: its call ends, and nobody else's.
        _log.warning("a call ends: %s", errors.exceptions)


class _Bound(HypercornConfig):
    """Hypercorn's configuration with a socket that we bound, so that port 0 can be told."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        sock.setblocking(False)
        self._sock = sock
        self.port = sock.getsockname()[1]
        self.accesslog = None
        self.errorlog = None
        self.include_server_header = False
        self.graceful_timeout = 0.5
        self.websocket_max_message_size = 1 << 20

    def create_sockets(self) -> Sockets:
        """Return the one socket there is."""
        return Sockets([], [self._sock], [])


async def serve_demo(
    host: str, port: int, settings: DemoSettings, tell: Callable[[str], None]
) -> None:
    """Serve until cancelled.

    Args:
        host: address to listen on.
        port: 0 for any.
        settings: of the calls.
        tell: is given the URL once it works.

    Raises:
        OSError: the address can't be bound.

    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    config = _Bound(socket.create_server((host, port), family=family))
    async with trio.open_nursery() as nursery:
        listening: Callable[..., Any] = partial(
            serve,
            demo_app(settings),  # type: ignore[arg-type]
            config,
            shutdown_trigger=trio.sleep_forever,
        )
        await nursery.start(listening)
        # Browsers let a page have a camera from this very machine, or by https.
        here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not bound to
        shown = f"[{here}]" if ":" in here else here
        tell(f"http://{shown}:{config.port}/")
