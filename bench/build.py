"""Builds the programs in C, whenever their sources are newer than they are."""

import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "loadgen"
BUILD = HERE / "build"

_FLAGS = ("-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror")
_LIBRARIES = ("-lcrypto", "-lm")


class BuildError(Exception):
    """A program did not compile; the message is the compiler's."""


def build_load_generator() -> Path:
    """Compile the load generator if need be and return the program's path.

    Raises:
        BuildError: gcc is missing or fails (libssl-dev is needed for libcrypto's headers).
    """
    return _build("loadgen", sorted(SOURCES.glob("*.[ch]")))


def build_bare_relay() -> Path:
    """Compile the bare relay if need be and return the program's path.

    Raises:
        BuildError: as for the load generator.
    """
    return _build("bare_relay", [HERE / "bare_relay.c", SOURCES / "stun.c", SOURCES / "stun.h"])


def _build(name: str, sources: list[Path]) -> Path:
    program = BUILD / name
    newest = max(source.stat().st_mtime for source in sources)
    if program.exists() and program.stat().st_mtime >= newest:
        return program
    BUILD.mkdir(exist_ok=True)
    units = [str(source) for source in sources if source.suffix == ".c"]
    try:
        done = subprocess.run(
            ["gcc", *_FLAGS, "-o", str(program), *units, *_LIBRARIES],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise BuildError("gcc is not installed") from None
    if done.returncode != 0:
        raise BuildError(f"{done.stderr.strip()}\n(Debian: apt-get install gcc libssl-dev)")
    return program
