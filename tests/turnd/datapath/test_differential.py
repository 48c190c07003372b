"""The engines side by side on random scripts: the same packets, counters and requests come out."""

from __future__ import annotations

from tests.turnd.datapath.differential import STEPS, Seen, first_difference
from tests.turnd.datapath.differential_script import Author
from turnd.datapath.interface import Drop

SEEDS = 50
RARE = {
    Drop.SEND_BUFFER_FULL,
    Drop.SEND_FAILED,
    Drop.SOCKET_OVERFLOW,
    Drop.TOO_LARGE,
    Drop.PEER_TAKEN,
}
"""What takes a loaded machine, a refusing kernel, more seeds, or shared relays."""


async def test_every_engine_does_the_same_on_random_scripts() -> None:
    seen = Seen()
    for seed in range(SEEDS):
        assert await first_difference(Author(seed).script(STEPS), seen) is None, f"seed {seed}"
    assert {drop for drop in Drop if not seen.drops[drop.value]} <= RARE
    assert min(seen.relayed, seen.inside, seen.handed_up, *seen.steps.values()) >= 10
