"""Fixtures of the transports' tests."""

from __future__ import annotations

import pytest

from tests.turnd.transports.transport_fakes import FakeRoad
from turnd.transports.certificates import CertificateStore
from turnd.transports.settings import TlsSettings


@pytest.fixture(scope="session")
def certificates() -> CertificateStore:
    """A store with a self-signed certificate for localhost."""
    store = CertificateStore(TlsSettings())
    store.make_self_signed(["localhost", "127.0.0.1"])
    return store


@pytest.fixture
def road() -> FakeRoad:
    return FakeRoad()
