"""Fixtures for foreign peers: a server for each test, and tools that must be there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest

from tests.interop.server_under_test import Section, ServerUnderTest, running_server
from tests.interop.veth import veth_address

StartServer = Callable[[Mapping[str, Section]], AbstractAsyncContextManager[ServerUnderTest]]


@pytest.fixture
def start_server(tmp_path: Path) -> StartServer:
    """How to run a server: `async with start_server(changes) as server`."""
    return partial(running_server, tmp_path)


@pytest.fixture
def veth_host() -> Iterator[str]:
    """An IPv4 address that is not loopback's, on an interface of its own."""
    with veth_address() as host:
        yield host
