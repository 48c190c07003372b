"""A link to another host, with a browser on it that all tests here share, and turnd on this one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from tests.browsers.browser import Browser, running_browser
from tests.ice_client.browsers.conftest import kept_open
from tests.ice_client.turn.servers import Certificates, Running
from tests.interop.server_under_test import running_server
from tests.interop.veth import NEAR_NAME, Link, veth_link


@pytest.fixture(scope="package")
def link() -> Iterator[Link]:
    with veth_link() as made:
        yield made


@pytest.fixture(scope="package")
def certificates(link: Link, tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """The server's, which the browsers trust."""
    return Certificates.make(tmp_path_factory.mktemp("certificates"), link.near, NEAR_NAME)


@pytest.fixture(scope="package")
def browser(
    request: pytest.FixtureRequest, link: Link, certificates: Certificates
) -> Iterator[Browser]:
    """The browser whose name is the parameter, on the far host."""
    with running_browser(
        request.param, namespace=link.namespace, authority=certificates.ca
    ) as running:
        yield running


@pytest.fixture(scope="package")
def turnd(
    link: Link, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("turnd")
    tls = {"certificate": str(certificates.chain), "private_key": str(certificates.key)}
    with kept_open(partial(running_server, folder, {"tls": tls}, [link.near])) as server:
        yield Running(server, certificates)
