"""`turnd doctor` against a running turnd: the configuration it runs with is what is checked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.interop.server_under_test import SECRET, running_server
from tests.interop.tools import REPOSITORY
from turnd.commands.doctor import target_of
from turnd.config import Config


async def doctor(*arguments: str) -> tuple[int, str]:
    """Run it, and return the exit code and what it printed."""
    with trio.fail_after(60):
        done = await trio.run_process(
            [sys.executable, "-m", "turnd", "doctor", *arguments],
            cwd=REPOSITORY,
            check=False,
            capture_stdout=True,
            stderr=subprocess.STDOUT,
        )
    return done.returncode, done.stdout.decode()


@pytest.mark.parametrize("auth", [{}, {"users": []}], ids=["users", "secrets"])
async def test_doctor_checks_every_plain_listener_of_the_configuration(
    tmp_path: Path, auth: dict[str, Any]
) -> None:
    async with running_server(tmp_path, {"auth": auth}) as server:
        code, text = await doctor("-c", str(tmp_path / "turnd.toml"), "--json")
    report = json.loads(text)
    ways = {(row["transport"], row["family"]) for row in report["rows"]}
    assert ways == {(t, f) for t in ("udp", "tcp") for f in ("ipv4", "ipv6")}
    assert {row["port"] for row in report["rows"]} == {server.plain_port}
    # The test's server lets peers on loopback: that is what is wrong, and nothing else.
    errors = [each["id"] for each in report["findings"] if each["severity"] == "error"]
    assert errors == ["ICE-E070"]
    assert code == 1
    assert SECRET not in text


async def test_doctor_finds_a_server_that_does_not_run(tmp_path: Path) -> None:
    file = tmp_path / "turnd.toml"
    file.write_text('[listen]\nudp = ["127.0.0.1:9"]\ntcp = []\ntls = []\ndtls = []\n')
    code, text = await doctor("-c", str(file), "--paste")
    assert code == 1
    assert "ICE-E012" in text
    assert "127.0.0.1" not in text


def test_doctor_leaves_out_what_the_server_does_where_there_is_no_ipv6(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = Config()
    for present, families in ((True, {"127.0.0.1", "::1"}), (False, {"127.0.0.1"})):
        monkeypatch.setattr("turnd.commands.doctor.has_ipv6", lambda there=present: there)
        assert {uri.host for uri in target_of(config, None, "u", "p").uris} == families


async def test_doctor_of_a_wrong_configuration_is_wrong_usage(tmp_path: Path) -> None:
    file = tmp_path / "turnd.toml"
    file.write_text("[listen]\nufp = []\n")
    code, text = await doctor("-c", str(file))
    assert code == 2
    assert "ufp" in text
