"""Build the native engine with a sanitizer, beside the one that is installed, and run under it.

`make asan` runs this: the engines' tests and the storm under AddressSanitizer and UBSan, then the
storm under ThreadSanitizer. What is built stays in `build/sanitized`; the installed engine is not
touched.
"""

from __future__ import annotations

import argparse
import enum
import functools
import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
NATIVE = REPOSITORY / "turnd/datapath/native"
BUILD = REPOSITORY / "build/sanitized"
MODULE = "turnd.datapath.native._engine"
LIBRARY_VARIABLE = "SANITIZED_ENGINE"
"""Names the built module for `load`."""

_POISON = Path(__file__).with_name("poison.c")
_CFLAGS = ("-std=gnu11", "-O1", "-g", "-fPIC", "-fno-omit-frame-pointer", "-pthread")


class Sanitizer(enum.Enum):
    """What watches; the values are the directories' names."""

    ADDRESS = "address"
    THREAD = "thread"

    @property
    def flags(self) -> tuple[str, ...]:
        """What the compiler and the linker are told."""
        if self is Sanitizer.THREAD:
            return ("-fsanitize=thread",)
        return (
            "-fsanitize=address,undefined",
            "-fno-sanitize-recover=all",
            "-Drecvmmsg=poisoning_recvmmsg",
        )

    @property
    def runtime(self) -> str:
        """What has to be loaded before Python, which was built without a sanitizer."""
        return "libtsan.so" if self is Sanitizer.THREAD else "libasan.so"


def _newer(path: Path, *others: Path) -> bool:
    return path.exists() and all(path.stat().st_mtime >= other.stat().st_mtime for other in others)


def _translated(directory: Path) -> Path:
    """Cython's C: what the installation left, or made anew if the source is newer than that."""
    source = NATIVE / "_engine.pyx"
    for made in (NATIVE / "_engine.c", directory / "_engine.c"):
        if _newer(made, source):
            return made
    subprocess.run([sys.executable, "-m", "cython", "-3", source, "-o", made], check=True)
    return made


def _compile(sanitizer: Sanitizer, directory: Path, source: Path) -> Path:
    made = directory / f"{source.stem}.o"
    if not _newer(made, source, *NATIVE.glob("*.h")):
        include = (f"-I{NATIVE}", f"-I{sysconfig.get_path('include')}")
        flags = (*_CFLAGS, *sanitizer.flags, *include)
        subprocess.run(["gcc", *flags, "-c", source, "-o", made], check=True)
    return made


def build(sanitizer: Sanitizer) -> Path:
    """Build what is not there yet or older than its source; return the module's file.

    Raises:
        subprocess.CalledProcessError: the compiler refused; it has said why.

    """
    directory = BUILD / sanitizer.value
    directory.mkdir(parents=True, exist_ok=True)
    # The large one first: the compilers work side by side.
    sources = [_translated(directory)]
    sources += [source for source in sorted(NATIVE.glob("*.c")) if source.name != "_engine.c"]
    if sanitizer is Sanitizer.ADDRESS:
        sources.append(_POISON)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(functools.partial(_compile, sanitizer, directory), sources))
    library = directory / f"_engine{sysconfig.get_config_var('EXT_SUFFIX')}"
    if not _newer(library, *objects):
        flags = ("-shared", "-pthread", *sanitizer.flags)
        subprocess.run(["gcc", *flags, *objects, "-o", library], check=True)
    return library


def environment(sanitizer: Sanitizer, *, leaks: bool = False) -> dict[str, str]:
    """Build, and return the environment that a Python process needs to be watched."""
    runtime = subprocess.run(
        ["gcc", f"-print-file-name={sanitizer.runtime}"], check=True, capture_output=True, text=True
    ).stdout.strip()
    return {
        **os.environ,
        LIBRARY_VARIABLE: str(build(sanitizer)),
        "LD_PRELOAD": runtime,
        # Each object in an allocation of its own: reading past one is seen.
        "PYTHONMALLOC": "malloc",
        # An error aborts: the exit code is LeakSanitizer's too, and that one has to be 0, for
        # Python keeps much to its end. `leaks_of_ours` picks out what is the engine's.
        "ASAN_OPTIONS": f"abort_on_error=1:detect_leaks={int(leaks)}",
        "LSAN_OPTIONS": "exitcode=0",
        "UBSAN_OPTIONS": "abort_on_error=1:print_stacktrace=1",
        "TSAN_OPTIONS": "halt_on_error=1:history_size=4",
    }


def leaks_of_ours(report: str) -> list[str]:
    """Return those leaks of LeakSanitizer's report that the engine's C made."""
    leaks = re.split(r"\n\n", report)
    ours = re.compile(rf"{re.escape(str(NATIVE))}/(?!_engine)\w+\.c")
    return [leak for leak in leaks if "leak of" in leak and ours.search(leak)]


def load() -> None:
    """Put the module that `LIBRARY_VARIABLE` names in the installed one's place."""
    spec = importlib.util.spec_from_file_location(MODULE, os.environ[LIBRARY_VARIABLE])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE] = module
    spec.loader.exec_module(module)


def run_storm(
    sanitizer: Sanitizer, seconds: float, seed: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `native_storm` in a watched process; its report is in `stderr`."""
    command = [sys.executable, "-m", "tests.fuzz.native_storm", "--seconds", str(seconds)]
    if seed is not None:
        command += ["--seed", str(seed)]
    return subprocess.run(
        command,
        cwd=REPOSITORY,
        env=environment(sanitizer, leaks=sanitizer is Sanitizer.ADDRESS),
        capture_output=True,
        text=True,
        timeout=seconds * 4 + 180,  # the storm may take a minute more than it is given
    )


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def _storm(sanitizer: Sanitizer, seconds: float) -> bool:
    _say(f"--- the storm under the {sanitizer.value} sanitizer, {seconds:g} seconds")
    storm = run_storm(sanitizer, seconds)
    leaks = leaks_of_ours(storm.stderr)
    _say(storm.stdout.strip())
    _say("\n\n".join(leaks) if leaks or not storm.returncode else storm.stderr)
    return not storm.returncode and not leaks


def main() -> int:
    """Run everything; return the process's exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long each storm is")
    seconds: float = parser.parse_args().seconds
    _say("--- the engines' tests under the address sanitizer")
    tests = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "tests/turnd/datapath"),
            *("-p", "tests.fuzz.load_sanitized", "-p", "no:cacheprovider"),
        ],
        cwd=REPOSITORY,
        env=environment(Sanitizer.ADDRESS),
    )
    passed = [not tests.returncode]
    passed += [_storm(sanitizer, seconds) for sanitizer in Sanitizer]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
