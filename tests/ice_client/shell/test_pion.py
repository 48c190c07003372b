"""Our agent connects to pion's, in both roles, full and lite (Debian's golang-github-pion-*)."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ice_client import AgentOptions, InterfaceFilter, Role, open_ice_agent
from tests.ice_client.shell.echo_peer import echo_peer
from tests.interop.tools import tool
from tests.interop.veth import veth_address

SOURCE = Path(__file__).parent / "pion_peer" / "main.go"
DEBIAN_SOURCES = "/usr/share/gocode"
BUILD_TIMEOUT = 240.0


@pytest.fixture(scope="module")
def pion_peer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The program, built offline from Debian's packages."""
    root = tmp_path_factory.mktemp("go")
    folder = root / "src" / "pion_peer"
    folder.mkdir(parents=True)
    shutil.copy(SOURCE, folder)
    # Without it, GOPATH mode does not take the /v2 in import paths for what it is.
    (folder / "go.mod").write_text("module pion_peer\n", encoding="utf-8")
    program = str(root / "pion_peer")
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOPATH": f"{root}:{DEBIAN_SOURCES}",
        "GOFLAGS": "",
    }
    built = subprocess.run(
        [tool("go"), "build", "-o", program, "pion_peer"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT,
    )
    assert built.returncode == 0, f"is golang-github-pion-ice.v2-dev installed?\n{built.stderr}"
    return program


@pytest.mark.parametrize(
    ("controlling", "kind"),
    [(True, "full"), (False, "full"), (True, "lite")],
    ids=["controlling", "controlled", "controlling a lite peer"],
)
async def test_our_agent_connects_to_pions(pion_peer: str, controlling: bool, kind: str) -> None:
    with veth_address() as host:
        role = "controlled" if controlling else "controlling"
        options = AgentOptions(interfaces=InterfaceFilter(networks=[f"{host}/32"]))
        async with (
            echo_peer([pion_peer, role, kind, host]) as peer,
            open_ice_agent(controlling=controlling, options=options) as agent,
        ):
            await peer.talk(agent, lite=kind == "lite")
            assert agent.role is (Role.CONTROLLING if controlling else Role.CONTROLLED)
            pair = agent.selected_pair
            assert pair is not None
            assert pair.base.address.host == pair.destination.host == host
