"""Seeded mutations of valid inputs: a failing seed replays exactly."""

from __future__ import annotations

import random
from collections.abc import Sequence


def mutate(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Return a seed with some bytes changed, cut, repeated, or spliced with another seed."""
    data = bytearray(generator.choice(seeds))
    for _ in range(generator.randint(1, 6)):
        kind = generator.randrange(6)
        at = generator.randrange(len(data) + 1)
        if kind == 0 and data:
            data[at % len(data)] = generator.choice((0, 1, 0x40, 0x7F, 0x80, 0xFF))
        elif kind == 1 and data:
            data[at % len(data)] ^= 1 << generator.randrange(8)
        elif kind == 2:
            del data[at : at + generator.randrange(1, 9)]
        elif kind == 3:
            data[at:at] = generator.randbytes(generator.randrange(1, 9))
        elif kind == 4:
            data[at:] = generator.choice(seeds)[at:]
        else:
            data[at:at] = data[at : at + generator.randrange(1, 40)]
    if generator.random() < 0.7 and len(data) >= 20:
        # Most inputs should get past the length check.
        del data[20 + (len(data) - 20) // 4 * 4 :]
        data[2:4] = (len(data) - 20).to_bytes(2, "big")
    return bytes(data)
