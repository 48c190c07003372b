"""Run every target for its share of FUZZ_SECONDS; print the seed of what fails."""

from __future__ import annotations

import os
import random
import secrets
import sys
import time

from tests.fuzz.targets import TARGETS


def main() -> int:
    """Fuzz; return the process's exit code."""
    seconds = float(os.environ.get("FUZZ_SECONDS", "60"))
    for name, target in TARGETS.items():
        until = time.monotonic() + seconds / len(TARGETS)
        runs = 0
        while time.monotonic() < until:
            seed = int(os.environ.get("FUZZ_SEED", secrets.randbits(48)))
            try:
                target(random.Random(seed))
            except Exception:
                print(f"{name} failed; again with: FUZZ_SEED={seed}", file=sys.stderr)  # noqa: T201
                raise
            runs += 1
        print(f"{name}: {runs} runs")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
