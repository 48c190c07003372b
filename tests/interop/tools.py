"""Programs of other people, run to their end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import attrs
import trio

REPOSITORY = Path(__file__).parents[2]

PACKAGES = {
    "turnserver": "coturn",
    "turnutils_uclient": "coturn",
    "turnutils_peer": "coturn",
    "turnutils_stunclient": "coturn",
    "turnutils_natdiscovery": "coturn",
    "ip": "iproute2",
    "chromium": "chromium",
    "go": "golang-go golang-github-pion-ice.v2-dev",
    "firefox-esr": "firefox-esr",
    "node": "nodejs npm",
    "certutil": "libnss3-tools",
    "prosody": "prosody",
}
"""Debian's packages of the programs used here."""


def tool(name: str) -> str:
    """Return a program's path.

    Raises:
        AssertionError: it is missing: the tests need it, and would prove nothing without.

    """
    path = shutil.which(name, path="/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin")
    assert path, f"{name} is missing: apt-get install {PACKAGES[name]} (make test does that)"
    return path


@attrs.frozen(slots=True)
class Finished:
    """A program that has ended.

    Attributes:
        command: what was run.
        exit_code: how it ended; negative for a signal.
        output: standard output and standard error, as they came.

    """

    command: str
    exit_code: int
    output: str

    def __str__(self) -> str:
        return f"$ {self.command}\n{self.output}exit code {self.exit_code}"


async def run_tool(command: Sequence[str], timeout: float) -> Finished:
    """Run a program.

    Args:
        command: name and arguments.
        timeout: seconds until it is killed, which its exit code then tells.

    """
    argv = [tool(command[0]), *command[1:]]
    # A file keeps what a program said even if it has to be killed.
    with tempfile.TemporaryFile() as output:
        process = await trio.lowlevel.open_process(
            argv,
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            with trio.move_on_after(timeout):
                await process.wait()
        finally:
            # What it started goes with it: a browser would stay behind otherwise.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with trio.CancelScope(shield=True):
                await process.wait()
        output.seek(0)
        text = output.read().decode(errors="replace")
    assert process.returncode is not None
    return Finished(" ".join(command), process.returncode, text)
