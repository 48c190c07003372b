"""Keeps the samples of a run in a file of JSON, from which the table can be printed again."""

from pathlib import Path

import attrs
import msgspec

from bench.runner import Sample


class ResultsError(Exception):
    """A file holds no samples; the message says which and why."""


@attrs.frozen
class Measured:
    """A run's samples, and a line about the machine, the servers and the time."""

    about: str
    samples: list[Sample]


def save(path: Path, measured: Measured) -> None:
    """Write the run, making the directory if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(measured)))


def load(path: Path) -> Measured:
    """Read a run.

    Raises:
        ResultsError: the file is no such run.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Measured)
    except (OSError, msgspec.DecodeError) as error:
        raise ResultsError(f"{path}: {error}") from None
