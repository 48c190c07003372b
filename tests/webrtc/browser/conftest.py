"""Fixtures for browsers as peers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.veth import veth_address


@pytest.fixture
def veth_host() -> Iterator[str]:
    """An IPv4 address that is not loopback's, on an interface of its own."""
    with veth_address() as host:
        yield host
