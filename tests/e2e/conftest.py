from collections.abc import Iterator

import pytest

from tests.e2e.server import ServerUnderTest, running_server
from tests.e2e.veth import veth_address


@pytest.fixture(scope="session")
def veth() -> Iterator[str]:
    with veth_address() as address:
        yield address


@pytest.fixture(scope="session")
def server(veth: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerUnderTest]:
    with running_server(["127.0.0.1", "::1", veth], tmp_path_factory.mktemp("turnd")) as running:
        yield running
