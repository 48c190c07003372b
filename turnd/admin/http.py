"""The HTTP port: metrics, health and readiness."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import trio
from hypercorn.config import Config as HypercornConfig
from hypercorn.config import Sockets
from hypercorn.trio import serve
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from stun import Address
from turnd.network import ListenError, open_tcp


def admin_app(registry: CollectorRegistry, is_ready: Callable[[], bool]) -> Starlette:
    """Return the application: `/metrics`, `/health` (it runs) and `/ready` (it takes clients)."""

    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": content_type})

    async def health(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(_request: Request) -> Response:
        if is_ready():
            return PlainTextResponse("ready\n")
        return PlainTextResponse("not ready\n", status_code=503)

    return Starlette(
        routes=[
            Route("/metrics", metrics),
            Route("/health", health),
            Route("/ready", ready),
        ]
    )


class _BoundConfig(HypercornConfig):
    """Hypercorn's configuration with a socket that we bound, so that errors are ours to tell."""

    def __init__(self, address: Address) -> None:
        super().__init__()
        try:
            self._sock = open_tcp(address, 64)
        except ListenError as error:
            raise ListenError(f"metrics.listen: {error}") from error
        self.accesslog = None
        self.errorlog = None
        self.include_server_header = False
        self.graceful_timeout = 0.5

    def create_sockets(self) -> Sockets:
        """Return the one socket there is."""
        return Sockets([], [self._sock], [])

    @property
    def port(self) -> int:
        """The port, also where the system chose it."""
        return int(self._sock.getsockname()[1])


async def serve_http(
    address: Address,
    app: Starlette,
    *,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve HTTP until cancelled; `task_status` is given the port.

    Raises:
        ListenError: the address can't be bound.

    """
    config = _BoundConfig(address)

    async with trio.open_nursery() as nursery:
        listening: Callable[..., Any] = partial(
            serve,
            app,  # type: ignore[arg-type]
            config,
            shutdown_trigger=trio.sleep_forever,
        )
        await nursery.start(listening)
        task_status.started(config.port)
