"""Whole peer connections beside aiortc's: `python -m bench.webrtc`.

Both ends in one process, over UDP on loopback, through ICE, DTLS, SRTP and SCTP. Every sample has
a process of its own; the libraries take turns, and each is first in every other round.
"""

from __future__ import annotations

import importlib
import json
import os
import statistics
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import attrs
import click

from bench import machine

_RESULTS = Path(__file__).parent / "results"
_TIMEOUT = 120.0
"""Seconds for a sample."""
LIBRARIES = ("aiortc", "ours")


@attrs.frozen
class Cell:
    """A row of the table.

    Attributes:
        title: with the unit.
        more_is_better: whether the ratio is ours to theirs, or the other way around.

    """

    title: str
    more_is_better: bool


CELLS = {
    "data": Cell("data channel, MB per CPU second", True),
    "connect": Cell("offer to open data channel, ms", False),
    "media": Cell("media, packets per CPU second", True),
    "memory": Cell("RSS per pair, KB", False),
}


def sample(library: str, cell: str) -> float:
    """Take a sample in a process of its own."""
    command = [sys.executable, "-m", "bench.webrtc", "--one", library, "--cell", cell]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    if done.returncode:
        raise click.ClickException(f"{library}, {cell}: {done.stderr[-2000:]}")
    return float(done.stdout)


def row(cell: Cell, samples: dict[str, list[float]]) -> str:
    """Return a line of the table: medians, and how many times better ours is."""
    theirs, ours = (statistics.median(samples[library]) for library in LIBRARIES)
    ratio = ours / theirs if cell.more_is_better else theirs / ours
    return f"| {cell.title} | {theirs:.1f} | {ours:.1f} | {ratio:.2f} |"


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--cell", "cells", type=click.Choice(list(CELLS)), multiple=True, default=CELLS)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--one", type=click.Choice(LIBRARIES), hidden=True)
def main(rounds: int, cells: tuple[str, ...], output: Path | None, one: str | None) -> None:
    """Measure peer connections, ours and aiortc's in turns, and print medians."""
    if one is not None:
        print(importlib.import_module(f"bench.webrtc_{one}").run(cells[0]))
        return
    about = f"aiortc {version('aiortc')}; {machine.describe()}"
    samples: dict[str, dict[str, list[float]]] = {
        cell: {library: [] for library in LIBRARIES} for cell in cells
    }
    for number in range(rounds):
        for cell in cells:
            for library in LIBRARIES if number % 2 == 0 else reversed(LIBRARIES):
                value = sample(library, cell)
                samples[cell][library].append(value)
                click.echo(f"{number + 1}: {cell}, {library}: {value:.1f}", err=True)
    print(f"Peer connections, both ends in one process; medians of {rounds}")
    print(f"{about}, {os.getloadavg()[0]:.2f} at the end\n")
    print("| | aiortc | ours | times better |")
    print("|---|---:|---:|---:|")
    for name in cells:
        print(row(CELLS[name], samples[name]))
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    _RESULTS.mkdir(exist_ok=True)
    output = output or _RESULTS / f"webrtc-{stamp}.json"
    output.write_text(json.dumps({"about": about, "samples": samples}, indent=1))
    print(f"\nsamples: {output}")


if __name__ == "__main__":
    main()
