"""Runs the load generator and reads the one line of JSON it prints."""

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
import msgspec

from bench.networks import LOAD_CORE, Network


class LoadError(Exception):
    """The load generator failed; the message says what it told."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the load generator measured.

    Attributes:
        seconds: how long was measured, wall clock.
        load_cpu: CPU seconds of the generator itself in that time.
        server_cpu: CPU seconds (utime + stime) of the server's processes in that time.
        sent: packets sent; delivered: of those, arrived whole at the other end.
        foreign: packets that arrived and were not what was sent.
        p50_us: one-way latency in microseconds, as `p99_us` and `p999_us`; only at a fixed rate.
        done: requests or cycles answered with success; lost: given up after a second.
        refused: answered with an error; `last_error` is the last one's code.
    """

    seconds: float
    load_cpu: float
    server_cpu: float = 0.0
    sent: int = 0
    delivered: int = 0
    foreign: int = 0
    p50_us: float | None = None
    p99_us: float | None = None
    p999_us: float | None = None
    done: int = 0
    lost: int = 0
    refused: int = 0
    last_error: int = 0


@attrs.frozen
class Target:
    """The server under load: its UDP port and its processes."""

    port: int
    pids: tuple[int, ...]


def command(
    program: Path,
    mode: str,
    options: Sequence[str],
    network: Network,
    target: Target | None = None,
) -> list[str]:
    """Return the command line of a load, pinned to the load's core.

    The kernel's threads that work for the server are counted as it is.
    """
    line = ["taskset", "-c", str(LOAD_CORE), *network.load_prefix, str(program), mode, *options]
    line += ["--local", network.first_load_address]
    if target is not None:
        line += ["--server", f"{network.server_address}:{target.port}"]
        for pid in (*target.pids, *network.server_threads):
            line += ["--pid", str(pid)]
    return line


def parse(line: str) -> Report:
    """Read a line the generator printed.

    Raises:
        LoadError: the line is not such a report.
    """
    try:
        return msgspec.json.decode(line, type=Report)
    except msgspec.DecodeError as error:
        raise LoadError(f"not a report ({error}): {line.strip()!r}") from None


def run(line: Sequence[str], *, timeout: float) -> Report:
    """Run a load to its end; `timeout` in seconds.

    Raises:
        LoadError: it failed or did not end in time.
    """
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise LoadError(f"did not end within {timeout:g} s: {' '.join(line)}") from None
    if done.returncode != 0:
        raise LoadError(f"{done.stderr.strip()} ({' '.join(line)})")
    return parse(done.stdout)


@contextlib.contextmanager
def hold(line: Sequence[str]) -> Iterator[Report]:
    """Run a load that holds its allocations (mode `idle`) while the body runs.

    Raises:
        LoadError: it failed before it held them.
    """
    with subprocess.Popen(
        line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        # Popen's type allows None for streams that were not asked for.
        if process.stdout is None or process.stdin is None or process.stderr is None:
            raise LoadError("no pipes to the load generator")
        told = process.stdout.readline()
        if not told:
            raise LoadError(process.stderr.read().strip())
        try:
            yield parse(told)
        finally:
            process.stdin.close()
