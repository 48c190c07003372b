"""Builds the load generator from its C sources whenever they are newer than the program."""

import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "loadgen"
BUILD = HERE / "build"

_FLAGS = ("-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror")
_LIBRARIES = ("-lcrypto", "-lm")


class BuildError(Exception):
    """The load generator did not compile; the message is the compiler's."""


def build_load_generator() -> Path:
    """Compile the load generator if need be and return the program's path.

    Raises:
        BuildError: gcc is missing or fails (libssl-dev is needed for libcrypto's headers).
    """
    program = BUILD / "loadgen"
    sources = sorted(SOURCES.glob("*.[ch]"))
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
