"""An interface that is not loopback: browsers and aioice gather candidates on nothing less."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.server import require


@contextmanager
def veth_address() -> Iterator[str]:
    """Make a veth pair whose far end is in a namespace of its own; yield the near address."""
    assert os.geteuid() == 0, "network namespaces need root"
    ip = require("ip")
    name = f"turnd{secrets.token_hex(3)}"
    near, far = f"{name}a", f"{name}b"
    subnet = f"10.{200 + secrets.randbelow(50)}.{secrets.randbelow(250)}"

    def run(*arguments: str) -> None:
        subprocess.run([ip, *arguments], check=True, capture_output=True)

    run("netns", "add", name)
    try:
        run("link", "add", near, "type", "veth", "peer", "name", far, "netns", name)
        run("addr", "add", f"{subnet}.1/24", "dev", near)
        run("link", "set", near, "up")
        run("-n", name, "addr", "add", f"{subnet}.2/24", "dev", far)
        run("-n", name, "link", "set", far, "up")
        yield f"{subnet}.1"
    finally:
        # The pair goes with the namespace that holds its far end.
        run("netns", "delete", name)
