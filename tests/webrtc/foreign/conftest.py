"""What calls with foreign peers need: an interface, turnd on it, and the programs."""

from __future__ import annotations

import pytest

from tests.ice_client.browsers.conftest import certificates, link, turnd
from tests.webrtc.foreign.material import prepare
from tests.webrtc.foreign.process import Commands

__all__ = ["certificates", "commands", "link", "turnd"]


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """How to run foreign peers, which have drawn material to show."""
    folder = tmp_path_factory.mktemp("foreign")
    prepare(folder)
    return Commands(folder, folder)
