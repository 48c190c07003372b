"""A link to another host, browsers on it, and TURN servers on this one: one of each for a file."""

from __future__ import annotations

import concurrent.futures
import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TypeVar

import pytest
import trio

from tests.browsers.browser import Browser, running_browser
from tests.ice_client.turn.servers import Certificates, Running
from tests.interop.coturn_server import running_coturn
from tests.interop.server_under_test import PASSWORD, USER, running_server
from tests.interop.veth import NEAR_NAME, Link, veth_link

T = TypeVar("T")


@contextlib.contextmanager
def kept_open(opened: Callable[[], AbstractAsyncContextManager[T]]) -> Iterator[T]:
    """Hold an async context open in a thread with a trio loop of its own.

    Tests have a loop each; what outlives them needs another.
    """
    ready: concurrent.futures.Future[tuple[T, trio.lowlevel.TrioToken, trio.Event]]
    ready = concurrent.futures.Future()

    async def hold() -> None:
        over = trio.Event()
        async with opened() as value:
            ready.set_result((value, trio.lowlevel.current_trio_token(), over))
            await over.wait()

    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        held = executor.submit(trio.run, hold)
        # What goes wrong in there goes wrong here.
        held.add_done_callback(lambda _: ready.cancel())
        try:
            value, token, over = ready.result()
        except concurrent.futures.CancelledError:
            held.result()
            raise
        try:
            yield value
        finally:
            token.run_sync_soon(over.set)
            held.result()


@pytest.fixture(scope="module")
def link() -> Iterator[Link]:
    with veth_link() as made:
        yield made


@pytest.fixture(scope="module")
def certificates(link: Link, tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """The servers', which the browsers trust."""
    return Certificates.make(tmp_path_factory.mktemp("certificates"), link.near, NEAR_NAME)


@pytest.fixture(scope="module")
def browser(
    request: pytest.FixtureRequest, link: Link, certificates: Certificates
) -> Iterator[Browser]:
    """The browser whose name is the parameter, on the far host."""
    with running_browser(
        request.param, namespace=link.namespace, authority=certificates.ca
    ) as running:
        yield running


@pytest.fixture(scope="module")
def turnd(
    link: Link, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("turnd")
    tls = {"certificate": str(certificates.chain), "private_key": str(certificates.key)}
    with kept_open(partial(running_server, folder, {"tls": tls}, [link.near])) as server:
        yield Running(server, certificates)


@pytest.fixture(scope="module")
def coturn(
    link: Link, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    lines = [
        "lt-cred-mech",
        f"user={USER}:{PASSWORD}",
        f"cert={certificates.chain}",
        f"pkey={certificates.key}",
    ]
    folder = tmp_path_factory.mktemp("coturn")
    with kept_open(partial(running_coturn, folder, lines, [link.near])) as server:
        yield Running(server, certificates)
