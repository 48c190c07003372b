"""The same random script on every engine, step by step: what comes of each must be the same.

`python -m tests.turnd.datapath.differential --seeds 2000` for a long run; it prints, for a seed on
which the engines differ, the fewest steps it found that show it.
"""

from __future__ import annotations

import argparse
import collections
import sys
from collections.abc import Sequence

import attrs
import trio

from tests.turnd.datapath.conftest import ENGINES
from tests.turnd.datapath.differential_script import Author, Step
from tests.turnd.datapath.differential_side import NOTHING, SettleError, Side
from turnd.datapath.interface import DatapathSettings

STEPS = 60
_LATE = 1.0
"""Seconds that a datagram may take from the engine's send to a socket's queue."""


@attrs.frozen
class Difference:
    """Where two engines part."""

    index: int
    step: Step
    what: str


@attrs.define
class Seen:
    """What the scripts have met: one that met nothing has shown nothing."""

    steps: collections.Counter[str] = attrs.field(factory=collections.Counter)
    drops: collections.Counter[str] = attrs.field(factory=collections.Counter)
    relayed: int = 0
    inside: int = 0
    handed_up: int = 0

    def add(self, side: Side) -> None:
        totals = side.world.engine.totals()
        self.drops.update({drop.value: count for drop, count in totals.drops.items()})
        self.relayed += sum(count.packets for count in totals.relayed.values())
        self.inside += totals.internal
        self.handed_up += len(side.world.handler.requests) + len(side.world.handler.dtls)


async def first_difference(script: Sequence[Step], seen: Seen) -> Difference | None:
    """Run a script on every engine; None if they all did the same."""
    sides = [Side(name, *make(DatapathSettings())) for name, make in ENGINES.items()]
    try:
        async with trio.open_nursery() as nursery:
            for side in sides:
                await side.world.start(nursery)
            difference = await _compare(sides, script, seen)
            seen.add(sides[0])
            nursery.cancel_scope.cancel()
    finally:
        for side in sides:
            side.close()
    return difference


async def _compare(sides: Sequence[Side], script: Sequence[Step], seen: Seen) -> Difference | None:
    for index, step in enumerate(script):
        try:
            results = [await side.do(step) for side in sides]
        except SettleError as error:
            return Difference(index, step, str(error))
        for side, result in zip(sides, results, strict=True):
            if result != results[0]:
                return Difference(index, step, f"{side.name} returned {result}, not {results[0]}")
        if results[0] == NOTHING:
            continue
        seen.steps[step.what] += 1
        difference = await _observe(sides)
        if difference:
            return Difference(index, step, difference)
        for side in sides:
            side.forget()
    return None


async def _observe(sides: Sequence[Side]) -> str:
    deadline = trio.current_time() + _LATE
    while True:
        first, *others = [side.observe() for side in sides]
        different = [
            f"{side.name} has {kind}: {_short(other[kind])}, not {_short(first[kind])}"
            for side, other in zip(sides[1:], others, strict=True)
            for kind in first
            if other[kind] != first[kind]
        ]
        if not different or trio.current_time() > deadline:
            return "; ".join(different)
        await trio.sleep(0.001)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 600 else f"{text[:600]}..."


async def shrink(script: list[Step]) -> tuple[list[Step], Difference]:
    """Leave out what is not needed for the engines to differ."""
    difference = await first_difference(script, Seen())
    assert difference is not None
    script = script[: difference.index + 1]
    size = len(script) // 2
    while size:
        start = 0
        while start < len(script):
            shorter = script[:start] + script[start + size :]
            found = await first_difference(shorter, Seen())
            if found is None:
                start += size
            else:
                script, difference = shorter[: found.index + 1], found
        size //= 2
    return script, difference


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


async def _run(seeds: range, steps: int) -> int:
    seen, failures = Seen(), 0
    for seed in seeds:
        script = Author(seed).script(steps)
        difference = await first_difference(script, seen)
        if difference is not None:
            failures += 1
            _say(f"seed {seed}, step {difference.index}: {difference.what}\n  {difference.step}")
            try:
                few, difference = await shrink(script)
            except AssertionError:
                _say("  not so when run again")
            else:
                _say("".join(f"  {step}\n" for step in few) + f"  {difference.what}")
        if seed % 100 == 99:
            _say(f"{seed + 1 - seeds.start} seeds, {failures} differ")
    _say(str(seen))
    return 1 if failures else 0


def main() -> int:
    """Run; return the process's exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--steps", type=int, default=STEPS, help="of each script")
    arguments = parser.parse_args()
    first: int = arguments.first
    return trio.run(_run, range(first, first + arguments.seeds), arguments.steps)


if __name__ == "__main__":
    sys.exit(main())
